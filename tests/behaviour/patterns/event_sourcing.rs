//! EventSourcing.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use prism::{
    call::{Code, Error},
    proto::patterns::{
        event_sourcing::v1::{
            AppendRequest, AppendResponse, Event, GetAggregateRequest, GetAggregateResponse, LoadRequest, LoadResponse,
            LoadSnapshotRequest, LoadSnapshotResponse, NewEvent, SaveSnapshotRequest, SaveSnapshotResponse, Snapshot, SubscribeRequest,
            SubscribeResponse, load_response::Item,
        },
        slots::v1::Support,
    },
};
use serde_json::json;

use super::{Bench, DEFAULT, pattern_suite};
use crate::support::{all, invalid, next, now, refusal, refused, silent, since_1970};

pattern_suite! { "event-sourcing", DEFAULT;
    GetCapabilities {
        all_operations_are_available;
    }
    Append {
        events_are_loaded_as_they_were_appended;
        a_wrong_version_is_refused;
        of_concurrent_appends_one_has_the_version;
        concurrent_appends_lose_nothing;
        gateways_append_to_one_log needs "shared";
        an_append_can_be_repeated;
        events_are_checked;
    }
    Load {
        a_part_of_the_events_is_loaded;
        a_load_begins_with_the_snapshot;
    }
    GetAggregate {
        versions_count_events;
    }
    SaveSnapshot {
        an_older_snapshot_does_not_replace_a_newer_one;
        a_snapshot_needs_its_events;
    }
    LoadSnapshot {
        a_snapshot_is_loaded_as_it_was_saved;
    }
    Subscribe {
        all_events_come_in_one_order;
        a_subscription_follows;
        a_subscription_follows_another_gateway needs "shared";
        a_subscription_continues_behind_a_cursor;
        subscriptions_can_be_restricted;
    }
}

