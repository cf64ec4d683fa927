//! Receive, Ack, Nack and Extend.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use prism::{
    call::Code,
    proto::patterns::{
        consumer::v1::{AckRequest, AckResponse, ReceiveRequest, ReceiveResponse, Start},
        producer::v1::{PublishRequest, PublishResponse},
    },
};
use serde_json::json;

use super::{
    ack, dead, describe, extend, nack, payloads, publish, receive, receive_now, receive_one, receive_request, receive_with, topic,
};
use crate::{
    patterns::Bench,
    support::{eventually, invalid, millis, now, refused, seconds, since_1970, sleep},
};

fn of_group(group: &str, request: ReceiveRequest) -> ReceiveRequest {
    ReceiveRequest { group: group.to_owned(), ..request }
}

pub async fn messages_are_received_in_order_with_all_that_was_published(bench: Bench) {
    let producer = bench.beside("producer").await;
    for payload in ["one", "two", "three"] {
        let headers = BTreeMap::from([("kind".to_owned(), payload.to_uppercase())]);
        let (key, payload) = (format!("key of {payload}"), payload.into());
        let request = PublishRequest { topic: topic(), payload, key, headers, ..PublishRequest::default() };
        producer.call::<PublishResponse>("Publish", request).await.unwrap();
    }
    let mut received = receive(&bench, 2).await;
    received.extend(receive(&bench, 2).await);
    assert_eq!(payloads(&received), ["one", "two", "three"]);
    for message in &received {
        let payload = std::str::from_utf8(&message.payload).unwrap();
        assert_eq!((message.key.clone(), message.attempt), (format!("key of {payload}"), 1));
        assert_eq!(message.headers, BTreeMap::from([("kind".to_owned(), payload.to_uppercase())]));
        assert!(since_1970(message.lease_expire_time.as_ref()) > now() + 20_000, "the lease of the settings is 30 s");
        assert_eq!(message.offset.is_some(), bench.model() == "stream");
    }
    assert!(receive_now(&bench).await.is_empty());
}

pub async fn it_waits_for_a_message(bench: Bench) {
    let (received, ()) = futures::join!(receive_one(&bench), async {
        sleep(300).await;
        publish(&bench, &["late"]).await;
    });
    assert_eq!(received.payload, "late");
    let mut hurried = bench.with(json!({})).await;
    hurried.context = hurried.context.with_timeout(std::time::Duration::from_secs(2));
    assert!(receive(&hurried, 1).await.is_empty(), "the wait ends before the deadline of the call");
}

