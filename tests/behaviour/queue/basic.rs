//! `queue_basic`

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use prism::{
    call::Code,
    proto::models::queue::v1::{DequeueRequest, EnqueueRequest, GetQueueDepthRequest, PeekRequest},
};

use super::payloads;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, now, refused, seconds, since_1970, sleep},
};

suite! { "queue_basic":
    first_in_first_out;
    messages_are_returned_unchanged;
    payloads_and_attributes_of_all_kinds;
    limits;
    a_message_is_delivered_once;
    consumers_share_messages;
    peek_removes_nothing;
    depth_counts;
    waiting_ends_with_a_message;
    waiting_ends_without_one;
    each_waiting_consumer_gets_a_message;
    a_cancelled_wait_takes_nothing;
    a_deadline_ends_the_wait;
    an_unknown_queue_is_empty;
    queues_and_keyspaces_are_isolated;
    names_beyond_ascii;
    bad_requests_are_refused;
}

async fn first_in_first_out(s: Subject) {
    for number in 0..50 {
        s.enqueue("jobs", &number.to_string()).await;
    }
    for number in 0..10 {
        assert_eq!(payloads(s.dequeue("jobs", 1).await), [number.to_string()]);
    }
    assert_eq!(s.drain("jobs").await, (10..50).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(s.drain("jobs").await.is_empty());
}

async fn messages_are_returned_unchanged(s: Subject) {
    let before = now();
    let attributes = BTreeMap::from([("kind".to_owned(), "mail".to_owned())]);
    let request = EnqueueRequest { queue: "jobs".to_owned(), payload: "p".into(), attributes: attributes.clone() };
    let id = s.queue_basic().enqueue(&s.context, request).await.unwrap().message_id;
    assert!(!id.is_empty() && id.len() <= 200);
    let message = s.dequeue("jobs", 1).await.remove(0);
    assert_eq!((message.message_id, &message.payload[..], message.attributes), (id, &b"p"[..], attributes));
    assert_eq!((message.delivery_attempt, message.priority), (1, 0));
    let at = since_1970(message.enqueue_time.as_ref());
    assert!((before - 1000..=now() + 1000).contains(&at), "enqueued at {at}");
}

async fn payloads_and_attributes_of_all_kinds(s: Subject) {
    let many: BTreeMap<String, String> = (0..64).map(|number| (format!("name{number:0124}"), "v".repeat(1024))).collect();
    let pair = BTreeMap::from([("gr\u{f6}\u{df}e".to_owned(), "\u{6771}\0".to_owned())]);
    for (payload, attributes) in [
        (Bytes::new(), BTreeMap::new()),
        (Bytes::from_static(b"\xc3\x28\0\xff"), pair),
        (Bytes::from(vec![7; 1 << 20]), BTreeMap::new()),
        (Bytes::from_static(b"x"), many),
    ] {
        let request = EnqueueRequest { queue: "jobs".to_owned(), payload: payload.clone(), attributes: attributes.clone() };
        s.queue_basic().enqueue(&s.context, request).await.unwrap();
        let message = s.dequeue("jobs", 1).await.remove(0);
        assert!(message.payload == payload && message.attributes == attributes, "{} different bytes came", message.payload.len());
    }
}

async fn limits(s: Subject) {
    for number in 0..120 {
        s.enqueue("jobs", &number.to_string()).await;
    }
    assert_eq!(s.peek("jobs", 0).await.len(), 1);
    assert_eq!(s.peek("jobs", 100).await.len(), 100);
    assert_eq!(s.dequeue("jobs", 0).await.len(), 1);
    assert_eq!(s.dequeue("jobs", 7).await.len(), 7);
    assert_eq!(s.dequeue("jobs", 100).await.len(), 100);
    assert_eq!(s.dequeue("jobs", 100).await.len(), 12);
}

async fn a_message_is_delivered_once(s: Subject) {
    s.enqueue("jobs", "1").await;
    assert_eq!(s.drain("jobs").await, ["1"]);
    sleep(50).await;
    assert!(s.drain("jobs").await.is_empty());
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}

async fn consumers_share_messages(s: Subject) {
    const MESSAGES: usize = 120;
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..MESSAGES / 4 {
                    s.enqueue("jobs", &format!("{producer}/{number}")).await;
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..5)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 3, wait: Some(seconds(1)) };
                    let messages = s.queue_basic().dequeue(&s.context, request).await.unwrap().messages;
                    if messages.is_empty() {
                        return taken;
                    }
                    taken.extend(payloads(messages));
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    let mut taken = Vec::new();
    for consumer in consumers {
        taken.extend(consumer.await.unwrap());
    }
    assert_eq!(taken.len(), MESSAGES);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES, "a message went to two consumers");
}

