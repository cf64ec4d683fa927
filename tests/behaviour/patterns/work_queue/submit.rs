//! Submit, GetJob and GetCapabilities.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use prism::{
    call::Code,
    proto::patterns::{slots::v1::Support, work_queue::v1::SubmitRequest},
};
use serde_json::json;

use super::{complete, find, job, job_with_id, submit, take, take_now, take_one};
use crate::{
    patterns::Bench,
    support::{eventually, invalid, millis, now, refused, seconds, since_1970},
};

pub async fn capabilities_follow_the_slots(bench: Bench) {
    let filled = bench.capabilities().await.slots.iter().any(|slot| slot.name == "results" && !slot.backend.is_empty());
    let expected = if filled { Support::Native } else { Support::Unavailable };
    assert_eq!(bench.operation("GetJob").await.support(), expected);
    assert_eq!(bench.operation("Take").await.support(), Support::Native);
    let note = bench.operation("Submit").await.note;
    assert_eq!(note.contains("id, which needs keyvalue_cas"), !filled, "{note}");
}

pub async fn jobs_are_taken_in_order_with_all_that_was_submitted(bench: Bench) {
    let before = now();
    let mut ids = vec![];
    for payload in ["one", "two", "three"] {
        let attributes = BTreeMap::from([("kind".to_owned(), payload.to_uppercase())]);
        let submitted = submit(&bench, SubmitRequest { attributes, ..job(payload) }).await.unwrap();
        assert!(!submitted.duplicate);
        ids.push(submitted.id);
    }
    let mut taken = take(&bench, 2).await;
    taken.extend(take(&bench, 2).await);
    for ((job, payload), id) in taken.iter().zip(["one", "two", "three"]).zip(&ids) {
        assert_eq!((&job.payload[..], &job.id, job.attempt, job.priority), (payload.as_bytes(), id, 1, 0));
        assert_eq!(job.attributes, BTreeMap::from([("kind".to_owned(), payload.to_uppercase())]));
        assert!((before - 1000..=now() + 1000).contains(&since_1970(job.submit_time.as_ref())));
        assert!(since_1970(job.lease_expire_time.as_ref()) > now() + 20_000, "the lease of the settings is 30 s");
    }
    assert_eq!(taken.len(), 3);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);
}

pub async fn an_id_is_unique_in_its_queue(bench: Bench) {
    let first = submit(&bench, job_with_id("a")).await.unwrap();
    assert_eq!((first.id.as_str(), first.duplicate), ("a", false));
    let second = submit(&bench, SubmitRequest { payload: "other".into(), ..job_with_id("a") }).await.unwrap();
    assert_eq!((second.id.as_str(), second.duplicate), ("a", true));
    let elsewhere = submit(&bench, SubmitRequest { queue: "other".to_owned(), ..job_with_id("a") }).await.unwrap();
    assert!(!elsewhere.duplicate);
    let taken = take_one(&bench).await;
    assert_eq!((taken.id.as_str(), &taken.payload[..]), ("a", &b"a"[..]));
    assert!(take_now(&bench).await.is_empty());
    complete(&bench, &taken, "").await.unwrap();
    assert!(submit(&bench, job_with_id("a")).await.unwrap().duplicate, "the id is kept after the job");
    let short = bench.with(json!({"retention": "1s"})).await;
    assert!(!submit(&short, job_with_id("b")).await.unwrap().duplicate);
    eventually("the retention passes", || async { !submit(&short, job_with_id("b")).await.unwrap().duplicate }).await;
}

pub async fn of_concurrent_calls_with_one_id_one_puts_a_job_in(bench: Bench) {
    let all = join_all((0..8).map(|_| submit(&bench, job_with_id("a")))).await;
    let put_in = all.iter().filter(|result| result.as_ref().is_ok_and(|submitted| !submitted.duplicate)).count();
    assert_eq!(put_in, 1);
    for error in all.into_iter().filter_map(Result::err) {
        assert_eq!((error.code(), error.reason()), (Code::Aborted, "SUBMIT_IN_PROGRESS"));
        assert!(error.retry_after().is_some());
    }
    assert_eq!(take_one(&bench).await.id, "a");
    assert!(take_now(&bench).await.is_empty());
}

