//! `queue_delayed`

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use prism::proto::models::queue::v1::{
    DequeueRequest, EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, enqueue_delayed_request::Schedule,
};

use super::{attempt, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, now, seconds, since_1970, sleep, timestamp},
};

suite! { "queue_delayed":
    a_message_is_not_ready_before_its_time;
    a_delivery_time;
    no_delay_or_a_past_time_is_ready_at_once;
    messages_become_ready_in_the_order_of_their_times;
    a_delayed_message_is_ordered_by_its_ready_time;
    waiting_ends_when_a_message_becomes_ready;
    leases_wait_too needs "queue_visibility";
    scheduled_messages_are_counted;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

/// Maximum delay between the scheduled time and the message being ready, on a busy machine.
const LATE: Duration = Duration::from_secs(4);

impl Subject {
    async fn enqueue_delayed(&self, queue: &str, payload: &str, schedule: Schedule) -> EnqueueDelayedResponse {
        let request = EnqueueDelayedRequest {
            queue: queue.to_owned(),
            payload: payload.to_owned().into(),
            attributes: BTreeMap::new(),
            schedule: Some(schedule),
        };
        self.queue_delayed().enqueue_delayed(&self.context, request).await.unwrap()
    }

    async fn scheduled(&self, queue: &str) -> u64 {
        let request = GetScheduledCountRequest { queue: queue.to_owned() };
        self.queue_delayed().get_scheduled_count(&self.context, request).await.unwrap().count
    }

    async fn dequeue_waiting(&self, queue: &str) -> String {
        let request = DequeueRequest { queue: queue.to_owned(), limit: 1, wait: Some(seconds(10)) };
        let messages = self.queue_basic().dequeue(&self.context, request).await.unwrap().messages;
        payloads(messages).pop().expect("a message becomes ready")
    }
}

async fn a_message_is_not_ready_before_its_time(s: Subject) {
    let (began, before) = (Instant::now(), now());
    let answer = s.enqueue_delayed("jobs", "1", Schedule::Delay(millis(400))).await;
    assert!(!answer.message_id.is_empty());
    let at = since_1970(answer.deliver_time.as_ref());
    assert!((before + 400..=now() + 401).contains(&at), "ready at {at}");
    loop {
        let taken = s.drain("jobs").await;
        if !taken.is_empty() {
            assert_eq!(taken, ["1"]);
            break;
        }
        assert!(began.elapsed() < LATE, "not ready after {:?}", began.elapsed());
        sleep(15).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(399), "ready too early");
}

async fn a_delivery_time(s: Subject) {
    let at = now() + 300;
    let answer = s.enqueue_delayed("jobs", "1", Schedule::DeliverTime(timestamp(at))).await;
    assert_eq!(since_1970(answer.deliver_time.as_ref()), at);
    assert_eq!(s.dequeue_waiting("jobs").await, "1");
    assert!(now() >= at, "ready too early");
}

async fn no_delay_or_a_past_time_is_ready_at_once(s: Subject) {
    s.enqueue_delayed("jobs", "zero", Schedule::Delay(millis(0))).await;
    s.enqueue_delayed("jobs", "past", Schedule::DeliverTime(timestamp(now() - 60_000))).await;
    s.enqueue_delayed("jobs", "1970", Schedule::DeliverTime(timestamp(0))).await;
    s.enqueue("jobs", "plain").await;
    assert_eq!(s.drain("jobs").await, ["zero", "past", "1970", "plain"]);
    assert_eq!(s.scheduled("jobs").await, 0);
}

async fn messages_become_ready_in_the_order_of_their_times(s: Subject) {
    // The times are so late that all messages are enqueued before the first is ready, even on a slow machine.
    let first = now() + 1500;
    for later in [300, 0, 200, 100] {
        s.enqueue_delayed("jobs", &later.to_string(), Schedule::DeliverTime(timestamp(first + later))).await;
    }
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(s.dequeue_waiting("jobs").await);
    }
    assert_eq!(taken, ["0", "100", "200", "300"]);
}

