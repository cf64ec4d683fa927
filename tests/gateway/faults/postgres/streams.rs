//! Streams, groups and subscriptions while the server, a connection or another gateway fails.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use prism::{
    call::{Code, Context, Error, Messages},
    proto::models::{
        pubsub::v1::{
            PublishPersistentRequest, PublishRequest, StartPosition, SubscribeDurableRequest, SubscribeDurableResponse, SubscribeRequest,
            SubscribeResponse, subscribe_durable_response, subscribe_response::Event,
        },
        stream::v1::{
            AckRequest, AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, ReadRequest, StreamBasic, read_request::Start,
        },
    },
};
use serde_json::json;
use test_support::servers::Postgres;

use super::super::{
    PATIENCE, away, backend, connected, context, healthy,
    proxy::{Mode, Proxy},
    slot,
};

async fn next<T>(stream: &mut Messages<T>) -> Option<Result<T, Error>> {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("nothing came in time")
}

async fn event(stream: &mut Messages<SubscribeResponse>) -> Event {
    next(stream).await.unwrap().unwrap().event.unwrap()
}

async fn stored(stream: &mut Messages<SubscribeDurableResponse>) -> subscribe_durable_response::Event {
    next(stream).await.unwrap().unwrap().event.unwrap()
}

async fn append(streams: &dyn StreamBasic, payload: &str) -> Result<u64, Error> {
    let request = AppendRequest { stream: "orders".into(), payload: payload.to_owned().into(), ..Default::default() };
    Ok(streams.append(&context(), request).await?.offset)
}

fn publish(payload: &str) -> PublishRequest {
    PublishRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() }
}

/// The server is killed, or only the connection that listens is closed.
#[tokio::test]
async fn a_subscription_continues_after_a_reported_gap() {
    let mut server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let pubsub = slot(&backend).interfaces.pubsub_basic.unwrap();
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    for is_kill in [false, true] {
        pubsub.publish(&context(), publish("before")).await.unwrap();
        assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "before"));
        if is_kill {
            server.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.resume().unwrap();
        } else {
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' OR query = 'SELECT'").unwrap();
        }
        assert!(matches!(event(&mut stream).await, Event::Gap(gap) if gap.missed == 0));
        healthy(&backend).await;
        pubsub.publish(&context(), publish("behind")).await.unwrap();
        assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "behind"));
    }
}

#[tokio::test]
async fn a_large_message_that_is_gone_is_a_gap() {
    let server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let pubsub = slot(&backend).interfaces.pubsub_basic.unwrap();
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    let lose = "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM prism.large_messages; RETURN NULL; END$$;
        CREATE TRIGGER lose AFTER INSERT ON prism.large_messages FOR EACH ROW EXECUTE FUNCTION lose()";
    server.sql(lose).unwrap();
    pubsub.publish(&context(), publish(&"x".repeat(10_000))).await.unwrap();
    pubsub.publish(&context(), publish("behind")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Gap(gap) if gap.missed == 0));
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "behind"));
}

#[tokio::test]
async fn streams_end_when_the_outage_exceeds_their_patience() {
    let mut server = Postgres::start().unwrap();
    let settings = json!({"url": server.url(), "request_timeout": "1s", "subscriptions": {"patience": "500ms"}});
    let backend = backend("postgres", settings).await;
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

#[tokio::test]
async fn readers_members_and_durable_subscriptions_go_on_where_they_were() {
    let mut server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    let persistent = interfaces.pubsub_persistent.unwrap();
    let store = |payload: &str| PublishPersistentRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() };
    let mut acknowledged = vec![append(streams.as_ref(), "first").await.unwrap()];
    persistent.publish_persistent(&context(), store("first")).await.unwrap();
    let create = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    groups.create_consumer_group(&context(), create).await.unwrap();
    let follow = ReadRequest { stream: "orders".into(), follow: true, ..Default::default() };
    let mut reader = streams.read(&Context::internal("shop"), follow).await.unwrap();
    let join = JoinConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), ..Default::default() };
    let mut member = groups.join_consumer_group(&Context::internal("shop"), join).await.unwrap();
    let request = SubscribeDurableRequest {
        topic: "t".into(),
        subscription: "mine".into(),
        start: StartPosition::Earliest.into(),
        ..Default::default()
    };
    let mut durable = persistent.subscribe_durable(&Context::internal("shop"), request).await.unwrap();
    assert!(matches!(stored(&mut durable).await, subscribe_durable_response::Event::Subscribed(_)));
    assert!(matches!(stored(&mut durable).await, subscribe_durable_response::Event::Message(message) if message.payload == "first"));
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
    server.resume().unwrap();
    healthy(&backend).await;
    acknowledged.push(append(streams.as_ref(), "second").await.unwrap());
    persistent.publish_persistent(&context(), store("second")).await.unwrap();
    assert_eq!(read.await.unwrap().payload, "second");
    assert_eq!(taken.await.unwrap().payload, "second");
    assert_eq!(acknowledged, [0, 1]);
    assert!(matches!(stored(&mut durable).await, subscribe_durable_response::Event::Message(message) if message.payload == "second"));
}

