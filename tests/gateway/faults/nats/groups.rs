//! Two gateways share a consumer group and a queue, and one of them is killed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt as _;
use prism::{
    call::{Context, Messages},
    driver::Backend,
    proto::models::{
        queue::v1::{CompleteRequest, DequeueWithTimeoutRequest, EnqueueRequest},
        stream::v1::{
            AckRequest, AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, JoinConsumerGroupResponse,
            StreamConsumerGroups,
        },
    },
};
use serde_json::json;
use test_support::servers::Nats;

use super::super::{
    PATIENCE, backend, connected, context, healthy,
    proxy::{Mode, Proxy},
    slot,
};

const RECORDS: usize = 40;

/// Connects a backend through a proxy. Cutting the proxy for good is what the server sees of a gateway that was killed.
async fn mortal(server: &Nats) -> (Arc<dyn Backend>, Proxy) {
    let proxy = Proxy::start(server.port()).await;
    let backend = backend("nats", json!({"url": format!("nats://127.0.0.1:{}", proxy.port), "request_timeout": "1s"})).await;
    healthy(&backend).await;
    (backend, proxy)
}

async fn join(groups: &Arc<dyn StreamConsumerGroups>) -> Messages<JoinConsumerGroupResponse> {
    let ack_timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    let request =
        JoinConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), ack_timeout, max_in_flight: 5, ..Default::default() };
    groups.join_consumer_group(&Context::internal("shop"), request).await.unwrap()
}

#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    let server = Nats::start().unwrap();
    let survivor = connected(&server).await;
    let (killed, proxy) = mortal(&server).await;
    let interfaces = slot(&survivor).interfaces;
    let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
    let create = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    assert!(groups.create_consumer_group(&context(), create).await.unwrap().created);
    for number in 0..RECORDS {
        let request = AppendRequest { stream: "orders".into(), payload: number.to_string().into(), ..Default::default() };
        streams.append(&context(), request).await.unwrap();
    }
    // The gateway that will be killed has five records, and acknowledges none of them.
    let other_groups = slot(&killed).interfaces.stream_consumer_groups.unwrap();
    let mut other = join(&other_groups).await;
    let mut lost = BTreeSet::new();
    for _ in 0..5 {
        lost.insert(other.next().await.unwrap().unwrap().record.unwrap().payload);
    }
    proxy.set(Mode::Cut);
    let mut member = join(&groups).await;
    let mut done = BTreeSet::new();
    let mut again = BTreeSet::new();
    while done.len() < RECORDS {
        let delivery = tokio::time::timeout(PATIENCE, member.next()).await.expect("a record is missing").unwrap().unwrap();
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

#[tokio::test]
async fn a_killed_gateway_leaves_its_messages_to_another() {
    let server = Nats::start().unwrap();
    let survivor = connected(&server).await;
    let (killed, proxy) = mortal(&server).await;
    let interfaces = slot(&survivor).interfaces;
    let (basic, visibility) = (interfaces.queue_basic.unwrap(), interfaces.queue_visibility.unwrap());
    for number in 0..10 {
        let request = EnqueueRequest { queue: "jobs".into(), payload: number.to_string().into(), ..Default::default() };
        basic.enqueue(&context(), request).await.unwrap();
    }
    let lease = |limit, wait| DequeueWithTimeoutRequest {
        queue: "jobs".into(),
        limit,
        wait: Some(prost_types::Duration { seconds: wait, nanos: 0 }),
        visibility_timeout: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
    };
    let other = slot(&killed).interfaces.queue_visibility.unwrap();
    assert_eq!(other.dequeue_with_timeout(&context(), lease(4, 0)).await.unwrap().messages.len(), 4);
    proxy.set(Mode::Cut);
    let mut done = BTreeSet::new();
    while done.len() < 10 {
        let leased = visibility.dequeue_with_timeout(&Context::internal("shop"), lease(3, 10)).await.unwrap().messages;
        assert!(!leased.is_empty(), "a message is missing");
        for message in leased {
            visibility.complete(&context(), CompleteRequest { lease: message.lease }).await.unwrap();
            assert!(done.insert(message.message.unwrap().payload), "a message was delivered after it was completed");
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(visibility.dequeue_with_timeout(&context(), lease(10, 0)).await.unwrap().messages.is_empty());
}
