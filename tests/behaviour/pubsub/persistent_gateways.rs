//! `pubsub_persistent` over two gateways.

use prism::proto::models::pubsub::v1::StartPosition;

use super::{event, payload};
use crate::{subject::Subject, suite::suite, support::silent};

suite! { "pubsub_persistent" shared:
    messages_wake_streams_on_other_gateways;
    another_gateway_continues_at_the_position;
}

async fn messages_wake_streams_on_other_gateways(s: Subject) {
    let mut stream = s.on_other_gateway().durable("news", "mine", StartPosition::Latest).await;
    silent(&mut stream).await;
    for number in 0..10 {
        s.persist("news", &number.to_string()).await;
        assert_eq!(payload(&mut stream).await, number.to_string());
    }
}

async fn another_gateway_continues_at_the_position(s: Subject) {
    let remote = s.on_other_gateway();
    let mut stream = s.durable("news", "mine", StartPosition::Earliest).await;
    for number in 0..4 {
        let publisher = if number % 2 == 0 { &s } else { &remote };
        publisher.persist("news", &number.to_string()).await;
    }
    payload(&mut stream).await;
    let second = event(&mut stream).await.message();
    remote.acknowledge("news", "mine", &second.cursor).await.unwrap();
    drop(stream);
    let mut stream = remote.durable("news", "mine", StartPosition::Earliest).await;
    assert_eq!([payload(&mut stream).await, payload(&mut stream).await], ["2", "3"]);
}