/// Appends while the server is killed: what was acknowledged is there, in order, and offsets have no gaps.
#[tokio::test]
async fn acknowledged_appends_survive_a_kill() {
    let mut server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let streams = slot(&backend).interfaces.stream_basic.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let streams = streams.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..60 {
                    let payload = format!("{writer}/{number}");
                    if let Ok(offset) = append(streams.as_ref(), &payload).await {
                        acknowledged.push((offset, payload));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    server.resume().unwrap();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    healthy(&backend).await;
    let read = ReadRequest { stream: "orders".into(), ..Default::default() };
    let answers: Vec<_> = streams.read(&context(), read).await.unwrap().collect().await;
    let records: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().record.unwrap()).collect();
    assert!(records.iter().enumerate().all(|(index, record)| record.offset == index as u64), "an offset is missing");
    assert!(acknowledged.len() > 4);
    for (offset, payload) in acknowledged {
        assert_eq!(records[usize::try_from(offset).unwrap()].payload, payload);
    }
}

/// Cutting the proxy for good is what the server sees of a gateway that was killed.
#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    const RECORDS: usize = 40;
    let server = Postgres::start().unwrap();
    let survivor = connected(&server).await;
    let proxy = Proxy::start(server.port()).await;
    let url = format!("postgresql://prism@127.0.0.1:{}/postgres", proxy.port);
    let killed = backend("postgres", json!({"url": url, "request_timeout": "1s"})).await;
    healthy(&killed).await;
    let interfaces = slot(&survivor).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    let create = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    assert!(groups.create_consumer_group(&context(), create).await.unwrap().created);
    for number in 0..RECORDS {
        append(streams.as_ref(), &number.to_string()).await.unwrap();
    }
    let join = |ack_timeout| JoinConsumerGroupRequest {
        stream: "orders".into(),
        group: "billing".into(),
        ack_timeout: Some(prost_types::Duration { seconds: ack_timeout, nanos: 0 }),
        max_in_flight: 5,
        ..Default::default()
    };
    // The gateway that will be killed has five records, and acknowledges none of them. They don't wait for the time to acknowledge.
    let other_groups = slot(&killed).interfaces.stream_consumer_groups.unwrap();
    let mut other = other_groups.join_consumer_group(&Context::internal("shop"), join(3600)).await.unwrap();
    let mut lost = BTreeSet::new();
    for _ in 0..5 {
        lost.insert(next(&mut other).await.unwrap().unwrap().record.unwrap().payload);
    }
    proxy.set(Mode::Cut);
    // What 30 seconds without renewal do.
    server.sql("UPDATE prism.members SET expires = now() - interval '1 second'").unwrap();
    let mut member = groups.join_consumer_group(&Context::internal("shop"), join(3600)).await.unwrap();
    let (mut done, mut again) = (BTreeSet::new(), BTreeSet::new());
    while done.len() < RECORDS {
        let delivery = next(&mut member).await.unwrap().unwrap();
        let record = delivery.record.unwrap();
        if delivery.delivery_attempt > 1 {
            again.insert(record.payload.clone());
        }
        let ack = AckRequest { stream: "orders".into(), group: "billing".into(), partition: 0, offsets: vec![record.offset] };
        assert_eq!(groups.ack(&context(), ack).await.unwrap().acknowledged, 1);
        assert!(done.insert(record.payload), "a record was delivered after its acknowledgement");
    }
    assert_eq!(again, lost, "exactly the records of the killed gateway are delivered again");
}
