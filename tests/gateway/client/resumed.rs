//! Streams that continue after their cursor when the gateway is restarted.

use std::time::Duration;

use prism_client::{
    Connection, RetryPolicy,
    consumer::{ConsumerClient, SubscribeRequest},
    keyvalue::{KeyValueClient, StoreRequest, WatchRequest, watch_response::Event},
    producer::{ProducerClient, PublishRequest},
};
use test_support::gateway::Gateway;

use super::start;

fn connect(gateway: &Gateway) -> Connection {
    let policy = RetryPolicy { attempts: 100, min_pause: Duration::from_millis(50), max_pause: Duration::from_millis(200) };
    Connection::to(&gateway.url()).retry(policy).connect().unwrap()
}

#[tokio::test]
async fn a_watch_misses_no_change() {
    let mut gateway = start().await;
    let client = KeyValueClient::open(&connect(&gateway), "default").await.unwrap();
    let store = |key: String| StoreRequest { key, value: "v".into(), ..Default::default() };
    client.store(store("k0".to_owned())).await.unwrap();
    let mut watch = client.watch(WatchRequest { prefix: "k".to_owned(), ..Default::default() }).await.unwrap();
    let mut keys = Vec::new();
    for round in 1..=3 {
        // Nothing is read between the change and the restart, so the change reaches the client on one of two connections.
        client.store(store(format!("k{round}"))).await.unwrap();
        gateway.kill();
        gateway = gateway.restart().await;
        client.store(store(format!("k{round}-later"))).await.unwrap();
        while keys.last() != Some(&format!("k{round}-later")) {
            match watch.message().await.unwrap().expect("the watch goes on").event {
                Some(Event::Entry(entry) | Event::Stored(entry)) => keys.push(entry.key),
                Some(Event::Gap(_)) => panic!("a gap after {keys:?}"),
                _ => {}
            }
        }
    }
    assert_eq!(keys, ["k0", "k1", "k1-later", "k2", "k2-later", "k3", "k3-later"]);
}

#[tokio::test]
async fn a_subscription_receives_every_message_once() {
    let mut gateway = start().await;
    let connection = connect(&gateway);
    let producer = ProducerClient::open(&connection, "orders").await.unwrap();
    let consumer = ConsumerClient::open(&connection, "billing").await.unwrap();
    let publish = |number: usize| PublishRequest {
        topic: "t".to_owned(),
        payload: number.to_string().into(),
        // Of messages with one id, one is kept, so Publish can be repeated.
        id: format!("message-{number}"),
        ..Default::default()
    };
    producer.publish(publish(0)).await.unwrap();
    let start = prism_client::consumer::Start::Earliest.into();
    let mut messages = consumer.subscribe(SubscribeRequest { topic: "t".to_owned(), start, ..Default::default() }).await.unwrap();
    let mut received = Vec::new();
    for number in 1..=4 {
        let message = messages.message().await.unwrap().expect("the subscription goes on").message.unwrap();
        received.push(String::from_utf8(message.payload.to_vec()).unwrap());
        gateway.kill();
        gateway = gateway.restart().await;
        producer.publish(publish(number)).await.unwrap();
    }
    assert_eq!(received, ["0", "1", "2", "3"]);
}
