//! Payloads beside their messages, for Producer and Consumer.

use bytes::Bytes;
use futures::StreamExt as _;
use prism::{
    call::{Code, Error, Messages},
    proto::patterns::{
        consumer::v1::{
            AckRequest, AckResponse, Message, ReadPayloadRequest, ReadPayloadResponse, ReceiveRequest, ReceiveResponse, StoredPayload,
            SubscribeRequest, SubscribeResponse,
        },
        producer::v1::{
            GetCapabilitiesRequest, GetCapabilitiesResponse, PublishPayloadRequest, PublishPayloadResponse, PublishRequest, PublishResponse,
        },
    },
};
use serde_json::json;

use super::{Bench, producer::Reader};
use crate::support::{eventually, invalid, refused, seconds};

const TOPIC: &str = "orders.eu";
/// More than the default threshold.
const LARGE: usize = 600 << 10;
/// More than a message may have.
const HUGE: usize = 5 << 20;

/// Returns bytes that differ from place to place.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

async fn publish(bench: &Bench, payload: &[u8]) -> PublishResponse {
    let request = PublishRequest { topic: TOPIC.to_owned(), payload: payload.to_vec().into(), ..PublishRequest::default() };
    bench.call("Publish", request).await.unwrap()
}

/// The messages of a stream with a payload: the first one has the fields and a part of the payload.
fn streamed(first: PublishPayloadRequest, payload: &[u8]) -> Vec<PublishPayloadRequest> {
    let mut parts = payload.chunks(100_000).map(|chunk| PublishPayloadRequest { chunk: chunk.to_vec().into(), ..Default::default() });
    let chunk = parts.next().map(|part| part.chunk).unwrap_or_default();
    std::iter::once(PublishPayloadRequest { topic: TOPIC.to_owned(), chunk, ..first }).chain(parts).collect()
}

async fn publish_streamed(bench: &Bench, first: PublishPayloadRequest, payload: &[u8]) -> Result<PublishPayloadResponse, Error> {
    bench.send("PublishPayload", streamed(first, payload)).await
}

pub async fn large_payloads_arrive(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let response: GetCapabilitiesResponse = bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let (delivery, limits) = (response.delivery.unwrap(), response.capabilities.unwrap().limits.unwrap());
    assert_eq!((delivery.payload_threshold, limits.max_value_bytes), (256 << 10, limits.max_message_bytes));
    let large = content(LARGE);
    for payload in [&large[..256 << 10], &large[..=256 << 10], &large, b"small", &large[..3 << 16]] {
        publish(&bench, payload).await;
        let message = reader.next().await;
        assert!(message.payload == payload, "{} bytes came back as {}", payload.len(), message.payload.len());
        assert_eq!((message.stored_payload, message.headers.len()), (None, 0));
    }
}

pub async fn payloads_expire(bench: Bench) {
    let short = bench.with(json!({"payloads": {"threshold": "1KiB", "retention": "1s", "sweep_interval": "100ms"}})).await;
    let consumer = bench.beside("consumer").await;
    publish(&short, &content(2000)).await;
    publish(&short, b"small").await;
    eventually("the payload expires", || async {
        let request = ReceiveRequest { topic: TOPIC.to_owned(), limit: 10, lease_duration: Some(seconds(1)), ..Default::default() };
        let messages = consumer.call::<ReceiveResponse>("Receive", request).await.unwrap().messages;
        messages.iter().any(|message| message.stored_payload.as_ref().is_some_and(|stored| stored.missing && stored.size == 2000))
    })
    .await;
}

pub async fn a_streamed_payload_arrives(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let headers = [("kind".to_owned(), "photo".to_owned())];
    for size in [0, 10, LARGE] {
        let payload = content(size);
        let first = PublishPayloadRequest {
            key: "customer-7".to_owned(),
            headers: headers.clone().into(),
            size: Some(size as u64),
            ..PublishPayloadRequest::default()
        };
        let published = publish_streamed(&bench, first, &payload).await.unwrap();
        let message = reader.next().await;
        assert!(message.payload == payload, "{size} bytes came back as {}", message.payload.len());
        assert_eq!((message.key.as_str(), message.headers, message.offset), ("customer-7", headers.clone().into(), published.offset));
    }
    reader.ends(&bench).await;
}

pub async fn an_id_is_unique_with_a_streamed_payload(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    let with_id = || PublishPayloadRequest { id: "a".to_owned(), ..PublishPayloadRequest::default() };
    let first = publish_streamed(&bench, with_id(), &content(LARGE)).await.unwrap();
    let second = publish_streamed(&bench, with_id(), &content(LARGE + 1)).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate, second.offset), (false, true, first.offset));
    assert_eq!(reader.next().await.payload.len(), LARGE);
    reader.ends(&bench).await;
}

pub async fn a_stream_that_fails_publishes_nothing(bench: Bench) {
    let mut reader = Reader::open(&bench).await;
    for (size, sent) in [(10, 9), (10, 11), (LARGE, LARGE - 1), (LARGE, LARGE + 1)] {
        let first = PublishPayloadRequest { size: Some(size as u64), ..PublishPayloadRequest::default() };
        let error = publish_streamed(&bench, first, &content(sent)).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, "SIZE_MISMATCH"), "{size} {sent}");
    }
    let mut parts = streamed(PublishPayloadRequest::default(), &content(LARGE));
    "other".clone_into(&mut parts[3].topic);
    invalid(bench.send::<PublishPayloadResponse>("PublishPayload", parts).await, "INVALID_FIELD", "topic");
    let small = bench.with(json!({"payloads": {"max_size": "500KiB"}})).await;
    for size in [None, Some(LARGE as u64)] {
        let first = PublishPayloadRequest { size, ..PublishPayloadRequest::default() };
        invalid(publish_streamed(&small, first, &content(LARGE)).await, "VALUE_TOO_LARGE", "chunk");
    }
    invalid(bench.send::<PublishPayloadResponse>("PublishPayload", Vec::<PublishPayloadRequest>::new()).await, "INVALID_NAME", "topic");
    reader.ends(&bench).await;
}

