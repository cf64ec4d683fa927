//! `queue_priority`

use std::collections::BTreeMap;

use prism::proto::models::queue::v1::EnqueueWithPriorityRequest;

use super::{payload, payloads};
use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "queue_priority":
    higher_comes_first_and_the_same_in_order;
    messages_carry_their_priority;
    enqueue_has_priority_zero;
    leases_follow_priority needs "queue_visibility";
    bad_requests_are_refused;
}

impl Subject {
    async fn enqueue_with_priority(&self, queue: &str, payload: &str, priority: u32) {
        let request = EnqueueWithPriorityRequest {
            queue: queue.to_owned(),
            payload: payload.to_owned().into(),
            attributes: BTreeMap::new(),
            priority,
        };
        let answer = self.queue_priority().enqueue_with_priority(&self.context, request).await.unwrap();
        assert!(!answer.message_id.is_empty());
    }
}

async fn higher_comes_first_and_the_same_in_order(s: Subject) {
    for (number, priority) in [3, 9, 0, 3, 5, 9, 0, 1].into_iter().enumerate() {
        s.enqueue_with_priority("jobs", &format!("{priority}/{number}"), priority).await;
    }
    let expected = ["9/1", "9/5", "5/4", "3/0", "3/3", "1/7", "0/2", "0/6"];
    assert_eq!(payloads(s.peek("jobs", 10).await), expected);
    assert_eq!(payloads(s.dequeue("jobs", 3).await), expected[..3]);
    s.enqueue_with_priority("jobs", "late and urgent", 9).await;
    assert_eq!(payloads(s.dequeue("jobs", 1).await), ["late and urgent"]);
    assert_eq!(s.drain("jobs").await, expected[3..]);
}

async fn messages_carry_their_priority(s: Subject) {
    for priority in 0..=9 {
        s.enqueue_with_priority("jobs", "x", priority).await;
    }
    let priorities: Vec<u32> = s.dequeue("jobs", 10).await.iter().map(|message| message.priority).collect();
    assert_eq!(priorities, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
}

async fn enqueue_has_priority_zero(s: Subject) {
    s.enqueue("jobs", "plain").await;
    s.enqueue_with_priority("jobs", "zero", 0).await;
    s.enqueue_with_priority("jobs", "one", 1).await;
    assert_eq!(s.drain("jobs").await, ["one", "plain", "zero"]);
}

async fn leases_follow_priority(s: Subject) {
    s.enqueue_with_priority("jobs", "low", 1).await;
    s.enqueue_with_priority("jobs", "high", 2).await;
    let high = s.lease_one("jobs").await;
    assert_eq!(payload(&high), "high");
    assert_eq!(high.message.as_ref().unwrap().priority, 2);
    s.release(&high.lease, None).await.unwrap();
    assert_eq!(s.lease("jobs", 10).await.iter().map(payload).collect::<Vec<_>>(), ["high", "low"]);
}

async fn bad_requests_are_refused(s: Subject) {
    let priority = s.queue_priority();
    let request = |queue: &str, priority| EnqueueWithPriorityRequest { queue: queue.to_owned(), priority, ..Default::default() };
    invalid(priority.enqueue_with_priority(&s.context, request("jobs", 10)).await, "INVALID_FIELD", "priority");
    invalid(priority.enqueue_with_priority(&s.context, request("a b", 1)).await, "INVALID_NAME", "queue");
    let attributes = BTreeMap::from([(String::new(), String::new())]);
    let bad = EnqueueWithPriorityRequest { attributes, ..request("jobs", 1) };
    invalid(priority.enqueue_with_priority(&s.context, bad).await, "INVALID_ATTRIBUTES", "attributes");
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}
