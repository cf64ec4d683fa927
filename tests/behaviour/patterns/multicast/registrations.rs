//! Registrations, and filters over them.

use prism::{
    call::Code,
    proto::patterns::{
        multicast_registry::v1::{
            DeregisterRequest, DeregisterResponse, EnumerateRequest, EnumerateResponse, GetCapabilitiesRequest, GetCapabilitiesResponse,
            GetIdentityRequest, GetIdentityResponse, HeartbeatRequest, HeartbeatResponse, Identity, MulticastRequest, MulticastResponse,
            RegisterRequest,
            delivery::{Filter, Guarantee, Model},
        },
        slots::v1::Support,
    },
};

use super::{in_region, matching, metadata, number, register, register_all, text};
use crate::{
    patterns::Bench,
    support::{all, eventually, invalid, millis, now, refusal, refused, seconds, since_1970, sleep},
};

pub async fn the_delivery_follows_the_slots(bench: Bench) {
    let response: GetCapabilitiesResponse = bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let (model, guarantee) = match (bench.model(), bench.fills("durability")) {
        ("pubsub", false) => (Model::Pubsub, Guarantee::AtMostOnce),
        ("pubsub", true) => (Model::Durable, Guarantee::AtLeastOnce),
        ("queue", _) => (Model::Queue, Guarantee::AtLeastOnce),
        _ => (Model::Stream, Guarantee::AtLeastOnce),
    };
    let delivery = response.delivery.unwrap();
    assert_eq!((delivery.model(), delivery.guarantee(), delivery.filter()), (model, guarantee, Filter::Emulated));
    assert_eq!(delivery.max_concurrent_deliveries, 64);
    for (rpc, expected) in [("Register", Support::Native), ("Enumerate", Support::Emulated), ("Multicast", Support::Emulated)] {
        assert_eq!(bench.operation(rpc).await.support(), expected, "{rpc}");
    }
    let has_queues = matches!(model, Model::Durable | Model::Queue);
    assert_eq!(bench.operation("Ack").await.support() == Support::Native, has_queues);
}

async fn get(bench: &Bench, identity: &str) -> Result<Identity, prism::call::Error> {
    let request = GetIdentityRequest { identity: identity.to_owned() };
    Ok(bench.call::<GetIdentityResponse>("GetIdentity", request).await?.identity.unwrap())
}

async fn heartbeat(bench: &Bench, identity: &str) -> Result<HeartbeatResponse, prism::call::Error> {
    bench.call("Heartbeat", HeartbeatRequest { identity: identity.to_owned() }).await
}

pub async fn a_registration_is_returned_as_it_was_made(bench: Bench) {
    let before = now();
    let request = RegisterRequest { ttl: Some(seconds(60)), ..in_region("tür/7.*", "eu") };
    let made = register(&bench, request.clone()).await.unwrap();
    assert_eq!((&made.metadata, &made.tags, made.ttl), (&request.metadata, &request.tags, request.ttl));
    let read = get(&bench, "tür/7.*").await.unwrap();
    assert_eq!((&read.metadata, &read.tags, read.ttl, read.register_time), (&made.metadata, &made.tags, made.ttl, made.register_time));
    assert!((before - 1000..=now() + 1000).contains(&since_1970(read.register_time.as_ref())));
    let expire = since_1970(read.expire_time.as_ref());
    assert!((before + 55_000..=now() + 65_000).contains(&expire), "{expire}");
}

pub async fn a_second_registration_replaces_the_first(bench: Bench) {
    register(&bench, RegisterRequest { ttl: Some(seconds(60)), ..in_region("a", "eu") }).await.unwrap();
    register(&bench, RegisterRequest { tags: Vec::new(), ..in_region("a", "us") }).await.unwrap();
    let read = get(&bench, "a").await.unwrap();
    assert_eq!(read.metadata.unwrap().fields["region"], text("us"));
    assert_eq!((read.tags.len(), read.ttl, read.expire_time), (0, None, None));
    assert_eq!(matching(&bench, "").await, ["a"]);
}

pub async fn a_registration_ends_after_its_ttl(bench: Bench) {
    register(&bench, RegisterRequest { ttl: Some(seconds(1)), ..in_region("a", "eu") }).await.unwrap();
    register(&bench, in_region("b", "eu")).await.unwrap();
    assert_eq!(matching(&bench, "").await, ["a", "b"]);
    eventually("the registration ends", || async { matching(&bench, "").await == ["b"] }).await;
    refused(get(&bench, "a").await, Code::NotFound, "IDENTITY_NOT_FOUND");
}

pub async fn registrations_are_checked(bench: Bench) {
    for identity in ["", "a b", &"x".repeat(129)] {
        invalid(register(&bench, in_region(identity, "eu")).await, "INVALID_NAME", "identity");
    }
    let too_many = RegisterRequest { tags: vec!["x".to_owned(); 65], ..in_region("a", "eu") };
    invalid(register(&bench, too_many).await, "INVALID_FIELD", "tags");
    let empty = RegisterRequest { tags: vec!["x".to_owned(), String::new()], ..in_region("a", "eu") };
    invalid(register(&bench, empty).await, "INVALID_FIELD", "tags[1]");
    for ttl in [millis(0), millis(999), seconds(-1)] {
        invalid(register(&bench, RegisterRequest { ttl: Some(ttl), ..in_region("a", "eu") }).await, "INVALID_TTL", "ttl");
    }
    let no_number = RegisterRequest { metadata: Some(metadata([("x", number(f64::NAN))])), ..in_region("a", "eu") };
    invalid(register(&bench, no_number).await, "INVALID_FIELD", "metadata");
    let large = RegisterRequest { metadata: Some(metadata([("x", text(&"x".repeat(17 << 10)))])), ..in_region("a", "eu") };
    invalid(register(&bench, large).await, "REGISTRATION_TOO_LARGE", "metadata");
    assert!(matching(&bench, "").await.is_empty());
}

