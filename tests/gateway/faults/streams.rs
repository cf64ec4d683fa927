//! Streams of responses during outages that are the same for every server.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prism::{
    call::{Code, Context, Error, Messages},
    proto::models::{
        pubsub::v1::{
            PublishPersistentRequest, PublishRequest, StartPosition, SubscribeDurableRequest, SubscribeRequest, SubscribeResponse,
            subscribe_durable_response, subscribe_response::Event,
        },
        stream::v1::{
            AckRequest, AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, ReadRequest, StreamBasic, read_request::Start,
        },
    },
};
use serde_json::json;

use super::{PATIENCE, Server, away, backend, connected, context, healthy, slot};

/// Waits for the next item of a stream.
pub async fn next<T>(stream: &mut Messages<T>) -> Option<Result<T, Error>> {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("nothing came in time")
}

/// Waits for the next event of a subscription.
pub async fn event(stream: &mut Messages<SubscribeResponse>) -> Event {
    next(stream).await.unwrap().unwrap().event.unwrap()
}

/// Appends a record, and returns its offset.
pub async fn append(streams: &dyn StreamBasic, payload: &str) -> Result<u64, Error> {
    let request = AppendRequest { stream: "orders".into(), payload: payload.to_owned().into(), ..Default::default() };
    Ok(streams.append(&context(), request).await?.offset)
}

pub fn publish(payload: &str) -> PublishRequest {
    PublishRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() }
}

pub async fn a_subscription_continues_after_a_reported_gap(server: &mut impl Server) {
    let backend = connected(server).await;
    let pubsub = slot(&backend).interfaces.pubsub_basic.unwrap();
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    pubsub.publish(&context(), publish("before")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "before"));
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.resume();
    assert!(matches!(event(&mut stream).await, Event::Gap(gap) if gap.missed == 0));
    healthy(&backend).await;
    pubsub.publish(&context(), publish("behind")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "behind"));
}

pub async fn streams_end_when_the_outage_exceeds_their_patience(server: &mut impl Server) {
    let mut settings = server.settings();
    settings["subscriptions"] = json!({"patience": "500ms"});
    let backend = backend(server.kind(), settings).await;
    healthy(&backend).await;
    let interfaces = slot(&backend).interfaces;
    let (pubsub, streams) = (interfaces.pubsub_basic.unwrap(), interfaces.stream_basic.unwrap());
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request.clone()).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    let follow = ReadRequest { stream: "orders".into(), start: Some(Start::Latest(true)), follow: true, ..Default::default() };
    let mut reader = streams.read(&Context::internal("shop"), follow).await.unwrap();
    // It notices the outage while it waits.
    let read = tokio::spawn(async move { next(&mut reader).await.unwrap().err().unwrap() });
    server.kill();
    let began = Instant::now();
    for error in [next(&mut stream).await.unwrap().err().unwrap(), read.await.unwrap()] {
        assert_eq!((error.code(), error.retry_after().is_some()), (Code::Unavailable, true), "{error:?}");
    }
    assert!(began.elapsed() > Duration::from_millis(450), "gave up too early");
    let began = Instant::now();
    away(&pubsub.subscribe(&context(), request).await.err().unwrap(), began);
}

pub async fn readers_and_members_go_on_where_they_were(server: &mut impl Server) {
    let backend = connected(server).await;
    let interfaces = slot(&backend).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    append(streams.as_ref(), "first").await.unwrap();
    let create = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    groups.create_consumer_group(&context(), create).await.unwrap();
    let follow = ReadRequest { stream: "orders".into(), follow: true, ..Default::default() };
    let mut reader = streams.read(&Context::internal("shop"), follow).await.unwrap();
    let join = JoinConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), ..Default::default() };
    let mut member = groups.join_consumer_group(&Context::internal("shop"), join).await.unwrap();
    assert_eq!(next(&mut reader).await.unwrap().unwrap().record.unwrap().payload, "first");
    let record = next(&mut member).await.unwrap().unwrap().record.unwrap();
    let ack = AckRequest { stream: "orders".into(), group: "billing".into(), partition: 0, offsets: vec![record.offset] };
    assert_eq!(groups.ack(&context(), ack).await.unwrap().acknowledged, 1);
    let (read, taken) = (
        tokio::spawn(async move { next(&mut reader).await.unwrap().unwrap().record.unwrap() }),
        tokio::spawn(async move { next(&mut member).await.unwrap().unwrap().record.unwrap() }),
    );
    // Both are at the end of the stream when the server is killed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.resume();
    healthy(&backend).await;
    append(streams.as_ref(), "second").await.unwrap();
    assert_eq!(read.await.unwrap().payload, "second");
    assert_eq!(taken.await.unwrap().payload, "second");
}

pub async fn a_durable_subscription_goes_on_where_it_was(server: &mut impl Server) {
    let backend = connected(server).await;
    let persistent = slot(&backend).interfaces.pubsub_persistent.unwrap();
    let store = |payload: &str| PublishPersistentRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() };
    persistent.publish_persistent(&context(), store("first")).await.unwrap();
    let request = SubscribeDurableRequest {
        topic: "t".into(),
        subscription: "mine".into(),
        start: StartPosition::Earliest.into(),
        ..Default::default()
    };
    let mut durable = persistent.subscribe_durable(&Context::internal("shop"), request).await.unwrap();
    let subscribed = next(&mut durable).await.unwrap().unwrap().event.unwrap();
    assert!(matches!(subscribed, subscribe_durable_response::Event::Subscribed(_)));
    let first = next(&mut durable).await.unwrap().unwrap().event.unwrap();
    assert!(matches!(first, subscribe_durable_response::Event::Message(message) if message.payload == "first"));
    let second = tokio::spawn(async move { next(&mut durable).await.unwrap().unwrap().event.unwrap() });
    // It is at the end of the topic when the server is killed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.resume();
    healthy(&backend).await;
    persistent.publish_persistent(&context(), store("second")).await.unwrap();
    assert!(matches!(second.await.unwrap(), subscribe_durable_response::Event::Message(message) if message.payload == "second"));
}
