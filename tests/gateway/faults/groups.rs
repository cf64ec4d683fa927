//! Two gateways share a consumer group or a queue, and one of them is killed. It is the same for every server.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use prism::{
    call::{Context, Messages},
    driver::Backend,
    proto::models::{
        queue::v1::{CompleteRequest, DequeueWithTimeoutRequest, EnqueueRequest},
        stream::v1::{AckRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, JoinConsumerGroupResponse},
    },
};
use prost_types::Duration;

use super::{
    Server, backend, connected, context, healthy,
    proxy::{Mode, Proxy},
    slot,
    streams::{append, next},
};

const RECORDS: usize = 40;
/// The time after which records and messages of a gateway that was killed are delivered again.
const TIMEOUT: Duration = Duration { seconds: 2, nanos: 0 };

/// Connects a backend through a proxy. Cutting the proxy for good is what the server sees of a gateway that was killed.
async fn mortal(server: &impl Server) -> (Arc<dyn Backend>, Proxy) {
    let proxy = Proxy::start(server.port()).await;
    let backend = backend(server.kind(), server.settings_through(proxy.port)).await;
    healthy(&backend).await;
    (backend, proxy)
}

async fn join(backend: &Arc<dyn Backend>, ack_timeout: Duration) -> Messages<JoinConsumerGroupResponse> {
    let groups = slot(backend).interfaces.stream_consumer_groups.unwrap();
    let request = JoinConsumerGroupRequest {
        stream: "orders".into(),
        group: "billing".into(),
        ack_timeout: Some(ack_timeout),
        max_in_flight: 5,
        ..Default::default()
    };
    groups.join_consumer_group(&Context::internal("shop"), request).await.unwrap()
}

/// Creates a consumer group, and appends the records that it will get.
pub async fn create(backend: &Arc<dyn Backend>) {
    let interfaces = slot(backend).interfaces;
    let request = CreateConsumerGroupRequest { stream: "orders".into(), group: "billing".into(), start: None };
    assert!(interfaces.stream_consumer_groups.unwrap().create_consumer_group(&context(), request).await.unwrap().created);
    let streams = interfaces.stream_basic.unwrap();
    for number in 0..RECORDS {
        append(streams.as_ref(), &number.to_string()).await.unwrap();
    }
}

/// Joins the group, and takes as many records as a member may have. Acknowledges none of them.
pub async fn take(backend: &Arc<dyn Backend>, ack_timeout: Duration) -> (Messages<JoinConsumerGroupResponse>, BTreeSet<Bytes>) {
    let mut member = join(backend, ack_timeout).await;
    let mut taken = BTreeSet::new();
    for _ in 0..5 {
        taken.insert(next(&mut member).await.unwrap().unwrap().record.unwrap().payload);
    }
    (member, taken)
}

/// Joins the group, and acknowledges all records. Exactly those of the killed gateway are delivered for a second time.
pub async fn take_over(backend: &Arc<dyn Backend>, ack_timeout: Duration, lost: BTreeSet<Bytes>) {
    let groups = slot(backend).interfaces.stream_consumer_groups.unwrap();
    let mut member = join(backend, ack_timeout).await;
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

pub async fn a_killed_gateway_leaves_its_records_to_another(server: &impl Server) {
    let survivor = connected(server).await;
    let (killed, proxy) = mortal(server).await;
    create(&survivor).await;
    let (_member, lost) = take(&killed, TIMEOUT).await;
    proxy.set(Mode::Cut);
    take_over(&survivor, TIMEOUT, lost).await;
}

/// The same with a long time to acknowledge: the records come back because the member does not renew its lease. `expire` ends it sooner.
pub async fn a_killed_gateway_leaves_its_records_before_their_timeout(server: &impl Server, expire: impl FnOnce()) {
    let hour = Duration { seconds: 3600, nanos: 0 };
    let survivor = connected(server).await;
    let (killed, proxy) = mortal(server).await;
    create(&survivor).await;
    let (_member, lost) = take(&killed, hour).await;
    proxy.set(Mode::Cut);
    expire();
    take_over(&survivor, hour, lost).await;
}

pub async fn a_killed_gateway_leaves_its_messages_to_another(server: &impl Server) {
    let survivor = connected(server).await;
    let (killed, proxy) = mortal(server).await;
    let interfaces = slot(&survivor).interfaces;
    let (basic, visibility) = (interfaces.queue_basic.unwrap(), interfaces.queue_visibility.unwrap());
    for number in 0..10 {
        let request = EnqueueRequest { queue: "jobs".into(), payload: number.to_string().into(), ..Default::default() };
        basic.enqueue(&context(), request).await.unwrap();
    }
    let lease = |limit, wait| DequeueWithTimeoutRequest {
        queue: "jobs".into(),
        limit,
        wait: Some(Duration { seconds: wait, nanos: 0 }),
        visibility_timeout: Some(TIMEOUT),
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
    assert!(visibility.dequeue_with_timeout(&context(), lease(10, 0)).await.unwrap().messages.is_empty());
}