pub async fn a_heartbeat_renews(bench: Bench) {
    register(&bench, RegisterRequest { ttl: Some(seconds(4)), ..in_region("a", "eu") }).await.unwrap();
    for _ in 0..3 {
        sleep(1600).await;
        let renewed = heartbeat(&bench, "a").await.unwrap();
        assert!(since_1970(renewed.expire_time.as_ref()) > now() + 500);
    }
    assert_eq!(matching(&bench, "").await, ["a"]);
    assert_eq!(get(&bench, "a").await.unwrap().ttl, Some(seconds(4)));
}

pub async fn a_registration_without_a_ttl_stays(bench: Bench) {
    register_all(&bench, &["a"]).await;
    assert_eq!(heartbeat(&bench, "a").await.unwrap().expire_time, None);
    assert_eq!(get(&bench, "a").await.unwrap().expire_time, None);
}

pub async fn unknown_identities_have_no_heartbeat(bench: Bench) {
    refused(heartbeat(&bench, "a").await, Code::NotFound, "IDENTITY_NOT_FOUND");
    invalid(heartbeat(&bench, "").await, "INVALID_NAME", "identity");
}

pub async fn an_unknown_registration_is_not_found(bench: Bench) {
    refused(get(&bench, "a").await, Code::NotFound, "IDENTITY_NOT_FOUND");
    invalid(get(&bench, "").await, "INVALID_NAME", "identity");
}

pub async fn another_gateway_sees_registrations(bench: Bench) {
    let other = bench.on_other_gateway().await;
    register_all(&bench, &["a"]).await;
    assert_eq!(get(&other, "a").await.unwrap(), get(&bench, "a").await.unwrap());
    assert_eq!(matching(&other, "metadata.region == 'eu'").await, ["a"]);
}

pub async fn filters_select(bench: Bench) {
    register_all(&bench, &["eu-1", "eu-2"]).await;
    register(&bench, in_region("us-1", "us")).await.unwrap();
    let old = metadata([("version", number(2.0)), ("owner", text("ada"))]);
    let request = RegisterRequest { identity: "old".to_owned(), metadata: Some(old), tags: vec!["retired".to_owned()], ttl: None };
    register(&bench, request).await.unwrap();
    register(&bench, RegisterRequest { identity: "bare".to_owned(), ..RegisterRequest::default() }).await.unwrap();
    for (filter, expected) in [
        ("", &["bare", "eu-1", "eu-2", "old", "us-1"][..]),
        ("metadata.region == 'eu'", &["eu-1", "eu-2"]),
        ("metadata.region != 'eu'", &["us-1"]),
        ("metadata.version >= 3 && metadata.region == 'us'", &["us-1"]),
        ("metadata.version < 3 || metadata.region.startsWith('u')", &["old", "us-1"]),
        ("metadata.region.contains('u') && !(identity == 'eu-1')", &["eu-2", "us-1"]),
        ("has(metadata.owner)", &["old"]),
        ("!has(metadata.region)", &["bare", "old"]),
        ("'retired' in tags", &["old"]),
        ("identity.startsWith('eu-')", &["eu-1", "eu-2"]),
        ("metadata.missing == 1", &[]),
    ] {
        assert_eq!(matching(&bench, filter).await, expected, "{filter}");
    }
}

pub async fn pages_continue_behind_a_cursor(bench: Bench) {
    for number in 0..10 {
        register(&bench, in_region(&format!("n{number}"), if number % 2 == 0 { "eu" } else { "us" })).await.unwrap();
    }
    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let request = EnumerateRequest { filter: "metadata.region == 'eu'".to_owned(), limit: 2, cursor: cursor.clone() };
        let page = all(bench.stream::<EnumerateResponse>("Enumerate", request).await.unwrap()).await;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        cursor.clone_from(&last.cursor);
        found.extend(page.into_iter().map(|one| one.identity.unwrap().identity));
    }
    assert_eq!(found, ["n0", "n2", "n4", "n6", "n8"]);
    let request = EnumerateRequest { cursor: "x".to_owned(), ..EnumerateRequest::default() };
    assert_eq!(refusal(bench.stream::<EnumerateResponse>("Enumerate", request).await).await.reason(), "INVALID_CURSOR");
}

pub async fn wrong_filters_are_refused(bench: Bench) {
    register_all(&bench, &["a"]).await;
    for filter in ["metadata.region ==", "region == 'eu'", "1 + 1"] {
        let request = EnumerateRequest { filter: filter.to_owned(), ..EnumerateRequest::default() };
        invalid(bench.stream::<EnumerateResponse>("Enumerate", request).await, "INVALID_FILTER", "filter");
        let request = MulticastRequest { filter: filter.to_owned(), ..MulticastRequest::default() };
        invalid(bench.stream::<MulticastResponse>("Multicast", request).await, "INVALID_FILTER", "filter");
    }
}

pub async fn a_deregistered_identity_is_gone(bench: Bench) {
    register_all(&bench, &["a", "b"]).await;
    let deregister = async || {
        let request = DeregisterRequest { identity: "a".to_owned() };
        bench.call::<DeregisterResponse>("Deregister", request).await.unwrap().deregistered
    };
    assert!(deregister().await);
    assert!(!deregister().await);
    assert_eq!(matching(&bench, "").await, ["b"]);
    refused(get(&bench, "a").await, Code::NotFound, "IDENTITY_NOT_FOUND");
    let nobody = bench.call::<DeregisterResponse>("Deregister", DeregisterRequest::default()).await;
    invalid(nobody, "INVALID_NAME", "identity");
}
