//! Response streams during an outage of the server.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prism::{
    call::{Code, Context, Error, Messages},
    proto::models::{
        pubsub::v1::{PublishRequest, SubscribeRequest, SubscribeResponse, subscribe_response::Event},
        stream::v1::{
            AckRequest, AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, ReadRequest, StreamBasic, read_request::Start,
        },
    },
};
use serde_json::json;
use test_support::servers::Redis;

use super::super::{PATIENCE, backend, connected, context, healthy, slot};

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
    let mut server = Redis::start().unwrap();
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
async fn subscription_ends_when_the_outage_exceeds_its_retry_time() {
    let mut server = Redis::start().unwrap();
    let backend = backend("redis", json!({"url": server.url(), "subscriptions": {"patience": "500ms"}})).await;
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
    super::super::away(&pubsub.subscribe(&context(), request).await.err().unwrap(), began);
}

#[tokio::test]
async fn readers_and_members_go_on_where_they_were() {
    let mut server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    append(streams.as_ref(), "first").await;
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
    // Both readers are at the end of the stream when the server is killed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.resume().unwrap();
    healthy(&backend).await;
    append(streams.as_ref(), "second").await;
    assert_eq!(read.await.unwrap().payload, "second");
    assert_eq!(taken.await.unwrap().payload, "second");
}
