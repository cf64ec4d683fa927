//! `pubsub_wildcards`

use prism::{
    call::{Code, Messages},
    proto::models::pubsub::v1::{SubscribePatternRequest, SubscribePatternResponse},
};

use super::{event, payload, subscribed};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, refusal, refused, silent, stream_refusal},
};

suite! { "pubsub_wildcards":
    tokens_match_as_the_table_says;
    a_message_is_delivered_once;
    new_topics_match;
    messages_of_one_topic_come_in_order;
    unsubscribe_ends_the_stream;
    ids_are_shared_with_other_subscriptions;
    other_wildcards_match_literally;
    keyspaces_are_isolated;
    a_dropped_subscription_is_gone;
    bad_requests_are_refused;
}

impl Subject {
    async fn subscribe_pattern(&self, pattern: &str) -> Messages<SubscribePatternResponse> {
        self.subscribe_pattern_as(pattern, "").await
    }

    async fn subscribe_pattern_as(&self, pattern: &str, subscription: &str) -> Messages<SubscribePatternResponse> {
        let request = SubscribePatternRequest { pattern: pattern.to_owned(), subscription: subscription.to_owned() };
        let mut stream = self.pubsub_wildcards().subscribe_pattern(&self.context, request).await.unwrap();
        let id = subscribed(&mut stream).await;
        assert!(subscription.is_empty() || id == subscription);
        stream
    }
}

async fn tokens_match_as_the_table_says(s: Subject) {
    const TOPICS: [&str; 10] = [
        "orders",
        "orders.eu",
        "orders.eu.paid",
        "orders.us.paid",
        "orders.eu.paid.late",
        "orders.paid",
        "order",
        "orderss.eu",
        "paid",
        "x.eu",
    ];
    for (pattern, matching) in [
        ("orders.*.paid", &["orders.eu.paid", "orders.us.paid"][..]),
        ("orders.>", &["orders.eu", "orders.eu.paid", "orders.us.paid", "orders.eu.paid.late", "orders.paid"]),
        ("orders.*", &["orders.eu", "orders.paid"]),
        ("*", &["orders", "order", "paid"]),
        (">", &TOPICS),
        ("*.eu", &["orders.eu", "orderss.eu", "x.eu"]),
        ("*.*", &["orders.eu", "orders.paid", "orderss.eu", "x.eu"]),
        ("*.*.*", &["orders.eu.paid", "orders.us.paid"]),
        ("*.>", &["orders.eu", "orders.eu.paid", "orders.us.paid", "orders.eu.paid.late", "orders.paid", "orderss.eu", "x.eu"]),
        ("*.eu.>", &["orders.eu.paid", "orders.eu.paid.late"]),
        ("orders.*.*.late", &["orders.eu.paid.late"]),
        ("orders", &["orders"]),
        ("orders.eu", &["orders.eu"]),
        ("orders.eu.paid.late.>", &[]),
    ] {
        let mut stream = s.subscribe_pattern(pattern).await;
        for topic in TOPICS {
            s.publish(topic, topic).await;
        }
        for topic in matching {
            let message = event(&mut stream).await.message();
            assert_eq!((message.topic.as_str(), &message.payload[..]), (*topic, topic.as_bytes()), "{pattern}");
        }
        silent(&mut stream).await;
    }
}

async fn a_message_is_delivered_once(s: Subject) {
    // Other subscriptions to the same topics must not cause duplicates.
    let _others = [s.subscribe_pattern("*.b").await, s.subscribe_pattern("a.>").await];
    let mut exact = s.subscribe("a.b").await;
    let mut stream = s.subscribe_pattern("a.*").await;
    let mut same = s.subscribe_pattern("a.*").await;
    s.publish("a.b", "1").await;
    s.publish("a.b", "2").await;
    for number in ["1", "2"] {
        assert_eq!(payload(&mut stream).await, number);
        assert_eq!(payload(&mut same).await, number);
        assert_eq!(payload(&mut exact).await, number);
    }
    silent(&mut stream).await;
    silent(&mut same).await;
    silent(&mut exact).await;
}

