//! `queue_basic` and the other queue interfaces over two gateways.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use prism::proto::models::queue::v1::DequeueRequest;

use super::{attempt, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{seconds, sleep},
};

suite! { "queue_basic" shared:
    gateways_share_messages;
    a_message_wakes_consumers_on_other_gateways;
    leases_are_valid_on_other_gateways needs "queue_visibility";
    a_lost_lease_is_delivered_by_another_gateway needs "queue_visibility";
}

async fn gateways_share_messages(s: Subject) {
    let remote = s.on_other_gateway();
    for number in 0..40 {
        let producer = if number % 2 == 0 { &s } else { &remote };
        producer.enqueue("jobs", &number.to_string()).await;
    }
    assert_eq!(remote.depth("jobs").await, (40, 0, 0));
    let consumers: Vec<_> = [s.clone(), remote]
        .map(|s| {
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let messages = s.dequeue("jobs", 3).await;
                    if messages.is_empty() {
                        return taken;
                    }
                    taken.extend(payloads(messages));
                }
            })
        })
        .into();
    let mut taken = Vec::new();
    for consumer in consumers {
        taken.extend(consumer.await.unwrap());
    }
    assert_eq!(taken.len(), 40);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

async fn a_message_wakes_consumers_on_other_gateways(s: Subject) {
    let waiter = {
        let remote = s.on_other_gateway();
        tokio::spawn(async move {
            let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(seconds(20)) };
            payloads(remote.queue_basic().dequeue(&remote.context, request).await.unwrap().messages)
        })
    };
    sleep(100).await;
    let began = Instant::now();
    s.enqueue("jobs", "1").await;
    assert_eq!(waiter.await.unwrap(), ["1"]);
    assert!(began.elapsed() < Duration::from_secs(5), "woke up after {:?}", began.elapsed());
}

async fn leases_are_valid_on_other_gateways(s: Subject) {
    let remote = s.on_other_gateway();
    s.enqueue("jobs", "1").await;
    s.enqueue("jobs", "2").await;
    let leased = s.lease("jobs", 2).await;
    assert!(remote.lease("jobs", 2).await.is_empty());
    remote.complete(&leased[0].lease).await.unwrap();
    remote.release(&leased[1].lease, None).await.unwrap();
    assert_eq!(attempt(&s.lease_one("jobs").await), 2);
}

async fn a_lost_lease_is_delivered_by_another_gateway(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.lease_for("jobs", 1, 1).await;
    assert_eq!(attempt(&s.on_other_gateway().lease_waiting("jobs", 10).await), 2);
}