async fn a_delayed_message_is_ordered_by_its_ready_time(s: Subject) {
    s.enqueue_delayed("jobs", "delayed", Schedule::Delay(millis(1500))).await;
    s.enqueue("jobs", "put in before it was ready").await;
    sleep(1650).await;
    s.enqueue("jobs", "put in after it was ready").await;
    // A driver may deliver up to one second late. Then the message is not ready yet, and comes last.
    let mut taken = s.drain("jobs").await;
    if taken.len() == 2 {
        taken.push(s.dequeue_waiting("jobs").await);
        assert_eq!(taken.last().map(String::as_str), Some("delayed"));
    } else {
        assert_eq!(taken, ["put in before it was ready", "delayed", "put in after it was ready"]);
    }
}

async fn waiting_ends_when_a_message_becomes_ready(s: Subject) {
    let began = Instant::now();
    s.enqueue_delayed("jobs", "1", Schedule::Delay(millis(300))).await;
    assert_eq!(s.dequeue_waiting("jobs").await, "1");
    assert!((Duration::from_millis(299)..LATE).contains(&began.elapsed()), "{:?}", began.elapsed());
}

async fn leases_wait_too(s: Subject) {
    s.enqueue_delayed("jobs", "1", Schedule::Delay(millis(200))).await;
    let leased = s.lease_waiting("jobs", 10).await;
    assert_eq!(attempt(&leased), 1);
    s.release(&leased.lease, Some(seconds(60))).await.unwrap();
    assert_eq!(s.scheduled("jobs").await, 1, "a released message with a delay counts");
}

async fn scheduled_messages_are_counted(s: Subject) {
    assert_eq!(s.scheduled("jobs").await, 0);
    for _ in 0..3 {
        s.enqueue_delayed("jobs", "x", Schedule::Delay(seconds(3600))).await;
    }
    s.enqueue_delayed("jobs", "x", Schedule::Delay(seconds(365 * 86_400))).await;
    s.enqueue("jobs", "ready").await;
    assert_eq!(s.scheduled("jobs").await, 4);
    assert_eq!(s.depth("jobs").await, (1, 0, 4));
    assert_eq!(payloads(s.peek("jobs", 10).await), ["ready"]);
}

async fn keyspaces_are_isolated(s: Subject) {
    let other = s.other_keyspace();
    s.enqueue_delayed("jobs", "mine", Schedule::Delay(millis(50))).await;
    assert_eq!(other.scheduled("jobs").await, 0);
    assert_eq!(s.dequeue_waiting("jobs").await, "mine");
    assert!(other.drain("jobs").await.is_empty());
}

async fn bad_requests_are_refused(s: Subject) {
    let delayed = s.queue_delayed();
    let year = 365 * 86_400;
    for (schedule, field) in [
        (None, ""),
        (Some(Schedule::Delay(millis(-1))), "delay"),
        (Some(Schedule::Delay(seconds(year + 1))), "delay"),
        (Some(Schedule::DeliverTime(timestamp(now() + (year + 60) * 1000))), "deliver_time"),
    ] {
        let request = EnqueueDelayedRequest { queue: "jobs".to_owned(), schedule, ..Default::default() };
        let answer = delayed.enqueue_delayed(&s.context, request).await;
        if field.is_empty() {
            crate::support::refused(answer, prism::call::Code::InvalidArgument, "INVALID_FIELD");
        } else {
            invalid(answer, "INVALID_FIELD", field);
        }
    }
    let request = EnqueueDelayedRequest { queue: "a b".to_owned(), schedule: Some(Schedule::Delay(millis(1))), ..Default::default() };
    invalid(delayed.enqueue_delayed(&s.context, request).await, "INVALID_NAME", "queue");
    let request = GetScheduledCountRequest { queue: String::new() };
    invalid(delayed.get_scheduled_count(&s.context, request).await, "INVALID_NAME", "queue");
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}