async fn peek_removes_nothing(s: Subject) {
    let ids = [s.enqueue("jobs", "1").await, s.enqueue("jobs", "2").await];
    for _ in 0..2 {
        let seen = s.peek("jobs", 10).await;
        assert_eq!(seen.iter().map(|message| message.message_id.clone()).collect::<Vec<_>>(), ids);
        assert!(seen.iter().all(|message| message.delivery_attempt == 0));
    }
    assert_eq!(s.drain("jobs").await, ["1", "2"]);
    assert!(s.peek("jobs", 10).await.is_empty());
}

async fn depth_counts(s: Subject) {
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
    for _ in 0..3 {
        s.enqueue("jobs", "x").await;
    }
    assert_eq!(s.depth("jobs").await, (3, 0, 0));
    s.dequeue("jobs", 2).await;
    assert_eq!(s.depth("jobs").await, (1, 0, 0));
}

async fn waiting_ends_with_a_message(s: Subject) {
    let waiter = {
        let s = s.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let request = DequeueRequest { queue: "jobs".to_owned(), limit: 10, wait: Some(seconds(20)) };
            let messages = s.queue_basic().dequeue(&s.context, request).await.unwrap().messages;
            (payloads(messages), began.elapsed())
        })
    };
    sleep(100).await;
    s.enqueue("jobs", "1").await;
    let (messages, took) = waiter.await.unwrap();
    assert_eq!(messages, ["1"]);
    assert!(took < Duration::from_secs(5), "woke up after {took:?}");
    // If messages are ready, the call returns at once.
    s.enqueue("jobs", "2").await;
    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 10, wait: Some(seconds(20)) };
    let began = Instant::now();
    assert_eq!(s.queue_basic().dequeue(&s.context, request).await.unwrap().messages.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "waited for more messages than one");
}

async fn waiting_ends_without_one(s: Subject) {
    let began = Instant::now();
    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(millis(200)) };
    assert!(s.queue_basic().dequeue(&s.context, request).await.unwrap().messages.is_empty());
    let waited = began.elapsed();
    assert!((Duration::from_millis(195)..Duration::from_secs(5)).contains(&waited), "waited {waited:?}");
    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(millis(0)) };
    assert!(s.queue_basic().dequeue(&s.context, request).await.unwrap().messages.is_empty());
}

async fn each_waiting_consumer_gets_a_message(s: Subject) {
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(seconds(20)) };
                payloads(s.queue_basic().dequeue(&s.context, request).await.unwrap().messages)
            })
        })
        .collect();
    sleep(50).await;
    for number in 0..8 {
        s.enqueue("jobs", &number.to_string()).await;
    }
    let mut taken = BTreeSet::new();
    for waiter in waiters {
        taken.extend(waiter.await.unwrap());
    }
    assert_eq!(taken.len(), 8);
}

async fn a_cancelled_wait_takes_nothing(s: Subject) {
    for _ in 0..5 {
        let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(seconds(20)) };
        let left = tokio::time::timeout(Duration::from_millis(30), s.queue_basic().dequeue(&s.context, request)).await;
        assert!(left.is_err(), "the call returned without a message");
    }
    s.enqueue("jobs", "1").await;
    sleep(50).await;
    assert_eq!(s.drain("jobs").await, ["1"]);
}

