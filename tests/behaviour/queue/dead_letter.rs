//! `queue_dead_letter`

use std::collections::BTreeMap;

use prism::{
    call::Code,
    proto::models::queue::v1::{ConfigureDeadLetterRequest, EnqueueRequest, GetDeadLetterQueueRequest, RedriveRequest},
};

use super::{attempt, payload, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{eventually, invalid, refused},
};

suite! { "queue_dead_letter":
    a_failed_message_moves needs "queue_visibility";
    a_lost_lease_counts_as_a_failure needs "queue_visibility";
    completed_messages_do_not_move needs "queue_visibility";
    redrive_returns_messages needs "queue_visibility";
    redrive_returns_large_messages needs "queue_visibility";
    redrive_takes_only_messages_of_its_queue needs "queue_visibility";
    a_dead_letter_queue_is_an_ordinary_queue needs "queue_visibility";
    configuration;
    without_a_dead_letter_queue_messages_are_tried_forever needs "queue_visibility";
    bad_requests_are_refused;
}

const SOURCE: &str = "prism-dead-letter-source";

impl Subject {
    async fn configure(&self, queue: &str, dead: &str, attempts: u32) {
        let request =
            ConfigureDeadLetterRequest { queue: queue.to_owned(), dead_letter_queue: dead.to_owned(), max_delivery_attempts: attempts };
        self.queue_dead_letter().configure_dead_letter(&self.context, request).await.unwrap();
    }

    async fn redrive(&self, queue: &str, limit: u32) -> u64 {
        let request = RedriveRequest { queue: queue.to_owned(), limit };
        self.queue_dead_letter().redrive(&self.context, request).await.unwrap().moved
    }

    /// Returns the name of the dead-letter queue, the maximum number of attempts, and the number of its messages.
    async fn dead_letters(&self, queue: &str) -> (Option<(String, u32)>, u64) {
        let request = GetDeadLetterQueueRequest { queue: queue.to_owned() };
        let answer = self.queue_dead_letter().get_dead_letter_queue(&self.context, request).await.unwrap();
        (answer.config.map(|config| (config.dead_letter_queue, config.max_delivery_attempts)), answer.depth)
    }

    /// Leases and releases the next message this many times.
    async fn fail(&self, queue: &str, times: u32) {
        for _ in 0..times {
            let lease = self.lease_one(queue).await.lease;
            self.release(&lease, None).await.unwrap();
        }
    }
}

async fn a_failed_message_moves(s: Subject) {
    s.configure("jobs", "dead", 2).await;
    let attributes = BTreeMap::from([("kind".to_owned(), "mail".to_owned())]);
    let request = EnqueueRequest { queue: "jobs".to_owned(), payload: "1".into(), attributes: attributes.clone() };
    let id = s.queue_basic().enqueue(&s.context, request).await.unwrap().message_id;
    s.fail("jobs", 1).await;
    assert_eq!((s.depth("jobs").await, s.depth("dead").await), ((1, 0, 0), (0, 0, 0)));
    let last = s.lease_one("jobs").await;
    assert_eq!(attempt(&last), 2);
    s.release(&last.lease, None).await.unwrap();
    assert_eq!((s.depth("jobs").await, s.depth("dead").await), ((0, 0, 0), (1, 0, 0)));
    let seen = s.peek("dead", 1).await.remove(0);
    assert_eq!((seen.message_id, &seen.payload[..], seen.delivery_attempt), (id, &b"1"[..], 0));
    assert_eq!(seen.attributes.get(SOURCE).map(String::as_str), Some("jobs"));
    assert_eq!(seen.attributes.get("kind").map(String::as_str), Some("mail"));
    assert_eq!(seen.attributes.len(), 2);
}

async fn a_lost_lease_counts_as_a_failure(s: Subject) {
    s.configure("jobs", "dead", 1).await;
    s.enqueue("jobs", "1").await;
    let lease = s.lease_for("jobs", 1, 1).await.remove(0).lease;
    eventually("the message is in the dead-letter queue", || async {
        // Reading either queue moves the message; it is never returned from the old queue.
        assert!(s.lease("jobs", 1).await.is_empty());
        s.depth("dead").await == (1, 0, 0)
    })
    .await;
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
    refused(s.complete(&lease).await, Code::FailedPrecondition, "LEASE_LOST");
    assert_eq!(attempt(&s.lease_one("dead").await), 1);
}

async fn completed_messages_do_not_move(s: Subject) {
    s.configure("jobs", "dead", 1).await;
    s.enqueue("jobs", "1").await;
    s.enqueue("jobs", "2").await;
    let lease = s.lease_one("jobs").await.lease;
    s.complete(&lease).await.unwrap();
    assert_eq!(s.drain("jobs").await, ["2"]);
    assert_eq!((s.depth("jobs").await, s.depth("dead").await), ((0, 0, 0), (0, 0, 0)));
}

async fn redrive_returns_messages(s: Subject) {
    s.configure("jobs", "dead", 1).await;
    for number in 0..5 {
        s.enqueue("jobs", &number.to_string()).await;
        s.fail("jobs", 1).await;
    }
    assert_eq!(s.dead_letters("jobs").await, (Some(("dead".to_owned(), 1)), 5));
    assert_eq!(s.redrive("jobs", 2).await, 2);
    assert_eq!((s.depth("jobs").await, s.depth("dead").await), ((2, 0, 0), (3, 0, 0)));
    assert_eq!(payloads(s.peek("jobs", 10).await), ["0", "1"]);
    assert_eq!(s.redrive("jobs", 0).await, 3);
    assert_eq!(s.redrive("jobs", 0).await, 0);
    let back = s.dequeue("jobs", 10).await;
    assert!(back.iter().all(|message| !message.attributes.contains_key(SOURCE)));
    assert_eq!(payloads(back), ["0", "1", "2", "3", "4"]);
}

