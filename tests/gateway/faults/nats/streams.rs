//! Response streams during an outage of the server.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prism::{
    call::{Code, Context, Error, Messages},
    proto::models::{
        pubsub::v1::{
            PublishPersistentRequest, PublishRequest, SubscribeDurableRequest, SubscribeRequest, SubscribeResponse,
            subscribe_durable_response, subscribe_response::Event,
        },
        stream::v1::{
            AckRequest, AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, ReadRequest, StreamBasic, read_request::Start,
        },
    },
};
use serde_json::json;
use test_support::servers::Nats;

use super::super::{PATIENCE, away, backend, connected, context, healthy, slot};

async fn next<T>(stream: &mut Messages<T>) -> Option<Result<T, Error>> {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("nothing came in time")
}

async fn event(stream: &mut Messages<SubscribeResponse>) -> Event {
    next(stream).await.unwrap().unwrap().event.unwrap()
}

async fn append(streams: &dyn StreamBasic, payload: &str) {
    let request = AppendRequest { stream: "orders".into(), payload: payload.to_owned().into(), ..Default::default() };
    streams.append(&context(), request).await.unwrap();
}

#[tokio::test]
async fn subscription_continues_after_a_reported_gap() {
    let mut server = Nats::start().unwrap();
    let backend = connected(&server).await;
    let pubsub = slot(&backend).interfaces.pubsub_basic.unwrap();
    let publish = |payload: &str| PublishRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() };
    let mut stream =
        pubsub.subscribe(&Context::internal("shop"), SubscribeRequest { topic: "t".into(), ..Default::default() }).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    pubsub.publish(&context(), publish("before")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "before"));
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.resume().unwrap();
    assert!(matches!(event(&mut stream).await, Event::Gap(gap) if gap.missed == 0));
    healthy(&backend).await;
    pubsub.publish(&context(), publish("behind")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "behind"));
}

#[tokio::test]
async fn streams_end_when_the_outage_exceeds_their_patience() {
    let mut server = Nats::start().unwrap();
    let settings = json!({"url": server.url(), "request_timeout": "1s", "subscriptions": {"patience": "500ms"}});
    let backend = backend("nats", settings).await;
    healthy(&backend).await;
    let interfaces = slot(&backend).interfaces;
    let (pubsub, streams) = (interfaces.pubsub_basic.unwrap(), interfaces.stream_basic.unwrap());
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request.clone()).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    let follow = ReadRequest { stream: "orders".into(), start: Some(Start::Latest(true)), follow: true, ..Default::default() };
    let mut reader = streams.read(&Context::internal("shop"), follow).await.unwrap();
    server.kill();
    let began = Instant::now();
    for error in [next(&mut stream).await.unwrap().err().unwrap(), next(&mut reader).await.unwrap().err().unwrap()] {
        assert_eq!((error.code(), error.retry_after().is_some()), (Code::Unavailable, true), "{error:?}");
    }
    assert!(began.elapsed() > Duration::from_millis(450), "gave up too early");
    let began = Instant::now();
    away(&pubsub.subscribe(&context(), request).await.err().unwrap(), began);
}

#[tokio::test]
async fn readers_members_and_durable_subscriptions_go_on_where_they_were() {
    let mut server = Nats::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    let persistent = interfaces.pubsub_persistent.unwrap();
    let publish = |payload: &str| PublishPersistentRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() };
    append(streams.as_ref(), "first").await;
    let create = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    groups.create_consumer_group(&context(), create).await.unwrap();
    let follow = ReadRequest { stream: "orders".into(), follow: true, ..Default::default() };
    let mut reader = streams.read(&Context::internal("shop"), follow).await.unwrap();
    let join = JoinConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), ..Default::default() };
    let mut member = groups.join_consumer_group(&Context::internal("shop"), join).await.unwrap();
    let durable = SubscribeDurableRequest { topic: "t".into(), subscription: "mine".into(), ..Default::default() };
    let mut durable = persistent.subscribe_durable(&Context::internal("shop"), durable).await.unwrap();
    assert_eq!(next(&mut reader).await.unwrap().unwrap().record.unwrap().payload, "first");
    let record = next(&mut member).await.unwrap().unwrap().record.unwrap();
    let ack = AckRequest { stream: "orders".into(), group: "billing".into(), partition: 0, offsets: vec![record.offset] };
    assert_eq!(groups.ack(&context(), ack).await.unwrap().acknowledged, 1);
    next(&mut durable).await.unwrap().unwrap();
    let (read, taken, stored) = (
        tokio::spawn(async move { next(&mut reader).await.unwrap().unwrap().record.unwrap() }),
        tokio::spawn(async move { next(&mut member).await.unwrap().unwrap().record.unwrap() }),
        tokio::spawn(async move { next(&mut durable).await.unwrap().unwrap().event.unwrap() }),
    );
    // All of them are at the end when the server is killed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.resume().unwrap();
    healthy(&backend).await;
    append(streams.as_ref(), "second").await;
    persistent.publish_persistent(&context(), publish("third")).await.unwrap();
    assert_eq!(read.await.unwrap().payload, "second");
    assert_eq!(taken.await.unwrap().payload, "second");
    assert!(matches!(stored.await.unwrap(), subscribe_durable_response::Event::Message(message) if message.payload == "third"));
}

#[tokio::test]
async fn acknowledged_appends_survive_a_kill() {
    let mut server = Nats::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let streams = interfaces.stream_basic.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for number in 0..50 {
            let payload = format!("{round}/{number}");
            append(streams.as_ref(), &payload).await;
            acknowledged.push(payload);
        }
        server.kill();
        server.resume().unwrap();
        healthy(&backend).await;
    }
    let read = ReadRequest { stream: "orders".into(), ..Default::default() };
    let records: Vec<_> = streams.read(&context(), read).await.unwrap().collect().await;
    let payloads: Vec<_> =
        records.into_iter().map(|record| String::from_utf8(record.unwrap().record.unwrap().payload.to_vec()).unwrap()).collect();
    assert_eq!(payloads, acknowledged);
}
