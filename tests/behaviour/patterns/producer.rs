//! Producer.

use std::collections::BTreeMap;

use futures::future::join_all;
use prism::{
    call::{Code, Error, Messages},
    proto::patterns::{
        consumer::v1::{Message, ReceiveRequest, ReceiveResponse, SubscribeRequest, SubscribeResponse},
        producer::v1::{
            GetCapabilitiesRequest, GetCapabilitiesResponse, OutgoingMessage, PublishBatchRequest, PublishBatchResponse, PublishRequest,
            PublishResponse, PublishStreamRequest, PublishStreamResponse,
            delivery::{Guarantee, Model},
        },
    },
};
use serde_json::json;

use super::{
    Bench, MODELS, pattern_suite,
    payloads::{
        a_stream_that_fails_publishes_nothing, a_streamed_payload_arrives, an_id_is_unique_with_a_streamed_payload,
        it_needs_the_slot_payloads, large_payloads_arrive, payloads_expire,
    },
};
use crate::support::{eventually, invalid, millis, next, now, refused, seconds};

pattern_suite! { "producer", MODELS;
    GetCapabilities {
        the_guarantee_follows_the_model;
    }
    Publish {
        a_message_arrives_with_all_that_was_published;
        messages_arrive_in_order;
        an_id_is_published_once needs "ids";
        of_concurrent_calls_with_one_id_one_publishes needs "ids";
        an_id_is_published_once_on_all_gateways needs "ids", "shared";
        an_id_needs_the_slot_ids needs "!ids";
        a_refused_message_does_not_use_its_id_up needs "ids";
        a_delayed_message_waits needs "queue", "messaging/queue_delayed";
        a_delay_is_refused needs "!queue";
        a_higher_priority_comes_first needs "queue", "messaging/queue_priority";
        a_priority_is_refused needs "!queue";
        requests_are_checked;
        large_payloads_arrive needs "payloads";
        payloads_expire needs "payloads", "groups";
    }
    PublishPayload {
        a_streamed_payload_arrives needs "payloads";
        an_id_is_unique_with_a_streamed_payload needs "payloads", "ids";
        a_stream_that_fails_publishes_nothing needs "payloads";
        it_needs_the_slot_payloads needs "!payloads";
    }
    PublishBatch {
        a_batch_arrives_in_order;
        a_batch_is_checked_before_anything_is_published;
        duplicates_of_a_batch_are_marked needs "ids";
    }
    PublishStream {
        a_stream_arrives_in_order;
        an_error_says_how_many_were_published;
    }
}

fn message(payload: &str) -> PublishRequest {
    PublishRequest { topic: "orders.eu".to_owned(), payload: payload.to_owned().into(), ..PublishRequest::default() }
}

fn message_with_id(id: &str) -> PublishRequest {
    PublishRequest { id: id.to_owned(), ..message(id) }
}

fn outgoing(payload: &str) -> OutgoingMessage {
    OutgoingMessage { payload: payload.to_owned().into(), ..OutgoingMessage::default() }
}

async fn publish(bench: &Bench, request: PublishRequest) -> Result<PublishResponse, Error> {
    bench.call("Publish", request).await
}

/// Reads the messages of the topic `orders.eu`. It is opened before messages are published, since live topics store none.
pub struct Reader {
    pub consumer: Bench,
    subscription: Option<Messages<SubscribeResponse>>,
}

impl Reader {
    pub async fn open(bench: &Bench) -> Self {
        let consumer = bench.beside("consumer").await;
        let request = SubscribeRequest { topic: "orders.eu".to_owned(), ..SubscribeRequest::default() };
        let subscription = if bench.model() == "queue" { None } else { Some(consumer.stream("Subscribe", request).await.unwrap()) };
        let mut reader = Self { consumer, subscription };
        if bench.model() == "pubsub" {
            // The first event of a live topic says that the subscription is there; the pattern does not show it.
            let producer = bench.beside("producer").await;
            let began = std::time::Instant::now();
            let subscription = reader.subscription.as_mut().unwrap();
            loop {
                publish(&producer, message("are you there?")).await.unwrap();
                let waited = tokio::time::timeout(std::time::Duration::from_millis(100), futures::StreamExt::next(subscription)).await;
                if waited.is_ok() {
                    break;
                }
                assert!(began.elapsed() < crate::support::PATIENCE, "the subscription never began");
            }
        }
        reader
    }

    /// Returns the next message.
    pub async fn next(&mut self) -> Message {
        if let Some(subscription) = &mut self.subscription {
            loop {
                let message = next(subscription).await.message.expect("a message");
                if message.payload != "are you there?" {
                    return message;
                }
            }
        }
        let request = ReceiveRequest { topic: "orders.eu".to_owned(), wait: Some(seconds(10)), ..ReceiveRequest::default() };
        self.consumer.call::<ReceiveResponse>("Receive", request).await.unwrap().messages.pop().expect("a message")
    }

    async fn payloads(&mut self, count: usize) -> Vec<String> {
        let mut payloads = vec![];
        for _ in 0..count {
            payloads.push(String::from_utf8(self.next().await.payload.to_vec()).unwrap());
        }
        payloads
    }

