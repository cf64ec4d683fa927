//! `queue_visibility`

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use prism::{
    call::Code,
    proto::models::queue::v1::{CompleteRequest, DequeueWithTimeoutRequest, ExtendVisibilityRequest, ReleaseRequest},
};

use super::{attempt, payload, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, now, refused, seconds, since_1970, sleep},
};

suite! { "queue_visibility":
    a_leased_message_is_invisible;
    complete_removes_the_message;
    a_lost_lease_is_delivered_again;
    an_extended_lease_lasts;
    a_lease_can_be_shortened;
    a_released_message_keeps_its_position;
    release_with_a_delay;
    a_lease_ends_once;
    the_old_lease_is_lost_when_there_is_a_new_one;
    forged_leases_are_refused;
    leases_belong_to_their_keyspace;
    dequeue_does_not_take_leased_messages;
    waiting_ends_with_a_message;
    waiting_ends_when_a_lease_is_lost;
    a_deadline_ends_the_wait;
    workers_complete_every_job;
    the_default_lease_is_thirty_seconds;
    bad_requests_are_refused;
}

async fn a_leased_message_is_invisible(s: Subject) {
    let ids = [s.enqueue("jobs", "1").await, s.enqueue("jobs", "2").await, s.enqueue("jobs", "3").await];
    let before = now();
    let leased = s.lease("jobs", 2).await;
    assert_eq!(leased.iter().map(payload).collect::<Vec<_>>(), ["1", "2"]);
    for (one, id) in leased.iter().zip(&ids) {
        assert_eq!((&one.message.as_ref().unwrap().message_id, attempt(one)), (id, 1));
        let until = since_1970(one.lease_expire_time.as_ref());
        assert!((before + 30_000..=now() + 30_001).contains(&until), "leased until {until}");
    }
    assert_ne!(leased[0].lease, leased[1].lease);
    assert_eq!(payloads(s.peek("jobs", 10).await), ["3"]);
    assert_eq!(s.depth("jobs").await, (1, 2, 0));
    assert_eq!(payload(&s.lease_one("jobs").await), "3");
    assert!(s.lease("jobs", 10).await.is_empty());
}

async fn complete_removes_the_message(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.enqueue("jobs", "2").await;
    let leased = s.lease("jobs", 2).await;
    s.complete(&leased[1].lease).await.unwrap();
    assert_eq!(s.depth("jobs").await, (0, 1, 0));
    s.complete(&leased[0].lease).await.unwrap();
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}

async fn a_lost_lease_is_delivered_again(s: Subject) {
    let id = s.enqueue("jobs", "1").await;
    let began = Instant::now();
    let first = s.lease_for("jobs", 1, 1).await.remove(0);
    let second = s.lease_waiting("jobs", 10).await;
    assert!(began.elapsed() >= Duration::from_millis(990), "delivered again after {:?}", began.elapsed());
    assert_eq!((&second.message.as_ref().unwrap().message_id, payload(&second), attempt(&second)), (&id, "1", 2));
    assert_ne!(first.lease, second.lease);
    s.complete(&second.lease).await.unwrap();
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}

async fn an_extended_lease_lasts(s: Subject) {
    s.enqueue("jobs", "1").await;
    let leased = s.lease_for("jobs", 1, 1).await.remove(0);
    let before = now();
    let request = ExtendVisibilityRequest { lease: leased.lease.clone(), visibility_timeout: Some(seconds(60)) };
    let answer = s.queue_visibility().extend_visibility(&s.context, request).await.unwrap();
    let until = since_1970(answer.lease_expire_time.as_ref());
    assert!((before + 60_000..=now() + 60_001).contains(&until));
    sleep(1200).await;
    assert!(s.lease("jobs", 1).await.is_empty(), "the extended lease was lost");
    assert_eq!(s.depth("jobs").await, (0, 1, 0));
    s.complete(&leased.lease).await.unwrap();
}

