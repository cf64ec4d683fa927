//! What workers do.

use std::collections::BTreeSet;

use futures::future::join_all;
use prism::{
    call::{Code, Error},
    proto::patterns::work_queue::v1::{
        CompleteRequest, CompleteResponse, ExtendRequest, ExtendResponse, FailRequest, FailResponse, GetQueueRequest, GetQueueResponse,
        Job, TakeRequest, TakeResponse,
    },
};
use serde_json::json;

use super::{complete, dead, failure, find, job, job_with_id, submit, take, take_now, take_one};
use crate::{
    patterns::Bench,
    support::{eventually, invalid, millis, now, refused, seconds, since_1970, sleep},
};

pub async fn it_waits_for_a_job(bench: Bench) {
    let (taken, ()) = futures::join!(take_one(&bench), async {
        sleep(300).await;
        submit(&bench, job("late")).await.unwrap();
    });
    assert_eq!(taken.payload, "late");
    let mut hurried = bench.with(json!({})).await;
    hurried.context = hurried.context.with_timeout(std::time::Duration::from_secs(2));
    assert!(take(&hurried, 1).await.is_empty(), "the wait ends before the deadline of the call");
}

pub async fn a_job_goes_to_one_worker(bench: Bench) {
    for number in 0..20 {
        submit(&bench, job(&number.to_string())).await.unwrap();
    }
    let taken = join_all((0..10).map(|_| take(&bench, 2))).await.concat();
    let payloads: BTreeSet<_> = taken.iter().map(|job| job.payload.clone()).collect();
    assert_eq!((taken.len(), payloads.len()), (20, 20));
}

pub async fn a_job_comes_back_when_its_lease_ends(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let request = TakeRequest { queue: "q".to_owned(), lease_duration: Some(seconds(1)), ..TakeRequest::default() };
    let first = bench.call::<TakeResponse>("Take", request).await.unwrap().jobs.pop().unwrap();
    assert!(take_now(&bench).await.is_empty());
    let second = take_one(&bench).await;
    assert_eq!((second.id.as_str(), second.attempt), (first.id.as_str(), 2));
    refused(complete(&bench, &first, "").await, Code::FailedPrecondition, "LEASE_LOST");
    complete(&bench, &second, "").await.unwrap();
}

pub async fn limits_are_checked(bench: Bench) {
    let request = || TakeRequest { queue: "q".to_owned(), ..TakeRequest::default() };
    let refused = async |request| bench.call::<TakeResponse>("Take", request).await;
    invalid(refused(TakeRequest { limit: 101, ..request() }).await, "INVALID_FIELD", "limit");
    invalid(refused(TakeRequest { wait: Some(seconds(21)), ..request() }).await, "INVALID_FIELD", "wait");
    invalid(refused(TakeRequest { lease_duration: Some(millis(999)), ..request() }).await, "INVALID_FIELD", "lease_duration");
    invalid(refused(TakeRequest { lease_duration: Some(seconds(43_201)), ..request() }).await, "INVALID_FIELD", "lease_duration");
}

async fn extend(bench: &Bench, job: &Job, duration: i64, progress: &str) -> Result<ExtendResponse, Error> {
    let (queue, lease, progress) = ("q".to_owned(), job.lease.clone(), progress.to_owned());
    bench.call("Extend", ExtendRequest { queue, lease, lease_duration: Some(seconds(duration)), progress }).await
}

pub async fn an_extended_lease_lasts(bench: Bench) {
    let bench = bench.with(json!({"lease_duration": "1s"})).await;
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    let extended = extend(&bench, &taken, 60, "").await.unwrap();
    assert!(since_1970(extended.lease_expire_time.as_ref()) > now() + 50_000);
    sleep(1200).await;
    assert!(take_now(&bench).await.is_empty());
    complete(&bench, &taken, "").await.unwrap();
    refused(extend(&bench, &taken, 60, "").await, Code::FailedPrecondition, "LEASE_LOST");
}

pub async fn a_lease_can_be_extended_on_another_gateway(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    let other = bench.on_other_gateway().await;
    extend(&other, &taken, 60, "").await.unwrap();
    complete(&other, &taken, "").await.unwrap();
}

pub async fn progress_is_shown(bench: Bench) {
    submit(&bench, job_with_id("a")).await.unwrap();
    let taken = take_one(&bench).await;
    for progress in ["10 %", "", "40 %"] {
        extend(&bench, &taken, 60, progress).await.unwrap();
        let expected = if progress.is_empty() { "10 %" } else { progress };
        assert_eq!(find(&bench, "a").await.unwrap().progress, expected);
    }
    invalid(extend(&bench, &taken, 60, &"x".repeat(1025)).await, "INVALID_FIELD", "progress");
}

