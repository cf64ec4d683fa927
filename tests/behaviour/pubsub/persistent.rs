//! `pubsub_persistent`

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use prism::{
    call::{Code, Error, Messages},
    proto::models::pubsub::v1::{
        AcknowledgeRequest, DeleteDurableSubscriptionRequest, GetLastMessageIdRequest, GetLastMessageIdResponse, Message,
        PublishPersistentRequest, PublishPersistentResponse, StartPosition, SubscribeDurableRequest, SubscribeDurableResponse,
    },
};

use super::{attributes, event, payload, subscribed};
use crate::{
    subject::Subject,
    suite::suite,
    support::{end_with_error, invalid, now, refused, silent, since_1970, stream_refusal},
};

suite! { "pubsub_persistent":
    stored_messages_come_in_order;
    messages_are_returned_unchanged;
    payloads_of_all_kinds;
    a_new_subscription_begins_at_its_start;
    new_messages_arrive;
    a_stream_begins_behind_the_acknowledged_message;
    an_acknowledgement_never_moves_back;
    a_cursor_replaces_the_position;
    each_stream_gets_everything;
    subscriptions_are_independent;
    stored_messages_reach_plain_subscriptions;
    concurrent_publishers_get_different_sequences;
    a_dropped_publish_is_stored_completely_or_not_at_all;
    a_keyspace_that_is_requested_again_has_its_messages;
    the_last_message;
    deleting_a_subscription_ends_its_streams;
    a_deleted_subscription_is_forgotten;
    topics_and_keyspaces_are_isolated;
    cursors_belong_to_their_topic;
    bad_requests_are_refused;
}

impl Subject {
    pub(super) async fn persist(&self, topic: &str, payload: &str) -> PublishPersistentResponse {
        self.persist_with(topic, payload.to_owned(), BTreeMap::new()).await
    }

    async fn persist_with(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        attributes: BTreeMap<String, String>,
    ) -> PublishPersistentResponse {
        let request = PublishPersistentRequest { topic: topic.to_owned(), payload: payload.into(), attributes };
        self.pubsub_persistent().publish_persistent(&self.context, request).await.unwrap()
    }

    pub(super) async fn durable(&self, topic: &str, subscription: &str, start: StartPosition) -> Messages<SubscribeDurableResponse> {
        self.durable_behind(topic, subscription, start, "").await
    }

    async fn durable_behind(
        &self,
        topic: &str,
        subscription: &str,
        start: StartPosition,
        cursor: &str,
    ) -> Messages<SubscribeDurableResponse> {
        let request = SubscribeDurableRequest {
            topic: topic.to_owned(),
            subscription: subscription.to_owned(),
            start: start.into(),
            cursor: cursor.to_owned(),
        };
        let mut stream = self.pubsub_persistent().subscribe_durable(&self.context, request).await.unwrap();
        assert_eq!(subscribed(&mut stream).await, subscription);
        stream
    }

    pub(super) async fn acknowledge(&self, topic: &str, subscription: &str, cursor: &str) -> Result<(), Error> {
        let request = AcknowledgeRequest { topic: topic.to_owned(), subscription: subscription.to_owned(), cursor: cursor.to_owned() };
        self.pubsub_persistent().acknowledge(&self.context, request).await.map(drop)
    }

    async fn forget(&self, topic: &str, subscription: &str) -> bool {
        let request = DeleteDurableSubscriptionRequest { topic: topic.to_owned(), subscription: subscription.to_owned() };
        self.pubsub_persistent().delete_durable_subscription(&self.context, request).await.unwrap().deleted
    }

    async fn last_message(&self, topic: &str) -> GetLastMessageIdResponse {
        let request = GetLastMessageIdRequest { topic: topic.to_owned() };
        self.pubsub_persistent().get_last_message_id(&self.context, request).await.unwrap()
    }
}

const EARLIEST: StartPosition = StartPosition::Earliest;
const LATEST: StartPosition = StartPosition::Latest;

async fn message(stream: &mut Messages<SubscribeDurableResponse>) -> Message {
    event(stream).await.message()
}

