//! Response streams during an outage of the server.

use std::time::Duration;

use prism::{
    call::Context,
    proto::models::pubsub::v1::{SubscribeRequest, subscribe_response::Event},
};
use test_support::servers::Kafka;

use super::super::{
    connected, context, healthy, slot,
    streams::{self, event, publish},
};

/// The topic is stored, so nothing is missed and no gap is reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_continues_without_a_gap() {
    let mut server = Kafka::start().unwrap();
    let backend = connected(&server).await;
    let pubsub = slot(&backend).interfaces.pubsub_basic.unwrap();
    let request = SubscribeRequest { topic: "t".into(), ..Default::default() };
    let mut stream = pubsub.subscribe(&Context::internal("shop"), request).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Subscribed(_)));
    pubsub.publish(&context(), publish("before")).await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Message(message) if message.payload == "before"));
    let behind = tokio::spawn(async move { event(&mut stream).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.resume().unwrap();
    healthy(&backend).await;
    pubsub.publish(&context(), publish("behind")).await.unwrap();
    assert!(matches!(behind.await.unwrap(), Event::Message(message) if message.payload == "behind"));
}

#[tokio::test]
async fn streams_end_when_the_outage_exceeds_their_patience() {
    streams::streams_end_when_the_outage_exceeds_their_patience(&mut Kafka::start().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_members_go_on_where_they_were() {
    streams::readers_and_members_go_on_where_they_were(&mut Kafka::start().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_subscription_goes_on_where_it_was() {
    streams::a_durable_subscription_goes_on_where_it_was(&mut Kafka::start().unwrap()).await;
}
