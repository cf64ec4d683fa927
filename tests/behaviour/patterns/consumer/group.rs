//! Seek, GetGroup, and dead messages.

use prism::proto::patterns::consumer::v1::{Start, seek_request::Place};
use serde_json::json;

use super::{ack, bury, dead, describe, discard, nack, payloads, publish, receive, receive_now, receive_one, redrive, seek};
use crate::{
    patterns::Bench,
    support::{invalid, now, sleep, timestamp},
};

pub async fn a_group_moves(bench: Bench) {
    publish(&bench, &["one", "two"]).await;
    // Times have milliseconds.
    sleep(20).await;
    let between = now();
    sleep(20).await;
    publish(&bench, &["three", "four"]).await;
    let received = receive(&bench, 3).await;
    let offset = received[1].offset.unwrap();
    for (place, expected) in [
        (Place::Offset(offset), &["two", "three", "four"][..]),
        (Place::Start(Start::Earliest.into()), &["one", "two", "three", "four"]),
        (Place::Time(timestamp(between)), &["three", "four"]),
        (Place::Start(Start::Latest.into()), &[]),
        (Place::Offset(u64::MAX >> 1), &[]),
        (Place::Time(timestamp(now() + 60_000)), &[]),
    ] {
        seek(&bench, Some(place)).await.unwrap();
        assert_eq!(payloads(&receive_now(&bench).await), expected, "{place:?}");
        assert_eq!(ack(&bench, &received).await.unwrap(), 0, "leases from before have ended");
    }
    publish(&bench, &["five"]).await;
    assert_eq!(payloads(&receive_now(&bench).await), ["five"]);
}

pub async fn a_new_group_can_be_made_at_a_place(bench: Bench) {
    publish(&bench, &["one", "two"]).await;
    let next = seek(&bench, Some(Place::Start(Start::Latest.into()))).await.unwrap();
    assert_eq!(describe(&bench).await.unwrap().next_offset, Some(next));
    publish(&bench, &["three"]).await;
    assert_eq!(payloads(&receive_now(&bench).await), ["three"]);
}

pub async fn a_place_is_needed(bench: Bench) {
    invalid(seek(&bench, None).await, "INVALID_FIELD", "place");
}

pub async fn the_numbers_of_a_group_add_up(bench: Bench) {
    let numbers = async || {
        let group = describe(&bench).await.unwrap();
        assert_eq!(group.next_offset.is_some(), bench.model() == "stream");
        (group.lag, group.in_flight, group.dead)
    };
    assert_eq!(numbers().await, (0, 0, 0));
    bury(&bench, &["dead"]).await;
    assert_eq!(numbers().await, (0, 0, 1));
    publish(&bench, &["one", "two", "three"]).await;
    assert_eq!(numbers().await, (3, 0, 1));
    let received = receive(&bench, 2).await;
    assert_eq!(numbers().await, (1, 2, 1));
    ack(&bench, &received[..1]).await.unwrap();
    assert_eq!(numbers().await, (1, 1, 1));
}

pub async fn dead_messages_are_listed_and_stay(bench: Bench) {
    assert!(dead(&bench).await.unwrap().is_empty());
    let bench = bury(&bench, &["one", "two"]).await;
    for _ in 0..2 {
        let listed = dead(&bench).await.unwrap();
        assert_eq!(payloads(&listed), ["one", "two"]);
        assert!(listed.iter().all(|message| message.headers.is_empty() && message.lease.is_empty()));
    }
    assert!(receive_now(&bench).await.is_empty());
}

pub async fn redriven_messages_are_delivered_again(bench: Bench) {
    assert_eq!(redrive(&bench, 0).await.unwrap(), 0);
    let bench = bury(&bench, &["one", "two", "three"]).await;
    for (limit, moved) in [(1, 1), (0, 2), (0, 0)] {
        assert_eq!(redrive(&bench, limit).await.unwrap(), moved);
    }
    let received = receive(&bench, 10).await;
    assert_eq!(payloads(&received), ["one", "two", "three"]);
    assert!(received.iter().all(|message| message.attempt == 1 && message.headers.is_empty()));
    assert!(dead(&bench).await.unwrap().is_empty());
}

pub async fn discarded_messages_are_gone(bench: Bench) {
    let bench = bury(&bench, &["one", "two", "three"]).await;
    invalid(discard(&bench, 0).await, "INVALID_FIELD", "limit");
    invalid(discard(&bench, 1001).await, "INVALID_FIELD", "limit");
    assert_eq!(discard(&bench, 2).await.unwrap(), 2);
    assert_eq!(payloads(&dead(&bench).await.unwrap()), ["three"]);
    assert_eq!(discard(&bench, 1000).await.unwrap(), 1);
    assert!(dead(&bench).await.unwrap().is_empty() && receive_now(&bench).await.is_empty());
    // A message that was alive meanwhile is not touched.
    let lively = bench.with(json!({})).await;
    publish(&lively, &["alive"]).await;
    let received = receive_one(&lively).await;
    nack(&lively, &received, Some(0)).await.unwrap();
    assert_eq!(receive_one(&lively).await.payload, "alive");
}
