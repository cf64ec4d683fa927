//! `pubsub_ordering`

use std::collections::{BTreeMap, BTreeSet};

use prism::{
    call::Messages,
    proto::models::pubsub::v1::{Message, PublishOrderedRequest, SubscribeOrderedRequest, SubscribeOrderedResponse},
};

use super::{attributes, event, subscribed};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, silent, stream_refusal},
};

suite! { "pubsub_ordering":
    sequences_begin_at_one_for_each_key;
    messages_have_key_and_sequence;
    a_subscription_to_one_key;
    concurrent_publishers_share_one_sequence;
    plain_messages_have_no_sequence;
    plain_subscriptions_see_ordered_messages;
    unsubscribe_ends_the_stream;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

impl Subject {
    async fn publish_ordered(&self, topic: &str, key: &str, payload: &str) -> u64 {
        let request = PublishOrderedRequest {
            topic: topic.to_owned(),
            ordering_key: key.to_owned(),
            payload: payload.to_owned().into(),
            attributes: BTreeMap::new(),
        };
        self.pubsub_ordering().publish_ordered(&self.context, request).await.unwrap().sequence
    }

    async fn subscribe_ordered(&self, topic: &str, key: &str, id: &str) -> Messages<SubscribeOrderedResponse> {
        let request = SubscribeOrderedRequest { topic: topic.to_owned(), ordering_key: key.to_owned(), subscription: id.to_owned() };
        let mut stream = self.pubsub_ordering().subscribe_ordered(&self.context, request).await.unwrap();
        subscribed(&mut stream).await;
        stream
    }
}

async fn message(stream: &mut Messages<SubscribeOrderedResponse>) -> Message {
    event(stream).await.message()
}

async fn sequences_begin_at_one_for_each_key(s: Subject) {
    for number in 1..=5 {
        assert_eq!(s.publish_ordered("orders", "a", "x").await, number);
    }
    assert_eq!(s.publish_ordered("orders", "b", "x").await, 1);
    assert_eq!(s.publish_ordered("others", "a", "x").await, 1);
    assert_eq!(s.publish_ordered("orders", "a", "x").await, 6);
}

async fn messages_have_key_and_sequence(s: Subject) {
    s.publish_ordered("orders", "a", "before").await;
    let mut stream = s.subscribe_ordered("orders", "", "").await;
    let request = PublishOrderedRequest {
        topic: "orders".to_owned(),
        ordering_key: "a".to_owned(),
        payload: "1".into(),
        attributes: attributes(&[("kind", "new")]),
    };
    s.pubsub_ordering().publish_ordered(&s.context, request).await.unwrap();
    s.publish_ordered("orders", "\u{6771}", "2").await;
    let first = message(&mut stream).await;
    assert_eq!((first.topic.as_str(), first.ordering_key.as_deref(), first.sequence), ("orders", Some("a"), 2));
    assert_eq!((&first.payload[..], first.attributes), (&b"1"[..], attributes(&[("kind", "new")])));
    let second = message(&mut stream).await;
    assert_eq!((second.ordering_key.as_deref(), second.sequence), (Some("\u{6771}"), 1));
}

async fn a_subscription_to_one_key(s: Subject) {
    let mut stream = s.subscribe_ordered("orders", "a", "").await;
    for number in 0..10 {
        s.publish_ordered("orders", if number % 2 == 0 { "a" } else { "b" }, "x").await;
    }
    for sequence in 1..=5 {
        let message = message(&mut stream).await;
        assert_eq!((message.ordering_key.as_deref(), message.sequence), (Some("a"), sequence));
    }
    silent(&mut stream).await;
}

async fn concurrent_publishers_share_one_sequence(s: Subject) {
    const PUBLISHERS: usize = 6;
    const EACH: usize = 25;
    let mut streams = [s.subscribe_ordered("orders", "", "").await, s.subscribe_ordered("orders", "key1", "").await];
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0..EACH {
                    let key = number % 2;
                    let payload = format!("{publisher}/{number}");
                    answers.push((key, s.publish_ordered("orders", &format!("key{key}"), &payload).await, payload));
                }
                answers
            })
        })
        .collect();
    let mut answered = BTreeMap::new();
    for publisher in publishers {
        for (key, sequence, payload) in publisher.await.unwrap() {
            assert_eq!(answered.insert((key, sequence), payload), None, "two messages are number {sequence} of key {key}");
        }
    }
    for key in 0..2 {
        let numbers: BTreeSet<u64> = answered.keys().filter(|(of, _)| *of == key).map(|(_, sequence)| *sequence).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "key {key} has gaps");
    }
    let mut next = [1, 1];
    for _ in 0..PUBLISHERS * EACH {
        let message = message(&mut streams[0]).await;
        let key = usize::from(message.ordering_key.as_deref() == Some("key1"));
        assert_eq!(message.sequence, next[key], "key {key}");
        assert_eq!(answered[&(key, message.sequence)].as_bytes(), &message.payload[..]);
        next[key] += 1;
    }
    for sequence in 1..next[1] {
        assert_eq!(message(&mut streams[1]).await.sequence, sequence);
    }
}