    /// Checks that nothing else was published: the next message is the one that is published now.
    pub async fn ends(&mut self, bench: &Bench) {
        publish(bench, message("the end")).await.unwrap();
        assert_eq!(self.next().await.payload, "the end");
    }
}

async fn the_guarantee_follows_the_model(bench: Bench) {
    let response: GetCapabilitiesResponse = bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let delivery = response.delivery.unwrap();
    let (model, guarantee) = match bench.model() {
        "stream" => (Model::Stream, Guarantee::AtLeastOnce),
        "queue" => (Model::Queue, Guarantee::AtLeastOnce),
        _ => (Model::Pubsub, Guarantee::AtMostOnce),
    };
    assert_eq!((delivery.model(), delivery.guarantee(), delivery.deduplication), (model, guarantee, bench.fills("ids")));
    let capabilities = response.capabilities.unwrap();
    let prefix = format!("{}_", bench.model());
    assert!(capabilities.slots[0].interfaces.iter().all(|interface| interface.starts_with(&prefix)), "only those of the model are used");
    let interface = &capabilities.operations.iter().find(|operation| operation.rpc == "Publish").unwrap().interface;
    assert!(!interface.is_empty());
}

async fn a_message_arrives_with_all_that_was_published(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let before = now();
    let headers = BTreeMap::from([("kind".to_owned(), "paid".to_owned())]);
    let published =
        publish(&bench, PublishRequest { key: "customer-7".to_owned(), headers: headers.clone(), ..message("x") }).await.unwrap();
    assert_eq!((published.offset.is_some(), published.duplicate), (bench.model() == "stream", false));
    let received = reader.next().await;
    assert_eq!((&received.payload[..], received.key.as_str(), &received.headers), (&b"x"[..], "customer-7", &headers));
    assert_eq!((received.id, received.offset), (published.id, published.offset));
    assert!((before - 1000..=now() + 1000).contains(&crate::support::since_1970(received.publish_time.as_ref())));
}

async fn messages_arrive_in_order(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let payloads: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for payload in &payloads {
        publish(&bench, PublishRequest { key: "k".to_owned(), ..message(payload) }).await.unwrap();
    }
    assert_eq!(reader.payloads(20).await, payloads);
}

async fn an_id_is_published_once(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let first = publish(&bench, message_with_id("a")).await.unwrap();
    assert_eq!((first.id.as_str(), first.duplicate), ("a", false));
    let second = publish(&bench, PublishRequest { payload: "other".into(), ..message_with_id("a") }).await.unwrap();
    assert_eq!((second.id.as_str(), second.offset, second.duplicate), ("a", first.offset, true));
    let elsewhere = publish(&bench, PublishRequest { topic: "other".to_owned(), ..message_with_id("a") }).await.unwrap();
    assert!(!elsewhere.duplicate);
    let received = reader.next().await;
    assert_eq!((received.id.as_str(), &received.payload[..]), ("a", &b"a"[..]));
    reader.ends(&bench).await;
    let short = bench.with(json!({"retention": "1s"})).await;
    assert!(!publish(&short, message_with_id("b")).await.unwrap().duplicate);
    eventually("the retention passes", || async { !publish(&short, message_with_id("b")).await.unwrap().duplicate }).await;
}

async fn of_concurrent_calls_with_one_id_one_publishes(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let all = join_all((0..8).map(|_| publish(&bench, message_with_id("a")))).await;
    assert_eq!(all.iter().filter(|result| result.as_ref().is_ok_and(|published| !published.duplicate)).count(), 1);
    for error in all.into_iter().filter_map(Result::err) {
        assert_eq!((error.code(), error.reason()), (Code::Aborted, "PUBLISH_IN_PROGRESS"));
        assert!(error.retry_after().is_some());
    }
    assert_eq!(reader.next().await.id, "a");
    reader.ends(&bench).await;
}

async fn an_id_is_published_once_on_all_gateways(bench: Bench) {
    let other = bench.on_other_gateway().await;
    assert!(!publish(&bench, message_with_id("a")).await.unwrap().duplicate);
    assert!(publish(&other, message_with_id("a")).await.unwrap().duplicate);
}