async fn payloads(stream: &mut Messages<SubscribeDurableResponse>, count: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    for _ in 0..count {
        payloads.push(payload(stream).await);
    }
    payloads
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn stored_messages_come_in_order(s: Subject) {
    let mut last = 0;
    for number in numbers(0..50) {
        let answer = s.persist("news", &number).await;
        assert!(answer.sequence > last && !answer.cursor.is_empty(), "{answer:?} after {last}");
        last = answer.sequence;
    }
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    assert_eq!(payloads(&mut stream, 50).await, numbers(0..50));
    silent(&mut stream).await;
}

async fn messages_are_returned_unchanged(s: Subject) {
    let before = now();
    let answer = s.persist_with("news.eu", "text", attributes(&[("kind", "new"), ("gr\u{f6}\u{df}e", "\u{6771}\r\n\0")])).await;
    let mut stream = s.durable("news.eu", "mine", EARLIEST).await;
    let message = message(&mut stream).await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("news.eu", &b"text"[..]));
    assert_eq!(message.attributes, attributes(&[("kind", "new"), ("gr\u{f6}\u{df}e", "\u{6771}\r\n\0")]));
    assert_eq!((message.cursor, message.sequence, message.ordering_key), (answer.cursor, answer.sequence, None));
    let at = since_1970(message.publish_time.as_ref());
    assert!((before - 1000..=now() + 1000).contains(&at), "published at {at}");
}

async fn payloads_of_all_kinds(s: Subject) {
    let many: BTreeMap<String, String> = (0..64).map(|number| (format!("name{number:0124}"), "v".repeat(1024))).collect();
    let kinds = [
        (Bytes::new(), BTreeMap::new()),
        (Bytes::from_static(b"\xc3\x28\0\xff\r\n"), BTreeMap::new()),
        (Bytes::from("gr\u{f6}\u{df}e \u{6771}"), BTreeMap::new()),
        (Bytes::from(vec![7; 1 << 20]), BTreeMap::new()),
        (Bytes::from_static(b"x"), many),
    ];
    for (payload, attributes) in kinds.clone() {
        s.persist_with("news", payload, attributes).await;
    }
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    for (payload, attributes) in kinds {
        let message = message(&mut stream).await;
        assert!(message.payload == payload && message.attributes == attributes, "{} different bytes came", message.payload.len());
    }
}

async fn a_new_subscription_begins_at_its_start(s: Subject) {
    // Nothing is stored yet.
    let mut empty = s.durable("news", "before", EARLIEST).await;
    silent(&mut empty).await;
    s.persist("news", "old").await;
    let mut latest = s.durable("news", "latest", LATEST).await;
    let mut default = s.durable("news", "default", StartPosition::Unspecified).await;
    let mut earliest = s.durable("news", "earliest", EARLIEST).await;
    silent(&mut latest).await;
    s.persist("news", "new").await;
    for stream in [&mut empty, &mut earliest] {
        assert_eq!(payloads(stream, 2).await, ["old", "new"]);
    }
    for stream in [&mut latest, &mut default] {
        assert_eq!(payloads(stream, 1).await, ["new"]);
    }
    // The start of a subscription that exists is not used.
    let mut again = s.durable("news", "latest", EARLIEST).await;
    assert_eq!(payloads(&mut again, 1).await, ["new"]);
}

async fn new_messages_arrive(s: Subject) {
    let mut stream = s.durable("news", "mine", LATEST).await;
    for number in numbers(0..20) {
        s.persist("news", &number).await;
        assert_eq!(payload(&mut stream).await, number);
    }
}

async fn a_stream_begins_behind_the_acknowledged_message(s: Subject) {
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    let mut cursors = Vec::new();
    for number in numbers(0..5) {
        s.persist("news", &number).await;
        cursors.push(message(&mut stream).await.cursor);
    }
    drop(stream);
    // What was not acknowledged comes again.
    let mut stream = s.durable("news", "mine", LATEST).await;
    assert_eq!(payloads(&mut stream, 5).await, numbers(0..5));
    // An acknowledgement includes all earlier messages.
    s.acknowledge("news", "mine", &cursors[2]).await.unwrap();
    drop(stream);
    let mut stream = s.durable("news", "mine", LATEST).await;
    assert_eq!(payloads(&mut stream, 2).await, numbers(3..5));
    silent(&mut stream).await;
}

async fn an_acknowledgement_never_moves_back(s: Subject) {
    let mut cursors = Vec::new();
    for number in numbers(0..3) {
        cursors.push(s.persist("news", &number).await.cursor);
    }
    drop(s.durable("news", "mine", EARLIEST).await);
    for cursor in [1, 0, 1] {
        s.acknowledge("news", "mine", &cursors[cursor]).await.unwrap();
    }
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    assert_eq!(payloads(&mut stream, 1).await, ["2"]);
}

async fn a_cursor_replaces_the_position(s: Subject) {
    let mut cursors = Vec::new();
    for number in numbers(0..4) {
        cursors.push(s.persist("news", &number).await.cursor);
    }
    drop(s.durable("news", "mine", EARLIEST).await);
    let mut stream = s.durable_behind("news", "mine", LATEST, &cursors[1]).await;
    assert_eq!(payloads(&mut stream, 2).await, numbers(2..4));
    // The stored position has not moved.
    let mut stream = s.durable("news", "mine", LATEST).await;
    assert_eq!(payloads(&mut stream, 4).await, numbers(0..4));
    // A new subscription begins behind the cursor.
    let mut stream = s.durable_behind("news", "other", EARLIEST, &cursors[2]).await;
    assert_eq!(payloads(&mut stream, 1).await, ["3"]);
}