async fn redrive_returns_large_messages(s: Subject) {
    s.configure("jobs", "dead", 1).await;
    let large = |number: u32| format!("{number}{}", "x".repeat(400 << 10));
    for number in 0..4 {
        s.enqueue("jobs", &large(number)).await;
        s.fail("jobs", 1).await;
    }
    assert_eq!(s.redrive("jobs", 0).await, 4);
    assert_eq!((s.depth("jobs").await, s.depth("dead").await), ((4, 0, 0), (0, 0, 0)));
    // A reply may have fewer messages than there are, because of their size.
    let mut back = Vec::new();
    while back.len() < 4 {
        let taken = payloads(s.dequeue("jobs", 10).await);
        assert!(!taken.is_empty());
        back.extend(taken);
    }
    assert!(back == [large(0), large(1), large(2), large(3)]);
}

async fn redrive_takes_only_messages_of_its_queue(s: Subject) {
    s.configure("a", "dead", 1).await;
    s.configure("b", "dead", 1).await;
    s.enqueue("dead", "put in by hand").await;
    for queue in ["a", "b"] {
        s.enqueue(queue, queue).await;
        s.fail(queue, 1).await;
    }
    assert_eq!(s.dead_letters("a").await.1, 3);
    assert_eq!(s.redrive("b", 0).await, 1);
    assert_eq!(s.drain("b").await, ["b"]);
    assert_eq!(payloads(s.peek("dead", 10).await), ["put in by hand", "a"]);
    // Leased messages do not move.
    let leased = s.lease("dead", 10).await;
    assert_eq!(s.redrive("a", 0).await, 0);
    s.complete(&leased[1].lease).await.unwrap();
}

async fn a_dead_letter_queue_is_an_ordinary_queue(s: Subject) {
    s.configure("jobs", "dead", 1).await;
    s.configure("dead", "deader", 2).await;
    s.enqueue("jobs", "1").await;
    s.fail("jobs", 1).await;
    s.fail("dead", 2).await;
    let last = s.lease_one("deader").await;
    assert_eq!((payload(&last), attempt(&last)), ("1", 1));
    assert_eq!(last.message.unwrap().attributes.get(SOURCE).map(String::as_str), Some("dead"));
}

async fn configuration(s: Subject) {
    assert_eq!(s.dead_letters("jobs").await, (None, 0));
    s.configure("jobs", "dead", 0).await;
    assert_eq!(s.dead_letters("jobs").await, (Some(("dead".to_owned(), 5)), 0));
    s.configure("jobs", "other", 1000).await;
    assert_eq!(s.dead_letters("jobs").await, (Some(("other".to_owned(), 1000)), 0));
    assert_eq!(s.other_keyspace().dead_letters("jobs").await, (None, 0));
    s.configure("jobs", "", 0).await;
    assert_eq!(s.dead_letters("jobs").await, (None, 0));
    let request = RedriveRequest { queue: "jobs".to_owned(), limit: 0 };
    refused(s.queue_dead_letter().redrive(&s.context, request).await, Code::FailedPrecondition, "DEAD_LETTER_NOT_CONFIGURED");
}

async fn without_a_dead_letter_queue_messages_are_tried_forever(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.fail("jobs", 12).await;
    assert_eq!(attempt(&s.lease_one("jobs").await), 13);
    // A message that has already failed often enough moves at its next failure.
    s.enqueue("late", "2").await;
    s.fail("late", 3).await;
    s.configure("late", "dead", 2).await;
    s.fail("late", 1).await;
    assert_eq!((s.depth("late").await, s.depth("dead").await), ((0, 0, 0), (1, 0, 0)));
}

async fn bad_requests_are_refused(s: Subject) {
    let dead_letter = s.queue_dead_letter();
    let configure = |queue: &str, dead: &str, attempts| ConfigureDeadLetterRequest {
        queue: queue.to_owned(),
        dead_letter_queue: dead.to_owned(),
        max_delivery_attempts: attempts,
    };
    invalid(dead_letter.configure_dead_letter(&s.context, configure("a b", "dead", 1)).await, "INVALID_NAME", "queue");
    invalid(dead_letter.configure_dead_letter(&s.context, configure("jobs", "a b", 1)).await, "INVALID_NAME", "dead_letter_queue");
    let error = dead_letter.configure_dead_letter(&s.context, configure("jobs", "jobs", 1)).await;
    refused(error, Code::InvalidArgument, "INVALID_FIELD");
    let answer = dead_letter.configure_dead_letter(&s.context, configure("jobs", "dead", 1001)).await;
    invalid(answer, "INVALID_FIELD", "max_delivery_attempts");
    let request = GetDeadLetterQueueRequest { queue: String::new() };
    invalid(dead_letter.get_dead_letter_queue(&s.context, request).await, "INVALID_NAME", "queue");
    let request = RedriveRequest { queue: String::new(), limit: 0 };
    invalid(dead_letter.redrive(&s.context, request).await, "INVALID_NAME", "queue");
    assert_eq!(s.dead_letters("jobs").await, (None, 0));
}
