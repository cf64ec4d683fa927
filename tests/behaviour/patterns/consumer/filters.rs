//! Filters of Receive, Subscribe and Consume.

use std::collections::BTreeMap;

use prism::{
    call::Messages,
    proto::patterns::{
        consumer::v1::{
            ConsumeRequest, ConsumeResponse, Message, ReceiveRequest, ReceiveResponse, SubscribeRequest, SubscribeResponse,
            consume_request::{Begin, Request},
        },
        producer::v1::{OutgoingMessage, PublishBatchRequest, PublishBatchResponse},
    },
};

use super::{
    TOPIC, ack, describe, nack, payloads, receive_now, receive_one, receive_request, receive_with,
    streams::{OTHER, next_message, subscribe_live},
    topic,
};
use crate::{
    patterns::Bench,
    support::{invalid, next, silent, sleep, stream_refusal},
};

const PAID: &str = r#"headers.kind == "paid""#;

/// Publishes messages whose header `kind` is their payload up to the first space.
async fn publish_kinds(bench: &Bench, topic: &str, payloads: &[&str]) {
    let producer = bench.beside("producer").await;
    let to_message = |payload: &&str| OutgoingMessage {
        payload: (*payload).to_owned().into(),
        key: format!("key of {payload}"),
        headers: BTreeMap::from([("kind".to_owned(), payload.split(' ').next().unwrap_or_default().to_owned())]),
        ..OutgoingMessage::default()
    };
    for page in payloads.chunks(100) {
        let request = PublishBatchRequest { topic: topic.to_owned(), messages: page.iter().map(to_message).collect() };
        producer.call::<PublishBatchResponse>("PublishBatch", request).await.unwrap();
    }
}

fn receiving(filter: &str, limit: u32, wait: i64) -> ReceiveRequest {
    ReceiveRequest { filter: filter.to_owned(), discard_unmatched: true, ..receive_request(limit, wait) }
}

fn subscription(filter: &str) -> SubscribeRequest {
    SubscribeRequest { topic: topic(), filter: filter.to_owned(), discard_unmatched: true, ..SubscribeRequest::default() }
}

async fn next_payload(subscription: &mut Messages<SubscribeResponse>) -> String {
    let response = next(subscription).await;
    let message = response.message.unwrap_or_else(|| panic!("not a message: {:?} {:?}", response.gap, response.passed_over));
    String::from_utf8(message.payload.to_vec()).unwrap()
}

pub async fn a_group_passes_over_what_the_filter_does_not_match(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2", "sent 3", "sent 4", "paid 5", "paid 6", "sent 7"]).await;
    let first = receive_with(&bench, receiving(PAID, 2, 0)).await;
    let mut all = first.clone();
    while all.len() < 3 {
        all.extend(receive_with(&bench, receiving(PAID, 2, 10)).await);
    }
    assert_eq!(payloads(&all), ["paid 2", "paid 5", "paid 6"]);
    assert!(all.iter().all(|message| message.attempt == 1 && !message.lease.is_empty()));
    assert!(receive_with(&bench, receiving(PAID, 10, 0)).await.is_empty());
    let group = describe(&bench).await.unwrap();
    assert_eq!((group.lag, group.in_flight, group.dead), (0, 3, 0));
    assert_eq!(ack(&bench, &all).await.unwrap(), 3);
    assert!(receive_now(&bench).await.is_empty(), "what was passed over is acknowledged");
}

pub async fn a_filter_reads_topic_key_and_payload(bench: Bench) {
    let filter =
        r#"topic == "orders.eu" && key == "key of {\"amount\": 120, \"lines\": [\"b\"]}" && payload.amount >= 100 && "b" in payload.lines"#;
    let wanted = r#"{"amount": 120, "lines": ["b"]}"#;
    publish_kinds(&bench, TOPIC, &["no JSON", r#"{"amount": 99}"#, r#"{"amount": "120"}"#, wanted]).await;
    let mut received = Vec::new();
    while received.is_empty() {
        received = receive_with(&bench, receiving(filter, 10, 10)).await;
    }
    assert_eq!(payloads(&received), [wanted]);
}

pub async fn it_waits_for_a_message_that_the_filter_matches(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "sent 2"]).await;
    let (received, ()) = futures::join!(receive_with(&bench, receiving(PAID, 10, 10)), async {
        sleep(200).await;
        publish_kinds(&bench, TOPIC, &["sent 3"]).await;
        sleep(200).await;
        publish_kinds(&bench, TOPIC, &["paid 4"]).await;
    });
    assert_eq!(payloads(&received), ["paid 4"]);
}