async fn an_id_needs_the_slot_ids(bench: Bench) {
    let error = refused(publish(&bench, message_with_id("a")).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert!(error.message().contains("`ids`"), "{error}");
}

async fn a_refused_message_does_not_use_its_id_up(bench: Bench) {
    let largest = usize::try_from(bench.capabilities().await.limits.unwrap().max_value_bytes).unwrap();
    let too_large = PublishRequest { payload: vec![0; largest + 1].into(), ..message_with_id("a") };
    invalid(publish(&bench, too_large).await, "VALUE_TOO_LARGE", "payload");
    assert!(!publish(&bench, message_with_id("a")).await.unwrap().duplicate);
}

async fn a_delayed_message_waits(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let began = now();
    publish(&bench, PublishRequest { delay: Some(millis(700)), ..message("later") }).await.unwrap();
    publish(&bench, message("now")).await.unwrap();
    assert_eq!(reader.payloads(2).await, ["now", "later"]);
    assert!(now() >= began + 700, "it came too early");
}

async fn a_delay_is_refused(bench: Bench) {
    let error = publish(&bench, PublishRequest { delay: Some(seconds(1)), ..message("x") }).await;
    assert_eq!(refused(error, Code::Unimplemented, "CAPABILITY_UNAVAILABLE").get("interface"), Some("queue_delayed"));
    assert!(bench.operation("Publish").await.note.contains("without delay"));
}

async fn a_higher_priority_comes_first(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    for (payload, priority) in [("low", 0), ("high", 9), ("middle", 5)] {
        publish(&bench, PublishRequest { priority, ..message(payload) }).await.unwrap();
    }
    assert_eq!(reader.payloads(3).await, ["high", "middle", "low"]);
}

async fn a_priority_is_refused(bench: Bench) {
    let error = publish(&bench, PublishRequest { priority: 1, ..message("x") }).await;
    assert_eq!(refused(error, Code::Unimplemented, "CAPABILITY_UNAVAILABLE").get("interface"), Some("queue_priority"));
}

async fn requests_are_checked(bench: Bench) {
    for topic in ["", "a b", "a/b", ".a", "a..b", "a.*"] {
        invalid(publish(&bench, PublishRequest { topic: topic.to_owned(), ..message("x") }).await, "INVALID_NAME", "topic");
    }
    let headers = BTreeMap::from([("prism-message-id".to_owned(), "x".to_owned())]);
    invalid(publish(&bench, PublishRequest { headers, ..message("x") }).await, "INVALID_HEADERS", "headers");
    let headers = BTreeMap::from([("a".to_owned(), "x".repeat(1025))]);
    invalid(publish(&bench, PublishRequest { headers, ..message("x") }).await, "INVALID_HEADERS", "headers");
    invalid(publish(&bench, PublishRequest { key: "x".repeat(1025), ..message("x") }).await, "INVALID_KEY", "key");
    invalid(publish(&bench, PublishRequest { priority: 10, ..message("x") }).await, "INVALID_FIELD", "priority");
    invalid(publish(&bench, PublishRequest { id: "a b".to_owned(), ..message("x") }).await, "INVALID_NAME", "id");
}

fn batch(messages: Vec<OutgoingMessage>) -> PublishBatchRequest {
    PublishBatchRequest { topic: "orders.eu".to_owned(), messages }
}

async fn a_batch_arrives_in_order(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let payloads: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    let request = batch(payloads.iter().map(|payload| outgoing(payload)).collect());
    let published: PublishBatchResponse = bench.call("PublishBatch", request).await.unwrap();
    assert_eq!(published.results.len(), 30);
    assert_eq!(reader.payloads(30).await, payloads);
}

async fn a_batch_is_checked_before_anything_is_published(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let wrong = OutgoingMessage { priority: 10, ..outgoing("wrong") };
    let refused = bench.call::<PublishBatchResponse>("PublishBatch", batch(vec![outgoing("right"), wrong])).await;
    invalid(refused, "INVALID_FIELD", "messages[1].priority");
    for count in [0, 101] {
        let refused = bench.call::<PublishBatchResponse>("PublishBatch", batch(vec![outgoing("x"); count])).await;
        invalid(refused, "BATCH_SIZE", "messages");
    }
    reader.ends(&bench).await;
}

async fn duplicates_of_a_batch_are_marked(bench: Bench) {
    let with_id = |id: &str| OutgoingMessage { id: id.to_owned(), ..outgoing(id) };
    let published: PublishBatchResponse = bench.call("PublishBatch", batch(vec![with_id("a"), with_id("b"), with_id("a")])).await.unwrap();
    let marks: Vec<_> = published.results.iter().map(|result| (result.id.as_str(), result.duplicate)).collect();
    assert_eq!(marks, [("a", false), ("b", false), ("a", true)]);
}

fn streamed(topic: &str, message: Option<OutgoingMessage>) -> PublishStreamRequest {
    PublishStreamRequest { topic: topic.to_owned(), message }
}

async fn a_stream_arrives_in_order(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let payloads: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    let topics = std::iter::once("orders.eu").chain(std::iter::repeat(""));
    let requests = payloads.iter().zip(topics).map(|(payload, topic)| streamed(topic, Some(outgoing(payload)))).collect();
    let done: PublishStreamResponse = bench.send("PublishStream", requests).await.unwrap();
    assert_eq!((done.published, done.duplicates), (30, 0));
    assert_eq!(reader.payloads(30).await, payloads);
}

async fn an_error_says_how_many_were_published(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let requests = vec![streamed("orders.eu", Some(outgoing("one"))), streamed("", Some(outgoing("two"))), streamed("", None)];
    let error = bench.send::<PublishStreamResponse>("PublishStream", requests).await.unwrap_err();
    assert_eq!((error.code(), error.get("published")), (Code::InvalidArgument, Some("2")));
    assert_eq!(reader.payloads(2).await, ["one", "two"]);
    let nothing: PublishStreamResponse = bench.send("PublishStream", Vec::<PublishStreamRequest>::new()).await.unwrap();
    assert_eq!(nothing, PublishStreamResponse::default());
}
