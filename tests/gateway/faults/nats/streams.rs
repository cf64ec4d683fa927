//! Response streams during an outage of the server.

use futures::StreamExt as _;
use prism::proto::models::stream::v1::ReadRequest;
use test_support::servers::Nats;

use super::super::{
    connected, context, healthy, slot,
    streams::{self, append},
};

#[tokio::test]
async fn a_subscription_continues_after_a_reported_gap() {
    streams::a_subscription_continues_after_a_reported_gap(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn streams_end_when_the_outage_exceeds_their_patience() {
    streams::streams_end_when_the_outage_exceeds_their_patience(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn readers_and_members_go_on_where_they_were() {
    streams::readers_and_members_go_on_where_they_were(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_durable_subscription_goes_on_where_it_was() {
    streams::a_durable_subscription_goes_on_where_it_was(&mut Nats::start().unwrap()).await;
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
            append(streams.as_ref(), &payload).await.unwrap();
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