fn event(kind: &str) -> NewEvent {
    NewEvent { r#type: kind.to_owned(), payload: kind.to_owned().into(), ..NewEvent::default() }
}

fn request(aggregate: &str, kinds: &[&str]) -> AppendRequest {
    let events = kinds.iter().map(|kind| event(kind)).collect();
    AppendRequest { aggregate: aggregate.to_owned(), events, expected_version: None }
}

fn expecting(aggregate: &str, version: u64, kinds: &[&str]) -> AppendRequest {
    AppendRequest { expected_version: Some(version), ..request(aggregate, kinds) }
}

async fn append(bench: &Bench, request: AppendRequest) -> Result<AppendResponse, Error> {
    bench.call("Append", request).await
}

async fn items(bench: &Bench, request: LoadRequest) -> Vec<Item> {
    let responses = all(bench.stream::<LoadResponse>("Load", request).await.unwrap()).await;
    responses.into_iter().map(|response| response.item.unwrap()).collect()
}

async fn load(bench: &Bench, aggregate: &str) -> Vec<Event> {
    let found = items(bench, LoadRequest { aggregate: aggregate.to_owned(), ..LoadRequest::default() }).await;
    let event = |item| match item {
        Item::Event(event) => event,
        Item::Snapshot(snapshot) => panic!("{snapshot:?}"),
    };
    found.into_iter().map(event).collect()
}

async fn subscribed(bench: &Bench, request: SubscribeRequest) -> Vec<SubscribeResponse> {
    all(bench.stream::<SubscribeResponse>("Subscribe", request).await.unwrap()).await
}

async fn save(bench: &Bench, aggregate: &str, version: u64, state: &str) -> Result<bool, Error> {
    let request = SaveSnapshotRequest { aggregate: aggregate.to_owned(), version, state: state.to_owned().into() };
    Ok(bench.call::<SaveSnapshotResponse>("SaveSnapshot", request).await?.saved)
}

async fn snapshot(bench: &Bench, aggregate: &str) -> Result<Snapshot, Error> {
    let request = LoadSnapshotRequest { aggregate: aggregate.to_owned() };
    Ok(bench.call::<LoadSnapshotResponse>("LoadSnapshot", request).await?.snapshot.unwrap())
}

async fn version(bench: &Bench, aggregate: &str) -> u64 {
    let request = GetAggregateRequest { aggregate: aggregate.to_owned() };
    bench.call::<GetAggregateResponse>("GetAggregate", request).await.unwrap().version
}

async fn all_operations_are_available(bench: Bench) {
    let capabilities = bench.capabilities().await;
    assert!(capabilities.operations.iter().all(|operation| operation.support() != Support::Unavailable), "{capabilities:?}");
    assert_eq!(bench.operation("Append").await.support(), Support::Emulated);
}

async fn events_are_loaded_as_they_were_appended(bench: Bench) {
    let before = now();
    let headers = BTreeMap::from([("by".to_owned(), "ada".to_owned())]);
    let opened = NewEvent { headers: headers.clone(), id: "e-1".to_owned(), ..event("opened") };
    let appended = append(&bench, AppendRequest { events: vec![opened, event("deposited")], ..expecting("a", 0, &[]) }).await.unwrap();
    assert_eq!((appended.version, appended.position, appended.duplicate), (2, 2, false));
    append(&bench, request("tür/7.*", &["opened"])).await.unwrap();
    append(&bench, expecting("a", 2, &["closed"])).await.unwrap();
    let events = load(&bench, "a").await;
    let places: Vec<_> = events.iter().map(|event| (event.r#type.as_str(), event.version, event.position)).collect();
    assert_eq!(places, [("opened", 1, 1), ("deposited", 2, 2), ("closed", 3, 4)]);
    assert_eq!((&events[0].headers, events[0].id.as_str(), &events[0].payload[..]), (&headers, "e-1", &b"opened"[..]));
    assert!(!events[1].id.is_empty() && events[1].id != events[2].id && events[0].aggregate == "a");
    assert!((before - 1000..=now() + 1000).contains(&since_1970(events[0].append_time.as_ref())));
    assert_eq!(load(&bench, "tür/7.*").await.len(), 1);
    assert!(load(&bench, "nobody").await.is_empty());
}

async fn a_wrong_version_is_refused(bench: Bench) {
    append(&bench, expecting("a", 0, &["one", "two"])).await.unwrap();
    append(&bench, request("b", &["other"])).await.unwrap();
    for wrong in [0, 1, 3] {
        let error = refused(append(&bench, expecting("a", wrong, &["x"])).await, Code::Aborted, "VERSION_MISMATCH");
        assert_eq!((error.get("current_version"), error.get("expected_version")), (Some("2"), Some(wrong.to_string().as_str())));
    }
    append(&bench, expecting("a", 2, &["three"])).await.unwrap();
    // Also directly behind an event of the same aggregate.
    refused(append(&bench, expecting("a", 2, &["x"])).await, Code::Aborted, "VERSION_MISMATCH");
    assert_eq!(load(&bench, "a").await.len(), 3);
}

async fn of_concurrent_appends_one_has_the_version(bench: Bench) {
    let results = join_all((0..8).map(|_| append(&bench, expecting("a", 0, &["opened"])))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.reason(), "VERSION_MISMATCH");
    }
    assert_eq!(load(&bench, "a").await.len(), 1);
}

async fn concurrent_appends_lose_nothing(bench: Bench) {
    let names: Vec<_> = (0..40).map(|number| format!("n{}", number % 4)).collect();
    let results = join_all(names.iter().map(|name| append(&bench, request(name, &["one", "two"])))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let events = subscribed(&bench, SubscribeRequest::default()).await;
    let positions: Vec<_> = events.iter().map(|response| response.event.as_ref().unwrap().position).collect();
    assert_eq!(positions, (1..=80).collect::<Vec<_>>());
    for name in ["n0", "n1", "n2", "n3"] {
        let versions: Vec<_> = load(&bench, name).await.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=20).collect::<Vec<_>>(), "{name}");
    }
}

async fn gateways_append_to_one_log(bench: Bench) {
    let other = bench.on_other_gateway().await;
    let both = [&bench, &other];
    let appends =
        (0..20).map(|number| async move { append(both[number % 2], request(if number % 3 == 0 { "a" } else { "b" }, &["x"])).await });
    let results = join_all(appends).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for gateway in both {
        let events = subscribed(gateway, SubscribeRequest::default()).await;
        let positions: Vec<_> = events.iter().map(|response| response.event.as_ref().unwrap().position).collect();
        assert_eq!(positions, (1..=20).collect::<Vec<_>>());
        assert_eq!(version(gateway, "a").await + version(gateway, "b").await, 20);
    }
    append(&bench, expecting("c", 0, &["opened"])).await.unwrap();
    assert_eq!(load(&other, "c").await.len(), 1);
    append(&other, expecting("c", 1, &["closed"])).await.unwrap();
    assert_eq!(load(&bench, "c").await.len(), 2);
}

async fn an_append_can_be_repeated(bench: Bench) {
    let events = vec![NewEvent { id: "e-1".to_owned(), ..event("opened") }, event("deposited")];
    let request = AppendRequest { events, ..expecting("a", 0, &[]) };
    let first = append(&bench, request.clone()).await.unwrap();
    let again = append(&bench, request.clone()).await.unwrap();
    assert_eq!((again.version, again.position, again.duplicate), (first.version, first.position, true));
    append(&bench, expecting("a", 2, &["closed"])).await.unwrap();
    assert!(append(&bench, request.clone()).await.unwrap().duplicate);
    let mut other = request;
    "e-2".clone_into(&mut other.events[0].id);
    refused(append(&bench, other).await, Code::Aborted, "VERSION_MISMATCH");
    assert_eq!(load(&bench, "a").await.len(), 3);
}

async fn events_are_checked(bench: Bench) {
    for aggregate in ["", "a b", &"x".repeat(129)] {
        invalid(append(&bench, request(aggregate, &["x"])).await, "INVALID_NAME", "aggregate");
    }
    for count in [0, 101] {
        invalid(append(&bench, request("a", &vec!["x"; count])).await, "BATCH_SIZE", "events");
    }
    invalid(append(&bench, request("a", &["x", ""])).await, "INVALID_NAME", "events[1].type");
    let reserved = NewEvent { headers: BTreeMap::from([("prism-x".to_owned(), String::new())]), ..event("x") };
    invalid(append(&bench, AppendRequest { events: vec![reserved], ..request("a", &[]) }).await, "INVALID_HEADERS", "events[0].headers");
    let wrong_id = NewEvent { id: "a b".to_owned(), ..event("x") };
    invalid(append(&bench, AppendRequest { events: vec![wrong_id], ..request("a", &[]) }).await, "INVALID_NAME", "events[0].id");
    let largest = usize::try_from(bench.capabilities().await.limits.unwrap().max_value_bytes).unwrap();
    let large = NewEvent { payload: vec![0; largest].into(), ..event("x") };
    invalid(append(&bench, AppendRequest { events: vec![large], ..request("a", &[]) }).await, "VALUE_TOO_LARGE", "events");
    assert_eq!(version(&bench, "a").await, 0);
}

async fn a_part_of_the_events_is_loaded(bench: Bench) {
    append(&bench, request("a", &["one", "two", "three", "four"])).await.unwrap();
    append(&bench, request("ab", &["other"])).await.unwrap();
    let part = async |after_version, limit| {
        let request = LoadRequest { aggregate: "a".to_owned(), after_version, limit, from_snapshot: false };
        let versions = items(&bench, request).await.into_iter().map(|item| match item {
            Item::Event(event) => event.version,
            Item::Snapshot(_) => 0,
        });
        versions.collect::<Vec<_>>()
    };
    assert_eq!(part(0, 0).await, [1, 2, 3, 4]);
    assert_eq!(part(2, 0).await, [3, 4]);
    assert_eq!(part(1, 2).await, [2, 3]);
    assert!(part(4, 0).await.is_empty());
    assert!(part(u64::MAX, 0).await.is_empty());
    let both = LoadRequest { aggregate: "a".to_owned(), after_version: 1, from_snapshot: true, limit: 0 };
    invalid(bench.stream::<LoadResponse>("Load", both).await, "INVALID_FIELD", "after_version");
}

async fn a_load_begins_with_the_snapshot(bench: Bench) {
    let request_load = LoadRequest { aggregate: "a".to_owned(), from_snapshot: true, ..LoadRequest::default() };
    append(&bench, request("a", &["one", "two", "three"])).await.unwrap();
    assert_eq!(items(&bench, request_load.clone()).await.len(), 3);
    assert!(save(&bench, "a", 2, "state").await.unwrap());
    let found = items(&bench, request_load).await;
    assert!(matches!(&found[0], Item::Snapshot(snapshot) if snapshot.version == 2 && &snapshot.state[..] == b"state"), "{found:?}");
    assert!(matches!(&found[1..], [Item::Event(event)] if event.version == 3), "{found:?}");
}

async fn versions_count_events(bench: Bench) {
    assert_eq!(version(&bench, "a").await, 0);
    append(&bench, request("a", &["one", "two"])).await.unwrap();
    assert_eq!(version(&bench, "a").await, 2);
    append(&bench, request("b", &["one"])).await.unwrap();
    assert_eq!((version(&bench, "a").await, version(&bench, "b").await), (2, 1));
    invalid(bench.call::<GetAggregateResponse>("GetAggregate", GetAggregateRequest::default()).await, "INVALID_NAME", "aggregate");
}

async fn an_older_snapshot_does_not_replace_a_newer_one(bench: Bench) {
    append(&bench, request("a", &["one", "two", "three"])).await.unwrap();
    assert!(save(&bench, "a", 2, "second").await.unwrap());
    assert!(!save(&bench, "a", 1, "first").await.unwrap());
    assert_eq!(snapshot(&bench, "a").await.unwrap().state, "second");
    assert!(save(&bench, "a", 3, "third").await.unwrap());
    assert_eq!(snapshot(&bench, "a").await.unwrap().version, 3);
}

async fn a_snapshot_needs_its_events(bench: Bench) {
    append(&bench, request("a", &["one"])).await.unwrap();
    refused(save(&bench, "a", 2, "x").await, Code::FailedPrecondition, "VERSION_MISMATCH");
    invalid(save(&bench, "a", 0, "x").await, "INVALID_FIELD", "version");
}

async fn a_snapshot_is_loaded_as_it_was_saved(bench: Bench) {
    refused(snapshot(&bench, "a").await, Code::NotFound, "SNAPSHOT_NOT_FOUND");
    append(&bench, request("a", &["one"])).await.unwrap();
    save(&bench, "a", 1, "state").await.unwrap();
    let found = snapshot(&bench, "a").await.unwrap();
    assert_eq!((found.aggregate.as_str(), found.version, &found.state[..]), ("a", 1, &b"state"[..]));
    assert!(found.save_time.is_some());
}

async fn all_events_come_in_one_order(bench: Bench) {
    for number in 0..30 {
        append(&bench, request(&format!("n{}", number % 3), &["x"])).await.unwrap();
    }
    let events = subscribed(&bench, SubscribeRequest::default()).await;
    let found: Vec<_> = events.iter().map(|response| response.event.as_ref().unwrap()).collect();
    assert_eq!(found.iter().map(|event| event.position).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    assert!(found.iter().zip(0..).all(|(event, number)| event.aggregate == format!("n{}", number % 3)));
}

async fn a_subscription_follows(bench: Bench) {
    append(&bench, request("a", &["one"])).await.unwrap();
    let mut events = bench.stream("Subscribe", SubscribeRequest { follow: true, ..SubscribeRequest::default() }).await.unwrap();
    let latest = SubscribeRequest { follow: true, latest: true, ..SubscribeRequest::default() };
    let mut later = bench.stream::<SubscribeResponse>("Subscribe", latest).await.unwrap();
    let kind = |response: SubscribeResponse| response.event.unwrap().r#type;
    assert_eq!(kind(next(&mut events).await), "one");
    silent(&mut events).await;
    append(&bench, request("b", &["two", "three"])).await.unwrap();
    assert_eq!((kind(next(&mut events).await), kind(next(&mut events).await)), ("two".to_owned(), "three".to_owned()));
    assert_eq!(kind(next(&mut later).await), "two");
}

async fn a_subscription_follows_another_gateway(bench: Bench) {
    let bench = bench.with(json!({"poll_interval": "100ms"})).await;
    let other = bench.on_other_gateway().await;
    let mut events =
        other.stream::<SubscribeResponse>("Subscribe", SubscribeRequest { follow: true, ..SubscribeRequest::default() }).await.unwrap();
    for number in 1..=5 {
        let appended = append(&bench, request("a", &["x"])).await.unwrap();
        let event = next(&mut events).await.event.unwrap();
        assert_eq!((event.position, event.version), (appended.position, number));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_subscription_continues_behind_a_cursor(bench: Bench) {
    append(&bench, request("a", &["one", "two", "three"])).await.unwrap();
    let events = subscribed(&bench, SubscribeRequest::default()).await;
    let rest = subscribed(&bench, SubscribeRequest { cursor: events[0].cursor.clone(), ..SubscribeRequest::default() }).await;
    assert_eq!(rest[..], events[1..]);
    assert!(subscribed(&bench, SubscribeRequest { cursor: events[2].cursor.clone(), ..SubscribeRequest::default() }).await.is_empty());
    let wrong = SubscribeRequest { cursor: "x".to_owned(), ..SubscribeRequest::default() };
    assert_eq!(refusal(bench.stream::<SubscribeResponse>("Subscribe", wrong).await).await.reason(), "INVALID_CURSOR");
}

async fn subscriptions_can_be_restricted(bench: Bench) {
    for name in ["order-1", "account-1", "order-2", "account-2"] {
        append(&bench, request(name, &["x"])).await.unwrap();
    }
    let orders = SubscribeRequest { aggregate_prefix: "order-".to_owned(), ..SubscribeRequest::default() };
    let names = |events: Vec<SubscribeResponse>| events.into_iter().map(|one| one.event.unwrap().aggregate).collect::<Vec<_>>();
    assert_eq!(names(subscribed(&bench, orders.clone()).await), ["order-1", "order-2"]);
    assert_eq!(names(subscribed(&bench, SubscribeRequest { limit: 1, ..orders }).await), ["order-1"]);
}