async fn each_stream_gets_everything(s: Subject) {
    let mut streams = [s.durable("news", "mine", EARLIEST).await, s.durable("news", "mine", EARLIEST).await];
    for number in numbers(0..10) {
        s.persist("news", &number).await;
    }
    for stream in &mut streams {
        assert_eq!(payloads(stream, 10).await, numbers(0..10));
    }
}

async fn subscriptions_are_independent(s: Subject) {
    let cursor = s.persist("news", "0").await.cursor;
    for subscription in ["one", "two"] {
        drop(s.durable("news", subscription, EARLIEST).await);
    }
    s.acknowledge("news", "one", &cursor).await.unwrap();
    silent(&mut s.durable("news", "one", EARLIEST).await).await;
    assert_eq!(payload(&mut s.durable("news", "two", EARLIEST).await).await, "0");
}

async fn stored_messages_reach_plain_subscriptions(s: Subject) {
    let mut plain = s.subscribe("news").await;
    let answer = s.persist("news", "stored").await;
    let message = event(&mut plain).await.message();
    assert_eq!((&message.payload[..], message.sequence), (&b"stored"[..], answer.sequence));
    assert!(message.publish_time.is_some() && message.ordering_key.is_none());
    silent(&mut plain).await;
}

async fn concurrent_publishers_get_different_sequences(s: Subject) {
    const EACH: usize = 25;
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    let publishers: Vec<_> = (0..6)
        .map(|publisher| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0..EACH {
                    let payload = format!("{publisher}/{number}");
                    answers.push((s.persist("news", &payload).await.sequence, payload));
                }
                answers
            })
        })
        .collect();
    let mut published = BTreeMap::new();
    for publisher in publishers {
        for (sequence, payload) in publisher.await.unwrap() {
            assert_eq!(published.insert(sequence, payload), None, "two messages have the sequence {sequence}");
        }
    }
    for (sequence, payload) in published {
        let message = message(&mut stream).await;
        assert_eq!((message.sequence, &message.payload[..]), (sequence, payload.as_bytes()));
    }
    silent(&mut stream).await;
}

async fn a_dropped_publish_is_stored_completely_or_not_at_all(s: Subject) {
    for round in 0..30_u64 {
        let request =
            PublishPersistentRequest { topic: "news".to_owned(), payload: vec![b'x'; 10_000].into(), attributes: BTreeMap::new() };
        let publisher = s.pubsub_persistent();
        let publish = publisher.publish_persistent(&s.context, request);
        // The call is polled at most a few times, then dropped.
        let _ = tokio::time::timeout(Duration::from_micros(round * 30), publish).await;
    }
    s.persist("news", "end").await;
    let mut stream = s.durable("news", "mine", EARLIEST).await;
    loop {
        let message = message(&mut stream).await;
        if &message.payload[..] == b"end" {
            break;
        }
        assert_eq!(message.payload.len(), 10_000);
    }
}

async fn a_keyspace_that_is_requested_again_has_its_messages(s: Subject) {
    let cursor = s.persist("news", "0").await.cursor;
    s.persist("news", "1").await;
    drop(s.durable("news", "mine", EARLIEST).await);
    s.acknowledge("news", "mine", &cursor).await.unwrap();
    let again = s.reopened();
    let mut stream = again.durable("news", "mine", EARLIEST).await;
    assert_eq!(payload(&mut stream).await, "1");
    again.persist("news", "2").await;
    assert_eq!(payload(&mut stream).await, "2");
}

async fn the_last_message(s: Subject) {
    assert_eq!(s.last_message("news").await, GetLastMessageIdResponse::default());
    for number in numbers(0..3) {
        let answer = s.persist("news", &number).await;
        let last = s.last_message("news").await;
        assert_eq!((last.cursor, last.sequence), (Some(answer.cursor), Some(answer.sequence)));
        assert!(last.publish_time.is_some());
    }
    let last = s.last_message("news").await;
    silent(&mut s.durable_behind("news", "mine", EARLIEST, &last.cursor.unwrap()).await).await;
}

async fn deleting_a_subscription_ends_its_streams(s: Subject) {
    s.persist("news", "0").await;
    let mut streams = [s.durable("news", "mine", EARLIEST).await, s.durable("news", "mine", LATEST).await];
    assert!(s.forget("news", "mine").await);
    for stream in &mut streams {
        refused::<()>(Err(end_with_error(stream).await), Code::NotFound, "SUBSCRIPTION_NOT_FOUND");
    }
    assert!(!s.forget("news", "mine").await);
}