pub async fn progress_needs_the_slot_results(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    refused(extend(&bench, &taken, 60, "10 %").await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    complete(&bench, &taken, "").await.unwrap();
}

pub async fn a_completed_job_is_gone(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    complete(&bench, &taken, "").await.unwrap();
    refused(complete(&bench, &taken, "").await, Code::FailedPrecondition, "LEASE_LOST");
    let failed = bench.call::<FailResponse>("Fail", failure(&taken, None)).await;
    refused(failed, Code::FailedPrecondition, "LEASE_LOST");
    let counts: GetQueueResponse = bench.call("GetQueue", GetQueueRequest { queue: "q".to_owned() }).await.unwrap();
    assert_eq!(counts, GetQueueResponse::default());
}

pub async fn the_result_is_kept(bench: Bench) {
    let id = submit(&bench, job("x")).await.unwrap().id;
    let waiting = find(&bench, &id).await.unwrap();
    assert_eq!((waiting.completed, waiting.complete_time), (false, None));
    let taken = take_one(&bench).await;
    complete(&bench, &taken, "the result").await.unwrap();
    let done = find(&bench, &id).await.unwrap();
    assert_eq!((done.completed, &done.result[..], done.failed_attempt), (true, &b"the result"[..], 0));
    assert!(since_1970(done.complete_time.as_ref()) >= since_1970(done.submit_time.as_ref()));
}

pub async fn a_result_needs_the_slot_results(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    refused(complete(&bench, &taken, "result").await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    complete(&bench, &taken, "").await.unwrap();
}

pub async fn a_worker_without_a_lease_does_not_replace_a_result(bench: Bench) {
    submit(&bench, job_with_id("a")).await.unwrap();
    let first = take_one(&bench).await;
    bench.call::<FailResponse>("Fail", failure(&first, Some(0))).await.unwrap();
    let second = take_one(&bench).await;
    complete(&bench, &second, "right").await.unwrap();
    refused(complete(&bench, &first, "wrong").await, Code::FailedPrecondition, "LEASE_LOST");
    assert_eq!(find(&bench, "a").await.unwrap().result, "right");
}

pub async fn leases_are_checked(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    let request = |queue: &str, lease: &str| CompleteRequest { queue: queue.to_owned(), lease: lease.to_owned(), ..Default::default() };
    for (queue, lease) in [("other", &*taken.lease), ("q", ""), ("q", "x"), ("q", &taken.lease[1..])] {
        invalid(bench.call::<CompleteResponse>("Complete", request(queue, lease)).await, "INVALID_LEASE", "lease");
    }
}

pub async fn a_failed_job_comes_back_after_the_delay_of_the_settings(bench: Bench) {
    let bench = bench.with(json!({"retry_delay": "200ms"})).await;
    submit(&bench, job("x")).await.unwrap();
    let mut failed_at = now();
    for attempt in 1..=3 {
        let taken = take_one(&bench).await;
        assert_eq!(taken.attempt, attempt);
        let delay = if attempt == 1 { 0 } else { 200 << (attempt - 2) };
        assert!(now() >= failed_at + delay, "delivery {attempt} came too early");
        failed_at = now();
        let failed: FailResponse = bench.call("Fail", failure(&taken, None)).await.unwrap();
        assert!(!failed.dead && since_1970(failed.retry_time.as_ref()) >= failed_at + (200 << (attempt - 1)));
    }
}

pub async fn a_failed_job_comes_back_after_the_delay_of_the_request(bench: Bench) {
    submit(&bench, job("x")).await.unwrap();
    let taken = take_one(&bench).await;
    bench.call::<FailResponse>("Fail", failure(&taken, Some(0))).await.unwrap();
    let taken = take_now(&bench).await.pop().expect("it is ready at once");
    assert_eq!(taken.attempt, 2);
    bench.call::<FailResponse>("Fail", failure(&taken, Some(3_600_000))).await.unwrap();
    assert!(take_now(&bench).await.is_empty());
    let far = bench.call::<FailResponse>("Fail", FailRequest { delay: Some(seconds(43_201)), ..failure(&taken, None) }).await;
    invalid(far, "INVALID_FIELD", "delay");
}

pub async fn after_the_last_delivery_a_job_is_dead(bench: Bench) {
    let bench = bench.with(json!({"max_attempts": 2, "retry_delay": "1ms", "lease_duration": "1s"})).await;
    submit(&bench, job("fails")).await.unwrap();
    for last in [false, true] {
        let taken = take_one(&bench).await;
        assert_eq!(bench.call::<FailResponse>("Fail", failure(&taken, None)).await.unwrap().dead, last);
    }
    submit(&bench, job("hangs")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(take_one(&bench).await.payload, "hangs");
    }
    eventually("both are dead", || async { take_now(&bench).await.is_empty() && dead(&bench).await.len() == 2 }).await;
}

pub async fn the_reason_is_kept(bench: Bench) {
    let bench = bench.with(json!({"max_attempts": 1})).await;
    submit(&bench, job_with_id("a")).await.unwrap();
    let taken = take_one(&bench).await;
    let request = FailRequest { failure: "no such photo".to_owned(), ..failure(&taken, None) };
    bench.call::<FailResponse>("Fail", request).await.unwrap();
    let found = find(&bench, "a").await.unwrap();
    assert_eq!((found.completed, found.failure.as_str(), found.failed_attempt), (false, "no such photo", 1));
    let listed = dead(&bench).await;
    assert_eq!((listed[0].id.as_str(), listed[0].failure.as_str()), ("a", "no such photo"));
}