pub async fn it_needs_the_slot_payloads(bench: Bench) {
    let error =
        refused(publish_streamed(&bench, PublishPayloadRequest::default(), b"x").await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert!(error.message().contains("`payloads`"), "{error}");
}

async fn receive(bench: &Bench) -> Message {
    let request = ReceiveRequest { topic: TOPIC.to_owned(), wait: Some(seconds(10)), ..ReceiveRequest::default() };
    bench.call::<ReceiveResponse>("Receive", request).await.unwrap().messages.pop().expect("a message")
}

/// Reads a payload, or a part of it. Returns the first message and the bytes.
async fn read(bench: &Bench, payload: &str, range: &str) -> Result<(ReadPayloadResponse, Vec<u8>), Error> {
    let request = ReadPayloadRequest { topic: TOPIC.to_owned(), payload: payload.to_owned(), range: range.to_owned() };
    let mut stream: Messages<ReadPayloadResponse> = bench.stream("ReadPayload", request).await?;
    let first = stream.next().await.expect("a message")?;
    let mut content = first.chunk.to_vec();
    while let Some(part) = stream.next().await {
        content.extend_from_slice(&part?.chunk);
    }
    Ok((ReadPayloadResponse { chunk: Bytes::new(), ..first }, content))
}

pub async fn payloads_that_are_too_large_are_read_in_parts(bench: Bench) {
    let producer = bench.beside("producer").await;
    let huge = content(HUGE);
    publish_streamed(&producer, PublishPayloadRequest::default(), &huge).await.unwrap();
    let message = receive(&bench).await;
    let stored = message.stored_payload.expect("it is beside its message");
    assert_eq!((message.payload.len(), stored.size, stored.missing), (0, HUGE as u64, false));
    let (whole, read_back) = read(&bench, &stored.name, "").await.unwrap();
    assert_eq!((whole.size, whole.content_length, whole.content_range.as_str()), (HUGE as u64, HUGE as u64, ""));
    assert!(read_back == huge, "another payload came back");
    let (part, bytes) = read(&bench, &stored.name, "bytes=1000-1099").await.unwrap();
    assert_eq!((part.size, part.content_length, part.content_range), (HUGE as u64, 100, format!("bytes 1000-1099/{HUGE}")));
    assert_eq!(bytes, huge[1000..1100]);
    refused(read(&bench, &stored.name, &format!("bytes={HUGE}-")).await.map(|(first, _)| first), Code::OutOfRange, "RANGE_NOT_SATISFIABLE");
}

pub async fn acknowledging_removes_the_payload_of_a_queue(bench: Bench) {
    let producer = bench.beside("producer").await;
    publish_streamed(&producer, PublishPayloadRequest::default(), &content(HUGE)).await.unwrap();
    let message = receive(&bench).await;
    let StoredPayload { name, .. } = message.stored_payload.expect("it is beside its message");
    read(&bench, &name, "").await.unwrap();
    let request = AckRequest { topic: TOPIC.to_owned(), group: String::new(), leases: vec![message.lease] };
    assert_eq!(bench.call::<AckResponse>("Ack", request).await.unwrap().acknowledged, 1);
    refused(read(&bench, &name, "").await.map(|(first, _)| first), Code::NotFound, "PAYLOAD_NOT_FOUND");
    // The gateway acknowledges a message when the next one is taken, and the subscriber may read its payload later.
    publish_streamed(&producer, PublishPayloadRequest::default(), &content(HUGE)).await.unwrap();
    let request = SubscribeRequest { topic: TOPIC.to_owned(), auto_ack: true, ..SubscribeRequest::default() };
    let mut messages: Messages<SubscribeResponse> = bench.stream("Subscribe", request).await.unwrap();
    let StoredPayload { name, .. } = next(&mut messages).await.stored_payload.expect("it is beside its message");
    publish(&producer, b"small").await;
    assert_eq!(next(&mut messages).await.payload, "small");
    read(&bench, &name, "").await.unwrap();
}

async fn next(messages: &mut Messages<SubscribeResponse>) -> Message {
    messages.next().await.expect("a response").unwrap().message.expect("a message")
}

pub async fn names_of_payloads_are_checked(bench: Bench) {
    for wrong in ["", "x", "../secret", "019ad4d3a5b1-8f14e45fceea167a5a36dedd4bea2543x"] {
        invalid(read(&bench, wrong, "").await.map(|(first, _)| first), "INVALID_NAME", "payload");
    }
    let unknown = read(&bench, "019ad4d3a5b1-8f14e45fceea167a5a36dedd4bea2543", "").await;
    refused(unknown.map(|(first, _)| first), Code::NotFound, "PAYLOAD_NOT_FOUND");
}

pub async fn reading_needs_the_slot_payloads(bench: Bench) {
    let error = read(&bench, "019ad4d3a5b1-8f14e45fceea167a5a36dedd4bea2543", "").await.map(|(first, _)| first);
    let error = refused(error, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert!(error.message().contains("`payloads`"), "{error}");
}