async fn new_topics_match(s: Subject) {
    let mut stream = s.subscribe_pattern("fresh.>").await;
    for number in 0..20 {
        s.publish(&format!("fresh.{number}"), &number.to_string()).await;
        assert_eq!(payload(&mut stream).await, number.to_string());
    }
}

async fn messages_of_one_topic_come_in_order(s: Subject) {
    let mut stream = s.subscribe_pattern("a.*").await;
    for number in 0..100 {
        s.publish("a.b", &number.to_string()).await;
    }
    for number in 0..100 {
        assert_eq!(payload(&mut stream).await, number.to_string());
    }
}

async fn unsubscribe_ends_the_stream(s: Subject) {
    let stream = s.subscribe_pattern_as("a.*", "mine").await;
    assert!(s.unsubscribe("mine").await);
    assert!(all(stream).await.is_empty());
}

async fn ids_are_shared_with_other_subscriptions(s: Subject) {
    let _stream = s.subscribe_as("news", "mine").await;
    let request = SubscribePatternRequest { pattern: "a.*".to_owned(), subscription: "mine".to_owned() };
    let error = refusal(s.pubsub_wildcards().subscribe_pattern(&s.context, request).await).await;
    refused::<()>(Err(error), Code::AlreadyExists, "SUBSCRIPTION_IN_USE");
}

/// Wildcards of a backend's own syntax are plain characters.
async fn other_wildcards_match_literally(s: Subject) {
    for (pattern, not, yes) in [
        ("a?.*", "ab.c", "a?.c"),
        ("[ab].*", "a.c", "[ab].c"),
        ("a\\b.*", "ab.c", "a\\b.c"),
        ("a#.*", "ab.c", "a#.c"),
        ("%.*", "x.c", "%.c"),
        ("_.*", "x.c", "_.c"),
    ] {
        let mut stream = s.subscribe_pattern(pattern).await;
        s.publish(not, "no").await;
        s.publish(yes, "yes").await;
        assert_eq!(payload(&mut stream).await, "yes", "{pattern}");
    }
}

async fn keyspaces_are_isolated(s: Subject) {
    let other = s.other_keyspace();
    let (mut mine, mut theirs) = (s.subscribe_pattern(">").await, other.subscribe_pattern(">").await);
    s.publish("a.b", "mine").await;
    other.publish("a.b", "theirs").await;
    s.other_slot().publish("a.b", "third").await;
    assert_eq!(payload(&mut mine).await, "mine");
    assert_eq!(payload(&mut theirs).await, "theirs");
    silent(&mut mine).await;
}

async fn a_dropped_subscription_is_gone(s: Subject) {
    for _ in 0..50 {
        drop(s.subscribe_pattern("a.*").await);
    }
    let mut stream = s.subscribe_pattern("a.*").await;
    s.publish("a.b", "1").await;
    assert_eq!(payload(&mut stream).await, "1");
}

async fn bad_requests_are_refused(s: Subject) {
    let too_long = "t".repeat(201);
    for pattern in ["", "a..b", ".", "a.", ".a", "a b", "a*", "*a", "a.b*", ">.a", "a.>.b", "a>", ">>", "**", "a\n.*", too_long.as_str()] {
        let request = SubscribePatternRequest { pattern: pattern.to_owned(), subscription: String::new() };
        let answer = s.pubsub_wildcards().subscribe_pattern(&s.context, request).await;
        invalid(stream_refusal(answer).await, "INVALID_PATTERN", "pattern");
    }
    let request = SubscribePatternRequest { pattern: "a.*".to_owned(), subscription: too_long };
    let answer = s.pubsub_wildcards().subscribe_pattern(&s.context, request).await;
    invalid(stream_refusal(answer).await, "INVALID_NAME", "subscription");
}
