//! `pubsub_basic` and what stands beside it, over two gateways.

use prism::proto::models::pubsub::v1::SubscribePatternRequest;

use super::{event, payload, subscribed};
use crate::{subject::Subject, suite::suite, support::silent};

suite! { "pubsub_basic" shared:
    messages_reach_other_gateways;
    patterns_reach_other_gateways needs "pubsub_wildcards";
    ids_are_of_one_gateway;
}

async fn messages_reach_other_gateways(s: Subject) {
    let there = s.elsewhere();
    let (mut here, mut remote) = (s.subscribe("news").await, there.subscribe("news").await);
    for number in 0..20 {
        let publisher = if number % 2 == 0 { &s } else { &there };
        publisher.publish("news", &number.to_string()).await;
        assert_eq!(payload(&mut here).await, number.to_string());
        assert_eq!(payload(&mut remote).await, number.to_string());
    }
    silent(&mut here).await;
}

async fn patterns_reach_other_gateways(s: Subject) {
    let there = s.elsewhere();
    let request = SubscribePatternRequest { pattern: "orders.*".to_owned(), subscription: String::new() };
    let mut stream = there.pubsub_wildcards().subscribe_pattern(&there.context, request).await.unwrap();
    subscribed(&mut stream).await;
    s.publish("orders.eu", "1").await;
    let message = event(&mut stream).await.message();
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("orders.eu", &b"1"[..]));
}

async fn ids_are_of_one_gateway(s: Subject) {
    let there = s.elsewhere();
    let mut here = s.subscribe_as("news", "mine").await;
    let _remote = there.subscribe_as("news", "mine").await;
    assert!(there.unsubscribe("mine").await);
    s.publish("news", "1").await;
    assert_eq!(payload(&mut here).await, "1");
}
