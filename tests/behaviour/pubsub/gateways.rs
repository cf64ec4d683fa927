//! `pubsub_basic` and the other pub/sub interfaces over two gateways.

use prism::proto::models::pubsub::v1::SubscribePatternRequest;

use super::{event, payload, subscribed};
use crate::{subject::Subject, suite::suite, support::silent};

suite! { "pubsub_basic" shared:
    messages_reach_other_gateways;
    patterns_reach_other_gateways needs "pubsub_wildcards";
    subscription_ids_belong_to_one_gateway;
}

async fn messages_reach_other_gateways(s: Subject) {
    let remote = s.on_other_gateway();
    let (mut here, mut there) = (s.subscribe("news").await, remote.subscribe("news").await);
    for number in 0..20 {
        let publisher = if number % 2 == 0 { &s } else { &remote };
        publisher.publish("news", &number.to_string()).await;
        assert_eq!(payload(&mut here).await, number.to_string());
        assert_eq!(payload(&mut there).await, number.to_string());
    }
    silent(&mut here).await;
}

async fn patterns_reach_other_gateways(s: Subject) {
    let remote = s.on_other_gateway();
    let request = SubscribePatternRequest { pattern: "orders.*".to_owned(), subscription: String::new() };
    let mut stream = remote.pubsub_wildcards().subscribe_pattern(&remote.context, request).await.unwrap();
    subscribed(&mut stream).await;
    s.publish("orders.eu", "1").await;
    let message = event(&mut stream).await.message();
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("orders.eu", &b"1"[..]));
}

async fn subscription_ids_belong_to_one_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    let mut here = s.subscribe_as("news", "mine").await;
    let _remote = remote.subscribe_as("news", "mine").await;
    assert!(remote.unsubscribe("mine").await);
    s.publish("news", "1").await;
    assert_eq!(payload(&mut here).await, "1");
}