async fn a_deleted_subscription_is_forgotten(s: Subject) {
    let cursor = s.persist("news", "0").await.cursor;
    let error = s.acknowledge("news", "mine", &cursor).await;
    refused(error, Code::NotFound, "SUBSCRIPTION_NOT_FOUND");
    drop(s.durable("news", "mine", EARLIEST).await);
    s.acknowledge("news", "mine", &cursor).await.unwrap();
    assert!(s.forget("news", "mine").await);
    refused(s.acknowledge("news", "mine", &cursor).await, Code::NotFound, "SUBSCRIPTION_NOT_FOUND");
    // The messages of the topic are not deleted.
    assert_eq!(payload(&mut s.durable("news", "mine", EARLIEST).await).await, "0");
}

async fn topics_and_keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    let longest = "t".repeat(200);
    let names = ["news", "news.eu", "gr\u{f6}\u{df}e", "a/b:c", "%_", &longest];
    for name in names {
        s.persist(name, name).await;
        other.persist(name, "theirs").await;
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let mut stream = s.durable(name, "mine", EARLIEST).await;
        let message = message(&mut stream).await;
        assert_eq!((message.topic.as_str(), &message.payload[..]), (name, name.as_bytes()));
        silent(&mut stream).await;
        seen.insert(message.topic);
    }
    assert_eq!(seen.len(), names.len());
    silent(&mut slot.durable("news", "mine", EARLIEST).await).await;
    assert!(!slot.forget("news.eu", "mine").await);
}

async fn cursors_belong_to_their_topic(s: Subject) {
    let cursor = s.persist("news", "0").await.cursor;
    s.persist("other", "0").await;
    drop(s.durable("other", "mine", EARLIEST).await);
    invalid(s.acknowledge("other", "mine", &cursor).await, "INVALID_CURSOR", "cursor");
    let request = SubscribeDurableRequest { topic: "other".to_owned(), subscription: "mine".to_owned(), start: 0, cursor };
    invalid(stream_refusal(s.pubsub_persistent().subscribe_durable(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
}

async fn bad_requests_are_refused(s: Subject) {
    let persistent = s.pubsub_persistent();
    let too_long = "n".repeat(201);
    for topic in ["", "a..b", "a.*", "a b", too_long.as_str()] {
        let topic = || topic.to_owned();
        let publish = PublishPersistentRequest { topic: topic(), ..Default::default() };
        invalid(persistent.publish_persistent(&s.context, publish).await, "INVALID_NAME", "topic");
        let subscribe = SubscribeDurableRequest { topic: topic(), subscription: "mine".to_owned(), ..Default::default() };
        invalid(stream_refusal(persistent.subscribe_durable(&s.context, subscribe).await).await, "INVALID_NAME", "topic");
        let last = GetLastMessageIdRequest { topic: topic() };
        invalid(persistent.get_last_message_id(&s.context, last).await, "INVALID_NAME", "topic");
        let forget = DeleteDurableSubscriptionRequest { topic: topic(), subscription: "mine".to_owned() };
        invalid(persistent.delete_durable_subscription(&s.context, forget).await, "INVALID_NAME", "topic");
    }
    for subscription in ["", too_long.as_str()] {
        let subscription = || subscription.to_owned();
        let subscribe = SubscribeDurableRequest { topic: "news".to_owned(), subscription: subscription(), ..Default::default() };
        invalid(stream_refusal(persistent.subscribe_durable(&s.context, subscribe).await).await, "INVALID_NAME", "subscription");
        let forget = DeleteDurableSubscriptionRequest { topic: "news".to_owned(), subscription: subscription() };
        invalid(persistent.delete_durable_subscription(&s.context, forget).await, "INVALID_NAME", "subscription");
    }
    drop(s.durable("news", "mine", EARLIEST).await);
    for cursor in ["", "no cursor", "AAAA"] {
        invalid(s.acknowledge("news", "mine", cursor).await, "INVALID_CURSOR", "cursor");
    }
    let attributes = attributes(&[("", "")]);
    let publish = PublishPersistentRequest { topic: "news".to_owned(), attributes, ..Default::default() };
    invalid(persistent.publish_persistent(&s.context, publish).await, "INVALID_ATTRIBUTES", "attributes");
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let payload = vec![0; usize::try_from(limit).unwrap() + 1].into();
        let publish = PublishPersistentRequest { topic: "news".to_owned(), payload, ..Default::default() };
        invalid(persistent.publish_persistent(&s.context, publish).await, "VALUE_TOO_LARGE", "payload");
    }
    assert_eq!(s.last_message("news").await.sequence, None);
}