async fn a_deadline_ends_the_wait(s: Subject) {
    let began = Instant::now();
    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 1, wait: Some(seconds(20)) };
    let answer = s.queue_basic().dequeue(&s.with_timeout(Duration::from_millis(150)), request).await;
    let error = refused(answer, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert!(began.elapsed() < Duration::from_secs(5), "answered after {:?}", began.elapsed());
    assert_eq!((error.get("backend"), error.get("operation")), (Some("under-test"), Some("queue_basic.Dequeue")));
    s.enqueue("jobs", "1").await;
    assert_eq!(s.drain("jobs").await, ["1"], "the cancelled call took a message");
}

async fn an_unknown_queue_is_empty(s: Subject) {
    assert!(s.drain("nobody").await.is_empty());
    assert!(s.peek("nobody", 1).await.is_empty());
    assert_eq!(s.depth("nobody").await, (0, 0, 0));
}

async fn queues_and_keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    s.enqueue("jobs", "mine").await;
    s.enqueue("jobs2", "the other queue's").await;
    other.enqueue("jobs", "theirs").await;
    assert!(slot.drain("jobs").await.is_empty());
    assert_eq!(other.drain("jobs").await, ["theirs"]);
    assert_eq!(s.reopened().drain("jobs").await, ["mine"]);
    assert_eq!(s.drain("jobs2").await, ["the other queue's"]);
}

async fn names_beyond_ascii(s: Subject) {
    let longest = "q".repeat(200);
    let names = ["gr\u{f6}\u{df}e", "\u{6771}/a:b{c}", "*", ">", "a..b", "%_", &longest];
    for name in names {
        s.enqueue(name, name).await;
    }
    for name in names {
        assert_eq!(s.drain(name).await, [name]);
    }
}

async fn bad_requests_are_refused(s: Subject) {
    let queue = s.queue_basic();
    let too_long = "q".repeat(201);
    for name in ["", "a b", "a\n", "a\u{a0}", too_long.as_str()] {
        let name = name.to_owned();
        let enqueue = EnqueueRequest { queue: name.clone(), ..Default::default() };
        invalid(queue.enqueue(&s.context, enqueue).await, "INVALID_NAME", "queue");
        let dequeue = DequeueRequest { queue: name.clone(), ..Default::default() };
        invalid(queue.dequeue(&s.context, dequeue).await, "INVALID_NAME", "queue");
        invalid(queue.peek(&s.context, PeekRequest { queue: name.clone(), limit: 1 }).await, "INVALID_NAME", "queue");
        invalid(queue.get_queue_depth(&s.context, GetQueueDepthRequest { queue: name }).await, "INVALID_NAME", "queue");
    }
    let dequeue = |limit, wait| DequeueRequest { queue: "jobs".to_owned(), limit, wait };
    invalid(queue.dequeue(&s.context, dequeue(101, None)).await, "INVALID_FIELD", "limit");
    for wait in [millis(-1), millis(20_001)] {
        invalid(queue.dequeue(&s.context, dequeue(1, Some(wait))).await, "INVALID_FIELD", "wait");
    }
    invalid(queue.peek(&s.context, PeekRequest { queue: "jobs".to_owned(), limit: 101 }).await, "INVALID_FIELD", "limit");
    let attributes = BTreeMap::from([(String::new(), String::new())]);
    let enqueue = EnqueueRequest { queue: "jobs".to_owned(), attributes, ..Default::default() };
    invalid(queue.enqueue(&s.context, enqueue).await, "INVALID_ATTRIBUTES", "attributes");
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let payload = vec![0; usize::try_from(limit).unwrap() + 1].into();
        let enqueue = EnqueueRequest { queue: "jobs".to_owned(), payload, ..Default::default() };
        invalid(queue.enqueue(&s.context, enqueue).await, "VALUE_TOO_LARGE", "payload");
    }
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}
