//! Messages to identities.

use prism::proto::patterns::multicast_registry::v1::{
    DeliveryResult, MulticastRequest, MulticastResponse, MulticastSummary, delivery_result::Status,
};

use super::{as_identity, headers, in_region, message, multicast, next_message, next_payload, receive, register, register_all};
use crate::{
    patterns::Bench,
    support::{invalid, now, since_1970},
};

pub async fn a_message_reaches_those_that_match(bench: Bench) {
    register_all(&bench, &["eu-1", "eu-2"]).await;
    register(&bench, in_region("us-1", "us")).await.unwrap();
    let (mut first, mut second, mut other) = (
        receive(&bench, as_identity("eu-1")).await,
        receive(&bench, as_identity("eu-2")).await,
        receive(&bench, as_identity("us-1")).await,
    );
    let before = now();
    let request = MulticastRequest { headers: headers("kind", "update"), ..message("for eu", "metadata.region == 'eu'") };
    let (_, summary) = multicast(&bench, request).await;
    assert_eq!((summary.matched, summary.failed), (2, 0));
    for receiver in [&mut first, &mut second] {
        let received = next_message(receiver).await;
        assert_eq!((&received.payload[..], &received.headers), (&b"for eu"[..], &headers("kind", "update")));
        assert_eq!(received.id, summary.id);
        assert!((before - 1000..=now() + 1000).contains(&since_1970(received.publish_time.as_ref())));
    }
    let request = MulticastRequest { id: "release-7".to_owned(), ..message("for all", "") };
    assert_eq!(multicast(&bench, request).await.1.id, "release-7");
    for receiver in [&mut first, &mut second, &mut other] {
        let received = next_message(receiver).await;
        assert_eq!((&received.payload[..], received.id.as_str()), (&b"for all"[..], "release-7"));
    }
}

pub async fn a_receiver_on_another_gateway_gets_messages(bench: Bench) {
    let other = bench.on_other_gateway().await;
    register_all(&bench, &["a"]).await;
    let mut receiver = receive(&other, as_identity("a")).await;
    for number in 0..20 {
        multicast(&bench, message(&number.to_string(), "")).await;
    }
    for number in 0..20 {
        assert_eq!(next_payload(&mut receiver).await, number.to_string());
    }
}

/// What a result says of an identity that receives, and of one that does not.
fn expected(bench: &Bench, result: &DeliveryResult, receives: bool) -> bool {
    match (bench.model(), bench.fills("durability"), result.status()) {
        ("pubsub", false, Status::Sent) => true,
        ("pubsub", false, Status::Delivered) => receives,
        ("pubsub", false, Status::NotConnected) => !receives,
        (_, _, status) => status == Status::Stored,
    }
}

pub async fn each_identity_has_a_result(bench: Bench) {
    register_all(&bench, &["a", "b", "c"]).await;
    let _receiver = receive(&bench, as_identity("b")).await;
    let (results, summary) = multicast(&bench, message("x", "identity != 'c'")).await;
    let identities: Vec<_> = results.iter().map(|result| result.identity.as_str()).collect();
    assert_eq!(identities, ["a", "b"]);
    assert!(expected(&bench, &results[0], false) && expected(&bench, &results[1], true), "{results:?}");
    let MulticastSummary { matched, delivered, not_connected, sent, stored, failed, .. } = summary;
    assert_eq!((matched, delivered + not_connected + sent + stored, failed), (2, 2, 0));
    let counted = |status: Status| results.iter().filter(|result| result.status() == status).count() as u64;
    assert_eq!((delivered, not_connected), (counted(Status::Delivered), counted(Status::NotConnected)));
    assert_eq!((sent, stored), (counted(Status::Sent), counted(Status::Stored)));
}

pub async fn only_failures_can_be_asked_for(bench: Bench) {
    register_all(&bench, &["a", "b"]).await;
    let _receiver = receive(&bench, as_identity("b")).await;
    let (results, summary) = multicast(&bench, MulticastRequest { failures_only: true, ..message("x", "") }).await;
    assert_eq!(summary.matched, 2);
    assert_eq!(results.len() as u64, summary.not_connected);
    assert!(results.iter().all(|result| result.identity == "a"));
}

pub async fn nobody_gets_a_message_that_matches_nobody(bench: Bench) {
    let (results, summary) = multicast(&bench, message("x", "")).await;
    assert_eq!((results.len(), summary.matched), (0, 0));
    register_all(&bench, &["a"]).await;
    let mut receiver = receive(&bench, as_identity("a")).await;
    assert_eq!(multicast(&bench, message("x", "identity == 'b'")).await.1.matched, 0);
    multicast(&bench, message("the end", "")).await;
    assert_eq!(next_payload(&mut receiver).await, "the end");
}

pub async fn a_message_waits_for_its_identity(bench: Bench) {
    register_all(&bench, &["a"]).await;
    for number in 0..40 {
        let (results, _) = multicast(&bench, message(&number.to_string(), "")).await;
        assert_eq!(results[0].status(), Status::Stored);
    }
    let mut receiver = receive(&bench, as_identity("a")).await;
    for number in 0..40 {
        let received = next_message(&mut receiver).await;
        assert_eq!((&received.payload[..], received.attempt), (number.to_string().as_bytes(), 1));
        assert!(!received.lease.is_empty() && received.lease_expire_time.is_some());
    }
    multicast(&bench, message("now", "")).await;
    assert_eq!(next_payload(&mut receiver).await, "now");
}

pub async fn who_does_not_receive_misses_messages(bench: Bench) {
    register_all(&bench, &["a"]).await;
    multicast(&bench, message("missed", "")).await;
    let mut receiver = receive(&bench, as_identity("a")).await;
    multicast(&bench, message("now", "")).await;
    let received = next_message(&mut receiver).await;
    assert_eq!((&received.payload[..], received.lease.as_str(), received.attempt), (&b"now"[..], "", 0));
}

/// More identities than one page of results, with few messages on their way.
pub async fn many_identities_have_one_result_each(bench: Bench) {
    let many: Vec<_> = (0..150).map(|number| format!("n{number}")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).collect();
    register_all(&bench, &names).await;
    let few = bench.with(serde_json::json!({"concurrency": 3})).await;
    let (results, summary) = multicast(&few, message("x", "")).await;
    let found: std::collections::BTreeSet<_> = results.iter().map(|result| result.identity.clone()).collect();
    assert_eq!((results.len(), found.len(), summary.matched, summary.failed), (150, 150, 150, 0));
}

pub async fn messages_are_checked(bench: Bench) {
    let send = async |request: MulticastRequest| bench.stream::<MulticastResponse>("Multicast", request).await;
    let largest = usize::try_from(bench.capabilities().await.limits.unwrap().max_value_bytes).unwrap();
    let large = MulticastRequest { payload: vec![0; largest + 1].into(), ..MulticastRequest::default() };
    invalid(send(large).await, "VALUE_TOO_LARGE", "payload");
    let reserved = MulticastRequest { headers: headers("prism-message-id", "x"), ..MulticastRequest::default() };
    invalid(send(reserved).await, "INVALID_HEADERS", "headers");
    invalid(send(MulticastRequest { id: "a b".to_owned(), ..MulticastRequest::default() }).await, "INVALID_NAME", "id");
}