async fn a_lease_can_be_shortened(s: Subject) {
    s.enqueue("jobs", "1").await;
    let leased = s.lease_one("jobs").await;
    let request = ExtendVisibilityRequest { lease: leased.lease.clone(), visibility_timeout: Some(seconds(1)) };
    s.queue_visibility().extend_visibility(&s.context, request).await.unwrap();
    assert_eq!(attempt(&s.lease_waiting("jobs", 10).await), 2);
    refused(s.complete(&leased.lease).await, Code::FailedPrecondition, "LEASE_LOST");
}

async fn a_released_message_keeps_its_position(s: Subject) {
    for number in ["1", "2", "3"] {
        s.enqueue("jobs", number).await;
    }
    let leased = s.lease("jobs", 2).await;
    s.release(&leased[0].lease, None).await.unwrap();
    assert_eq!(s.depth("jobs").await, (2, 1, 0));
    let again = s.lease_one("jobs").await;
    assert_eq!((payload(&again), attempt(&again)), ("1", 2));
    s.release(&again.lease, Some(millis(0))).await.unwrap();
    let seen = s.peek("jobs", 10).await;
    assert_eq!(seen.iter().map(|message| message.delivery_attempt).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(payloads(seen), ["1", "3"]);
}

async fn release_with_a_delay(s: Subject) {
    s.enqueue("jobs", "1").await;
    let began = Instant::now();
    let lease = s.lease_one("jobs").await.lease;
    s.release(&lease, Some(millis(400))).await.unwrap();
    if began.elapsed() < Duration::from_millis(350) {
        assert!(s.lease("jobs", 1).await.is_empty() || began.elapsed() >= Duration::from_millis(400));
        let depth = s.depth("jobs").await;
        assert!(depth == (0, 0, 1) || began.elapsed() >= Duration::from_millis(400), "{depth:?}");
    }
    refused(s.complete(&lease).await, Code::FailedPrecondition, "LEASE_LOST");
    let again = s.lease_waiting("jobs", 10).await;
    // Drivers count whole milliseconds, so up to one millisecond may be missing.
    assert!(began.elapsed() >= Duration::from_millis(399));
    assert_eq!((payload(&again), attempt(&again)), ("1", 2));
}

async fn a_lease_ends_once(s: Subject) {
    let extend = |lease: &str| ExtendVisibilityRequest { lease: lease.to_owned(), visibility_timeout: Some(seconds(60)) };
    for number in ["1", "2"] {
        s.enqueue("jobs", number).await;
    }
    let leased = s.lease("jobs", 2).await;
    s.complete(&leased[0].lease).await.unwrap();
    s.release(&leased[1].lease, None).await.unwrap();
    for one in &leased {
        refused(s.complete(&one.lease).await, Code::FailedPrecondition, "LEASE_LOST");
        refused(s.release(&one.lease, None).await, Code::FailedPrecondition, "LEASE_LOST");
        let answer = s.queue_visibility().extend_visibility(&s.context, extend(&one.lease)).await;
        refused(answer, Code::FailedPrecondition, "LEASE_LOST");
    }
    assert_eq!(s.depth("jobs").await, (1, 0, 0), "a lease that had ended changed something");
}

async fn the_old_lease_is_lost_when_there_is_a_new_one(s: Subject) {
    s.enqueue("jobs", "1").await;
    let old = s.lease_for("jobs", 1, 1).await.remove(0);
    let new = s.lease_waiting("jobs", 10).await;
    refused(s.complete(&old.lease).await, Code::FailedPrecondition, "LEASE_LOST");
    refused(s.release(&old.lease, None).await, Code::FailedPrecondition, "LEASE_LOST");
    assert_eq!(s.depth("jobs").await, (0, 1, 0), "the old lease touched the new one's message");
    s.complete(&new.lease).await.unwrap();
}

async fn forged_leases_are_refused(s: Subject) {
    s.enqueue("jobs", "1").await;
    let lease = s.lease_one("jobs").await.lease;
    let cut = lease[..lease.len() - 1].to_owned();
    for forged in ["", "no lease", "AAAA", "\u{6771}", &cut, &format!("{lease}A")] {
        let code = |error: prism::call::Error| {
            // A well-formed lease that does not exist may also be reported as lost.
            let actual = (error.code(), error.reason().to_owned());
            let expected = [(Code::InvalidArgument, "INVALID_LEASE"), (Code::FailedPrecondition, "LEASE_LOST")];
            assert!(expected.iter().any(|(code, reason)| actual == (*code, (*reason).to_owned())), "{forged:?}: {error:?}");
            actual.1
        };
        let complete = CompleteRequest { lease: forged.to_owned() };
        let reason = code(s.queue_visibility().complete(&s.context, complete).await.unwrap_err());
        let release = ReleaseRequest { lease: forged.to_owned(), delay: None };
        assert_eq!(code(s.queue_visibility().release(&s.context, release).await.unwrap_err()), reason);
        if ["", "no lease", "\u{6771}"].contains(&forged) {
            assert_eq!(reason, "INVALID_LEASE", "{forged:?}");
        }
    }
    assert_eq!(s.depth("jobs").await, (0, 1, 0));
    s.complete(&lease).await.unwrap();
}

async fn leases_belong_to_their_keyspace(s: Subject) {
    s.enqueue("jobs", "1").await;
    let lease = s.lease_one("jobs").await.lease;
    s.other_keyspace().complete(&lease).await.unwrap_err();
    assert_eq!(s.depth("jobs").await, (0, 1, 0));
    s.reopened().complete(&lease).await.unwrap();
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}

async fn dequeue_does_not_take_leased_messages(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.enqueue("jobs", "2").await;
    let lease = s.lease_one("jobs").await.lease;
    assert_eq!(s.drain("jobs").await, ["2"]);
    s.release(&lease, None).await.unwrap();
    let message = s.dequeue("jobs", 1).await.remove(0);
    assert_eq!(message.delivery_attempt, 2);
}

async fn waiting_ends_with_a_message(s: Subject) {
    let waiter = {
        let s = s.clone();
        tokio::spawn(async move { s.lease_waiting("jobs", 20).await })
    };
    sleep(80).await;
    let began = Instant::now();
    s.enqueue("jobs", "1").await;
    assert_eq!(payload(&waiter.await.unwrap()), "1");
    assert!(began.elapsed() < Duration::from_secs(5), "woke up after {:?}", began.elapsed());
}

async fn waiting_ends_when_a_lease_is_lost(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.lease_for("jobs", 1, 1).await;
    let began = Instant::now();
    assert_eq!(attempt(&s.lease_waiting("jobs", 20).await), 2);
    assert!(began.elapsed() < Duration::from_secs(6), "woke up after {:?}", began.elapsed());
    // Releasing a message wakes a waiting consumer too.
    let lease = {
        s.enqueue("other", "1").await;
        s.lease_one("other").await.lease
    };
    let waiter = {
        let s = s.clone();
        tokio::spawn(async move { s.lease_waiting("other", 20).await })
    };
    sleep(50).await;
    let began = Instant::now();
    s.release(&lease, None).await.unwrap();
    assert_eq!(attempt(&waiter.await.unwrap()), 2);
    assert!(began.elapsed() < Duration::from_secs(5), "woke up after {:?}", began.elapsed());
}

async fn a_deadline_ends_the_wait(s: Subject) {
    let request = DequeueWithTimeoutRequest { queue: "jobs".to_owned(), wait: Some(seconds(20)), ..Default::default() };
    let answer = s.queue_visibility().dequeue_with_timeout(&s.with_timeout(Duration::from_millis(100)), request).await;
    refused(answer, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    s.enqueue("jobs", "1").await;
    sleep(30).await;
    assert_eq!(s.depth("jobs").await, (1, 0, 0), "the cancelled call took a lease");
}

/// Some workers forget or release their jobs. In the end, each job is completed exactly once.
async fn workers_complete_every_job(s: Subject) {
    const JOBS: usize = 60;
    for number in 0..JOBS {
        s.enqueue("jobs", &number.to_string()).await;
    }
    let done: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let workers: Vec<_> = (0..5_usize)
        .map(|worker| {
            let (s, done) = (s.clone(), done.clone());
            tokio::spawn(async move {
                let mut turn = worker;
                loop {
                    let request = DequeueWithTimeoutRequest {
                        queue: "jobs".to_owned(),
                        visibility_timeout: Some(seconds(1)),
                        limit: 2,
                        wait: Some(millis(2500)),
                    };
                    let leased = s.queue_visibility().dequeue_with_timeout(&s.context, request).await.unwrap().messages;
                    if leased.is_empty() {
                        return;
                    }
                    for one in leased {
                        turn += 1;
                        match turn % 5 {
                            // The worker forgets the job, and its lease expires.
                            0 if attempt(&one) == 1 => {}
                            1 if attempt(&one) < 3 => {
                                let _ = s.release(&one.lease, None).await;
                            }
                            _ => {
                                if s.complete(&one.lease).await.is_ok() {
                                    *done.lock().unwrap().entry(payload(&one).to_owned()).or_default() += 1;
                                }
                            }
                        }
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let done = done.lock().unwrap().clone();
    assert_eq!(done.len(), JOBS);
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    assert_eq!(s.depth("jobs").await, (0, 0, 0));
}

async fn the_default_lease_is_thirty_seconds(s: Subject) {
    s.enqueue("jobs", "1").await;
    s.enqueue("jobs", "2").await;
    let before = now();
    let request = DequeueWithTimeoutRequest { queue: "jobs".to_owned(), ..Default::default() };
    let leased = s.queue_visibility().dequeue_with_timeout(&s.context, request).await.unwrap().messages;
    assert_eq!(leased.len(), 1, "the default limit is one");
    let until = since_1970(leased[0].lease_expire_time.as_ref());
    assert!((before + 30_000..=now() + 30_001).contains(&until));
}

async fn bad_requests_are_refused(s: Subject) {
    let queue = s.queue_visibility();
    let request = || DequeueWithTimeoutRequest { queue: "jobs".to_owned(), ..Default::default() };
    s.enqueue("jobs", "1").await;
    let bad = DequeueWithTimeoutRequest { queue: "a b".to_owned(), ..request() };
    invalid(queue.dequeue_with_timeout(&s.context, bad).await, "INVALID_NAME", "queue");
    let bad = DequeueWithTimeoutRequest { limit: 101, ..request() };
    invalid(queue.dequeue_with_timeout(&s.context, bad).await, "INVALID_FIELD", "limit");
    for wait in [millis(-1), seconds(21)] {
        let bad = DequeueWithTimeoutRequest { wait: Some(wait), ..request() };
        invalid(queue.dequeue_with_timeout(&s.context, bad).await, "INVALID_FIELD", "wait");
    }
    let lease = s.lease_one("jobs").await.lease;
    for timeout in [Some(millis(999)), Some(seconds(0)), Some(seconds(-1)), Some(seconds(12 * 3600 + 1)), None] {
        if timeout.is_some() {
            let bad = DequeueWithTimeoutRequest { visibility_timeout: timeout, ..request() };
            invalid(queue.dequeue_with_timeout(&s.context, bad).await, "INVALID_FIELD", "visibility_timeout");
        }
        let bad = ExtendVisibilityRequest { lease: lease.clone(), visibility_timeout: timeout };
        invalid(queue.extend_visibility(&s.context, bad).await, "INVALID_FIELD", "visibility_timeout");
    }
    for delay in [millis(-1), seconds(12 * 3600 + 1)] {
        let bad = ReleaseRequest { lease: lease.clone(), delay: Some(delay) };
        invalid(queue.release(&s.context, bad).await, "INVALID_FIELD", "delay");
    }
    s.complete(&lease).await.unwrap();
}