pub async fn one_call_passes_over_a_bounded_number(bench: Bench) {
    let mut all = vec!["sent"; 1100];
    all.push("paid");
    publish_kinds(&bench, TOPIC, &all).await;
    assert!(receive_with(&bench, receiving(PAID, 10, 0)).await.is_empty());
    assert_eq!(describe(&bench).await.unwrap().lag, 101, "the group is behind the messages that were passed over");
    assert_eq!(payloads(&receive_with(&bench, receiving(PAID, 10, 0)).await), ["paid"]);
}

pub async fn a_filter_also_applies_to_messages_that_come_again(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1"]).await;
    let received = receive_one(&bench).await;
    nack(&bench, &received, Some(0)).await.unwrap();
    assert!(receive_with(&bench, receiving(PAID, 10, 0)).await.is_empty());
    assert_eq!(describe(&bench).await.unwrap().in_flight, 0);
    assert!(receive_now(&bench).await.is_empty());
}

pub async fn filters_are_checked(bench: Bench) {
    let wrong = receiving("headers.kind == 1", 1, 0);
    invalid(bench.call::<ReceiveResponse>("Receive", wrong).await, "INVALID_FILTER", "filter");
    if bench.model() == "queue" {
        let careless = ReceiveRequest { discard_unmatched: false, ..receiving(PAID, 1, 0) };
        invalid(bench.call::<ReceiveResponse>("Receive", careless).await, "INVALID_FIELD", "discard_unmatched");
    }
}

pub async fn cursors_pass_over_what_the_filter_does_not_match(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2", "sent 3", "paid 4"]).await;
    let mut filtered = bench.stream::<SubscribeResponse>("Subscribe", subscription(PAID)).await.unwrap();
    let first = next(&mut filtered).await;
    assert_eq!(payloads(&[first.message.unwrap()]), ["paid 2"]);
    assert_eq!(next_payload(&mut filtered).await, "paid 4");
    let continued = |filter| SubscribeRequest { cursor: first.cursor.clone(), ..subscription(filter) };
    let mut filtered_again = bench.stream::<SubscribeResponse>("Subscribe", continued(PAID)).await.unwrap();
    assert_eq!(next_payload(&mut filtered_again).await, "paid 4");
    // A cursor belongs to the topic, not to the filter.
    let mut all = bench.stream::<SubscribeResponse>("Subscribe", continued("")).await.unwrap();
    assert_eq!((next_payload(&mut all).await, next_payload(&mut all).await), ("sent 3".to_owned(), "paid 4".to_owned()));
    publish_kinds(&bench, TOPIC, &["sent 5"]).await;
    silent(&mut filtered).await;
    // After many messages, the subscription has a cursor behind them.
    publish_kinds(&bench, TOPIC, &vec!["sent"; 1000]).await;
    let (mut passed_over, mut cursor) = (0, String::new());
    while passed_over < 1000 {
        let event = next(&mut filtered).await;
        assert_eq!((event.message, event.gap), (None, None));
        passed_over += event.passed_over.unwrap();
        cursor = event.cursor;
    }
    publish_kinds(&bench, TOPIC, &["end"]).await;
    let mut rest = bench.stream::<SubscribeResponse>("Subscribe", SubscribeRequest { cursor, ..subscription("") }).await.unwrap();
    while next_payload(&mut rest).await != "end" {
        passed_over += 1;
    }
    assert_eq!(passed_over, 1001, "the cursor is behind the messages that were passed over");
}