pub async fn a_message_goes_to_one_consumer(bench: Bench) {
    let all: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    publish(&bench, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let received = join_all((0..10).map(|_| receive(&bench, 2))).await.concat();
    assert_eq!((received.len(), payloads(&received).into_iter().collect::<BTreeSet<_>>().len()), (20, 20));
}

pub async fn a_message_comes_back_when_its_lease_ends(bench: Bench) {
    publish(&bench, &["x"]).await;
    let request = ReceiveRequest { lease_duration: Some(seconds(1)), ..receive_request(1, 0) };
    let first = receive_with(&bench, request).await.pop().unwrap();
    assert!(receive_now(&bench).await.is_empty());
    let second = receive_one(&bench).await;
    assert_eq!((second.payload, second.attempt), (first.payload.clone(), 2));
    assert_eq!(ack(&bench, &[first]).await.unwrap(), 0, "its lease has ended");
}

pub async fn gateways_share_a_group(bench: Bench) {
    let other = bench.on_other_gateway().await;
    publish(&bench, &["0", "1", "2", "3", "4", "5"]).await;
    let (ours, theirs) = futures::join!(receive(&bench, 3), receive(&other, 3));
    let received = [ours, theirs].concat();
    assert_eq!(payloads(&received).into_iter().collect::<BTreeSet<_>>().len(), 6);
    assert_eq!(ack(&other, &received).await.unwrap(), 6, "leases are valid on all gateways");
    assert!(receive_now(&bench).await.is_empty() && receive_now(&other).await.is_empty());
}

pub async fn each_group_gets_all_messages(bench: Bench) {
    publish(&bench, &["one", "two"]).await;
    for group in ["billing", "shipping", "default"] {
        let received = receive_with(&bench, of_group(group, receive_request(10, 0))).await;
        assert_eq!(payloads(&received), ["one", "two"], "{group}");
    }
    assert!(receive_now(&bench).await.is_empty(), "no name is `default`");
}

pub async fn a_new_group_can_begin_at_the_end(bench: Bench) {
    publish(&bench, &["old"]).await;
    let request = || ReceiveRequest { start: Start::Latest.into(), ..receive_request(10, 0) };
    assert!(receive_with(&bench, request()).await.is_empty());
    publish(&bench, &["new"]).await;
    assert_eq!(payloads(&receive_with(&bench, request()).await), ["new"]);
}

pub async fn messages_in_flight_are_bounded(bench: Bench) {
    let bench = bench.with(json!({"max_in_flight": 2})).await;
    publish(&bench, &["one", "two", "three"]).await;
    let received = receive(&bench, 10).await;
    assert_eq!(payloads(&received), ["one", "two"]);
    assert!(receive_now(&bench).await.is_empty());
    let (third, acknowledged) = futures::join!(receive_one(&bench), async {
        sleep(100).await;
        ack(&bench, &received[..1]).await
    });
    assert_eq!((&third.payload[..], acknowledged.unwrap()), (&b"three"[..], 1));
}

pub async fn queues_have_one_group(bench: Bench) {
    let refused = bench.call::<ReceiveResponse>("Receive", of_group("billing", receive_request(1, 0))).await;
    invalid(refused, "INVALID_FIELD", "group");
    publish(&bench, &["x"]).await;
    assert_eq!(payloads(&receive_with(&bench, of_group("default", receive_request(1, 10))).await), ["x"]);
}

pub async fn requests_are_checked(bench: Bench) {
    let refused = async |request| bench.call::<ReceiveResponse>("Receive", request).await;
    invalid(refused(ReceiveRequest { topic: "a b".to_owned(), ..receive_request(1, 0) }).await, "INVALID_NAME", "topic");
    invalid(refused(of_group("a b", receive_request(1, 0))).await, "INVALID_NAME", "group");
    invalid(refused(receive_request(101, 0)).await, "INVALID_FIELD", "limit");
    invalid(refused(receive_request(1, 21)).await, "INVALID_FIELD", "wait");
    let short = ReceiveRequest { lease_duration: Some(millis(999)), ..receive_request(1, 0) };
    invalid(refused(short).await, "INVALID_FIELD", "lease_duration");
}

pub async fn acknowledged_messages_are_gone(bench: Bench) {
    publish(&bench, &["one", "two", "three"]).await;
    let received = receive(&bench, 3).await;
    assert_eq!(ack(&bench, &received[1..]).await.unwrap(), 2);
    assert_eq!(ack(&bench, &received).await.unwrap(), 1, "two leases had ended");
    assert!(receive_now(&bench).await.is_empty());
    let group = describe(&bench).await.unwrap();
    assert_eq!((group.lag, group.in_flight, group.dead), (0, 0, 0));
}

pub async fn leases_are_checked(bench: Bench) {
    publish(&bench, &["x"]).await;
    let received = receive_one(&bench).await;
    let request = |leases: Vec<String>| AckRequest { topic: topic(), leases, ..AckRequest::default() };
    for lease in ["", "x", &received.lease[1..]] {
        let refused = bench.call::<AckResponse>("Ack", request(vec![received.lease.clone(), lease.to_owned()])).await;
        invalid(refused, "INVALID_LEASE", "leases");
    }
    for count in [0, 101] {
        let refused = bench.call::<AckResponse>("Ack", request(vec![received.lease.clone(); count])).await;
        invalid(refused, "BATCH_SIZE", "leases");
    }
    let elsewhere = AckRequest { topic: "other".to_owned(), ..request(vec![received.lease.clone()]) };
    invalid(bench.call::<AckResponse>("Ack", elsewhere).await, "INVALID_LEASE", "leases");
    assert_eq!(ack(&bench, &[received]).await.unwrap(), 1);
}

pub async fn a_failed_message_comes_back_after_the_delay_of_the_settings(bench: Bench) {
    let bench = bench.with(json!({"retry_delay": "200ms"})).await;
    publish(&bench, &["x"]).await;
    let mut failed_at = now();
    for attempt in 1..=3 {
        let received = receive_one(&bench).await;
        assert_eq!(received.attempt, attempt);
        let delay = if attempt == 1 { 0 } else { 200 << (attempt - 2) };
        assert!(now() >= failed_at + delay, "delivery {attempt} came too early");
        failed_at = now();
        let failed = nack(&bench, &received, None).await.unwrap();
        assert!(!failed.dead && since_1970(failed.retry_time.as_ref()) >= failed_at + (200 << (attempt - 1)));
    }
}

pub async fn a_failed_message_comes_back_after_the_delay_of_the_request(bench: Bench) {
    publish(&bench, &["x"]).await;
    let received = receive_one(&bench).await;
    nack(&bench, &received, Some(0)).await.unwrap();
    refused(nack(&bench, &received, Some(0)).await, Code::FailedPrecondition, "LEASE_LOST");
    let received = receive_now(&bench).await.pop().expect("it is ready at once");
    assert_eq!(received.attempt, 2);
    invalid(nack(&bench, &received, Some(43_201_000)).await, "INVALID_FIELD", "delay");
    nack(&bench, &received, Some(3_600_000)).await.unwrap();
    assert!(receive_now(&bench).await.is_empty());
}

pub async fn after_the_last_delivery_a_message_is_dead(bench: Bench) {
    let bench = bench.with(json!({"max_attempts": 2, "retry_delay": "1ms", "lease_duration": "1s"})).await;
    publish(&bench, &["fails"]).await;
    for last in [false, true] {
        let received = receive_one(&bench).await;
        assert_eq!(nack(&bench, &received, None).await.unwrap().dead, last);
    }
    publish(&bench, &["hangs"]).await;
    for _ in 0..2 {
        assert_eq!(receive_one(&bench).await.payload, "hangs");
    }
    let both = || async { receive_now(&bench).await.is_empty() && dead(&bench).await.unwrap().len() == 2 };
    eventually("both are dead", both).await;
    assert_eq!(payloads(&dead(&bench).await.unwrap()), ["fails", "hangs"]);
}

pub async fn a_lease_is_extended(bench: Bench) {
    let bench = bench.with(json!({"lease_duration": "1s"})).await;
    publish(&bench, &["x"]).await;
    let received = receive_one(&bench).await;
    let extended = extend(&bench, &received, 60).await.unwrap();
    assert!(since_1970(extended.lease_expire_time.as_ref()) > now() + 50_000);
    sleep(1200).await;
    assert!(receive_now(&bench).await.is_empty());
    assert_eq!(ack(&bench, std::slice::from_ref(&received)).await.unwrap(), 1);
    refused(extend(&bench, &received, 60).await, Code::FailedPrecondition, "LEASE_LOST");
}
