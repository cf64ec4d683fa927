//! Streams, groups and subscriptions while the server, a connection or another gateway fails.

use std::time::Duration;

use futures::StreamExt as _;
use prism::{
    call::Context,
    proto::models::{
        pubsub::v1::{SubscribeRequest, subscribe_response::Event},
        stream::v1::ReadRequest,
    },
};
use test_support::servers::Postgres;

use super::super::{
    connected, context, groups, healthy, slot,
    streams::{self, append, event, publish},
};

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
    streams::streams_end_when_the_outage_exceeds_their_patience(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn readers_and_members_go_on_where_they_were() {
    streams::readers_and_members_go_on_where_they_were(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_durable_subscription_goes_on_where_it_was() {
    streams::a_durable_subscription_goes_on_where_it_was(&mut Postgres::start().unwrap()).await;
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

#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    groups::a_killed_gateway_leaves_its_records_to_another(&Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_its_records_before_their_timeout() {
    let server = Postgres::start().unwrap();
    // What 30 seconds without renewal do.
    let expire = || drop(server.sql("UPDATE prism.members SET expires = now() - interval '1 second'").unwrap());
    groups::a_killed_gateway_leaves_its_records_before_their_timeout(&server, expire).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_its_messages_to_another() {
    groups::a_killed_gateway_leaves_its_messages_to_another(&Postgres::start().unwrap()).await;
}