pub async fn a_filter_knows_the_topic(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2"]).await;
    publish_kinds(&bench, OTHER, &["sent 3", "paid 4"]).await;
    let filter = format!(r#"topic == "{OTHER}" || {PAID}"#);
    let request = SubscribeRequest { topic: String::new(), topics: vec![topic(), OTHER.to_owned()], ..subscription(&filter) };
    let mut both = bench.stream::<SubscribeResponse>("Subscribe", request).await.unwrap();
    let mut received = vec![next_payload(&mut both).await, next_payload(&mut both).await, next_payload(&mut both).await];
    received.sort();
    assert_eq!(received, ["paid 2", "paid 4", "sent 3"]);
    silent(&mut both).await;
}

pub async fn a_subscription_of_a_group_has_a_filter(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2", "sent 3", "paid 4"]).await;
    let request = SubscribeRequest { group: "default".to_owned(), auto_ack: true, ..subscription(PAID) };
    let mut filtered = bench.stream::<SubscribeResponse>("Subscribe", request).await.unwrap();
    assert_eq!((next_payload(&mut filtered).await, next_payload(&mut filtered).await), ("paid 2".to_owned(), "paid 4".to_owned()));
    publish_kinds(&bench, TOPIC, &["sent 5", "paid 6"]).await;
    assert_eq!(next_payload(&mut filtered).await, "paid 6");
}

/// The messages with which [`subscribe_live`] finds out whether a subscription has begun have no kind.
fn paid_or_probe() -> String {
    format!("!has(headers.kind) || {PAID}")
}

async fn next_kind<T>(events: &mut Messages<T>, message_of: impl Fn(T) -> Option<Message>) -> String {
    loop {
        let message = message_of(next(events).await).expect("a message");
        if message.headers.contains_key("kind") {
            return String::from_utf8(message.payload.to_vec()).unwrap();
        }
    }
}

pub async fn a_filter_leaves_out_live_messages(bench: Bench) {
    let stream = bench.stream::<SubscribeResponse>("Subscribe", subscription(&paid_or_probe())).await.unwrap();
    let mut filtered = subscribe_live(&bench, stream, |event| event.message.is_some()).await;
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2", "sent 3", "paid 4"]).await;
    let mut received = async || next_kind(&mut filtered, |event: SubscribeResponse| event.message).await;
    assert_eq!((received().await, received().await), ("paid 2".to_owned(), "paid 4".to_owned()));
}

pub async fn filters_of_subscriptions_are_checked(bench: Bench) {
    let refused = async |request| stream_refusal(bench.stream::<SubscribeResponse>("Subscribe", request).await).await;
    for filter in ["headers.kind == 1", "kind == \"paid\"", "key", "headers.kind =="] {
        invalid(refused(subscription(filter)).await, "INVALID_FILTER", "filter");
    }
    if bench.model() == "queue" {
        let careless = SubscribeRequest { discard_unmatched: false, ..subscription(PAID) };
        invalid(refused(careless).await, "INVALID_FIELD", "discard_unmatched");
    }
}

fn begin(filter: &str) -> ConsumeRequest {
    let begin = Begin { topic: topic(), credits: 10, filter: filter.to_owned(), discard_unmatched: true, ..Begin::default() };
    ConsumeRequest { request: Some(Request::Begin(begin)) }
}

pub async fn a_consumer_has_a_filter(bench: Bench) {
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2", "sent 3", "paid 4"]).await;
    let (requests, mut events) = bench.exchange::<_, ConsumeResponse>("Consume", begin(PAID)).await.unwrap();
    assert_eq!((next_message(&mut events).await.payload, next_message(&mut events).await.payload), ("paid 2".into(), "paid 4".into()));
    silent(&mut events).await;
    drop((requests, events));
    assert!(receive_now(&bench).await.is_empty());
}

pub async fn a_consumer_of_a_live_topic_has_a_filter(bench: Bench) {
    use prism::proto::patterns::consumer::v1::consume_response::Event;

    let message_of = |response: ConsumeResponse| match response.event {
        Some(Event::Message(message)) => Some(message),
        _ => None,
    };
    let many = Begin { topic: topic(), credits: 10_000, filter: paid_or_probe(), ..Begin::default() };
    let first = ConsumeRequest { request: Some(Request::Begin(many)) };
    let (_requests, events) = bench.exchange::<_, ConsumeResponse>("Consume", first).await.unwrap();
    let mut events = subscribe_live(&bench, events, |response| message_of(response).is_some()).await;
    publish_kinds(&bench, TOPIC, &["sent 1", "paid 2"]).await;
    assert_eq!(next_kind(&mut events, message_of).await, "paid 2");
}

pub async fn filters_of_consumers_are_checked(bench: Bench) {
    let refused = async |first| match bench.exchange::<_, ConsumeResponse>("Consume", first).await {
        Ok((_requests, events)) => stream_refusal(Ok(events)).await,
        Err(error) => Err(error),
    };
    invalid(refused(begin("headers.kind == 1")).await, "INVALID_FILTER", "begin.filter");
    if bench.model() == "queue" {
        let careless = Begin { topic: topic(), filter: PAID.to_owned(), ..Begin::default() };
        let refusal = refused(ConsumeRequest { request: Some(Request::Begin(careless)) }).await;
        invalid(refusal, "INVALID_FIELD", "begin.discard_unmatched");
    }
}