async fn plain_messages_have_no_sequence(s: Subject) {
    let mut stream = s.subscribe_ordered("orders", "", "").await;
    s.publish("orders", "plain").await;
    assert_eq!(s.publish_ordered("orders", "a", "1").await, 1);
    assert_eq!(&message(&mut stream).await.payload[..], b"1");
    silent(&mut stream).await;
}

async fn plain_subscriptions_see_ordered_messages(s: Subject) {
    let mut stream = s.subscribe("orders").await;
    s.publish_ordered("orders", "a", "1").await;
    let message = event(&mut stream).await.message();
    assert_eq!((message.ordering_key.as_deref(), message.sequence, &message.payload[..]), (Some("a"), 1, &b"1"[..]));
}

async fn unsubscribe_ends_the_stream(s: Subject) {
    let stream = s.subscribe_ordered("orders", "", "mine").await;
    assert!(s.unsubscribe("mine").await);
    assert!(all(stream).await.is_empty());
}

async fn keyspaces_are_isolated(s: Subject) {
    let other = s.other_keyspace();
    let mut theirs = other.subscribe_ordered("orders", "", "").await;
    assert_eq!(s.publish_ordered("orders", "a", "x").await, 1);
    assert_eq!(s.publish_ordered("orders", "a", "x").await, 2);
    assert_eq!(other.publish_ordered("orders", "a", "theirs").await, 1);
    assert_eq!(&message(&mut theirs).await.payload[..], b"theirs");
}

async fn bad_requests_are_refused(s: Subject) {
    let ordering = s.pubsub_ordering();
    let publish =
        |topic: &str, key: &str| PublishOrderedRequest { topic: topic.to_owned(), ordering_key: key.to_owned(), ..Default::default() };
    let subscribe = |topic: &str, key: &str, id: &str| SubscribeOrderedRequest {
        topic: topic.to_owned(),
        ordering_key: key.to_owned(),
        subscription: id.to_owned(),
    };
    for topic in ["", "a..b", "a.*"] {
        invalid(ordering.publish_ordered(&s.context, publish(topic, "a")).await, "INVALID_NAME", "topic");
        invalid(stream_refusal(ordering.subscribe_ordered(&s.context, subscribe(topic, "", "")).await).await, "INVALID_NAME", "topic");
    }
    let too_long = "k".repeat(257);
    for key in ["", &too_long] {
        invalid(ordering.publish_ordered(&s.context, publish("orders", key)).await, "INVALID_FIELD", "ordering_key");
    }
    let answer = ordering.subscribe_ordered(&s.context, subscribe("orders", &too_long, "")).await;
    invalid(stream_refusal(answer).await, "INVALID_FIELD", "ordering_key");
    let answer = ordering.subscribe_ordered(&s.context, subscribe("orders", "", &too_long)).await;
    invalid(stream_refusal(answer).await, "INVALID_NAME", "subscription");
    let bad = PublishOrderedRequest { attributes: attributes(&[("", "")]), ..publish("orders", "a") };
    invalid(ordering.publish_ordered(&s.context, bad).await, "INVALID_ATTRIBUTES", "attributes");
    // A key and a topic of the maximum length.
    assert_eq!(s.publish_ordered(&"t".repeat(200), &"k".repeat(256), "x").await, 1);
}