pub async fn an_id_is_unique_on_all_gateways(bench: Bench) {
    let other = bench.on_other_gateway().await;
    assert!(!submit(&bench, job_with_id("a")).await.unwrap().duplicate);
    assert!(submit(&other, job_with_id("a")).await.unwrap().duplicate);
    assert_eq!(take_one(&other).await.id, "a");
}

pub async fn an_id_needs_the_slot_results(bench: Bench) {
    let error = refused(submit(&bench, job_with_id("a")).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert!(error.message().contains("results"), "{error}");
    assert!(take_now(&bench).await.is_empty());
}

pub async fn a_higher_priority_comes_first(bench: Bench) {
    for (payload, priority) in [("low", 0), ("high", 9), ("middle", 5), ("high too", 9)] {
        submit(&bench, SubmitRequest { priority, ..job(payload) }).await.unwrap();
    }
    let taken: Vec<_> =
        take(&bench, 10).await.into_iter().map(|job| (String::from_utf8(job.payload.to_vec()).unwrap(), job.priority)).collect();
    let expected = [("high", 9), ("high too", 9), ("middle", 5), ("low", 0)];
    assert_eq!(taken, expected.map(|(payload, priority)| (payload.to_owned(), priority)));
}

pub async fn a_priority_is_refused_without_the_interface(bench: Bench) {
    let error = refused(submit(&bench, SubmitRequest { priority: 1, ..job("x") }).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert_eq!(error.get("interface"), Some("queue_priority"));
    assert!(bench.operation("Submit").await.note.contains("queue_priority"));
}

pub async fn a_delayed_job_waits(bench: Bench) {
    let began = now();
    submit(&bench, SubmitRequest { delay: Some(millis(700)), ..job("later") }).await.unwrap();
    let at = prost_types::Timestamp { seconds: began / 1000 + 3600, nanos: 0 };
    submit(&bench, SubmitRequest { deliver_time: Some(at), ..job("in an hour") }).await.unwrap();
    submit(&bench, job("now")).await.unwrap();
    assert_eq!(take_one(&bench).await.payload, "now");
    assert_eq!(take_one(&bench).await.payload, "later");
    assert!(now() >= began + 700, "it came too early");
    assert!(take_now(&bench).await.is_empty());
}

pub async fn a_refused_job_does_not_use_its_id_up(bench: Bench) {
    let largest = usize::try_from(bench.capabilities().await.limits.unwrap().max_value_bytes).unwrap();
    let too_large = SubmitRequest { payload: vec![0; largest + 1].into(), ..job_with_id("a") };
    invalid(submit(&bench, too_large).await, "VALUE_TOO_LARGE", "payload");
    assert!(!submit(&bench, job_with_id("a")).await.unwrap().duplicate);
}

pub async fn requests_are_checked(bench: Bench) {
    for queue in ["", "a b", "a:dead", "a/b"] {
        invalid(submit(&bench, SubmitRequest { queue: queue.to_owned(), ..job("x") }).await, "INVALID_NAME", "queue");
    }
    let attributes = BTreeMap::from([("prism-job-id".to_owned(), "x".to_owned())]);
    invalid(submit(&bench, SubmitRequest { attributes, ..job("x") }).await, "INVALID_ATTRIBUTES", "attributes");
    let attributes = (0..61).map(|number| (format!("a{number}"), String::new())).collect();
    invalid(submit(&bench, SubmitRequest { attributes, ..job("x") }).await, "INVALID_ATTRIBUTES", "attributes");
    invalid(submit(&bench, SubmitRequest { priority: 10, ..job("x") }).await, "INVALID_FIELD", "priority");
    invalid(submit(&bench, SubmitRequest { priority: 1, delay: Some(seconds(1)), ..job("x") }).await, "INVALID_FIELD", "priority");
    invalid(submit(&bench, SubmitRequest { id: "a b".to_owned(), ..job("x") }).await, "INVALID_NAME", "id");
    assert!(take_now(&bench).await.is_empty());
}

pub async fn an_unknown_job_is_not_found(bench: Bench) {
    refused(find(&bench, "nope").await, Code::NotFound, "JOB_NOT_FOUND");
    invalid(find(&bench, "").await, "INVALID_NAME", "id");
}

pub async fn it_is_refused_without_the_slot_results(bench: Bench) {
    refused(find(&bench, "a").await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
}
