//! WorkQueue.

mod dead;
mod submit;
mod worker;

use prism::{
    call::Error,
    proto::patterns::work_queue::v1::{
        CompleteRequest, CompleteResponse, DeadJob, FailRequest, FailResponse, GetJobRequest, GetJobResponse, Job, ListDeadJobsRequest,
        ListDeadJobsResponse, SubmitRequest, SubmitResponse, TakeRequest, TakeResponse,
    },
};
use serde_json::json;

use self::{
    dead::{
        dead_jobs_are_listed_and_stay, discarded_jobs_are_gone, every_job_is_counted_once, nothing_moves_in_a_queue_that_nobody_used,
        redriven_jobs_are_delivered_again,
    },
    submit::{
        a_delayed_job_waits, a_higher_priority_comes_first, a_priority_is_refused_without_the_interface,
        a_refused_job_does_not_use_its_id_up, an_id_is_unique_in_its_queue, an_id_is_unique_on_all_gateways, an_id_needs_the_slot_results,
        an_unknown_job_is_not_found, capabilities_follow_the_slots, it_is_refused_without_the_slot_results,
        jobs_are_taken_in_order_with_all_that_was_submitted, of_concurrent_calls_with_one_id_one_puts_a_job_in, requests_are_checked,
    },
    worker::{
        a_completed_job_is_gone, a_failed_job_comes_back_after_the_delay_of_the_request,
        a_failed_job_comes_back_after_the_delay_of_the_settings, a_job_comes_back_when_its_lease_ends, a_job_goes_to_one_worker,
        a_lease_can_be_extended_on_another_gateway, a_result_needs_the_slot_results, a_worker_without_a_lease_does_not_replace_a_result,
        after_the_last_delivery_a_job_is_dead, an_extended_lease_lasts, it_waits_for_a_job, leases_are_checked, limits_are_checked,
        progress_is_shown, progress_needs_the_slot_results, the_reason_is_kept, the_result_is_kept,
    },
};
use super::{Bench, DEFAULT, pattern_suite};
use crate::support::{millis, seconds};

pattern_suite! { "work-queue", DEFAULT;
    GetCapabilities {
        capabilities_follow_the_slots;
    }
    Submit {
        jobs_are_taken_in_order_with_all_that_was_submitted;
        an_id_is_unique_in_its_queue needs "results";
        of_concurrent_calls_with_one_id_one_puts_a_job_in needs "results";
        an_id_is_unique_on_all_gateways needs "results", "shared";
        an_id_needs_the_slot_results needs "!results";
        a_higher_priority_comes_first needs "jobs/queue_priority";
        a_priority_is_refused_without_the_interface needs "!jobs/queue_priority";
        a_delayed_job_waits needs "jobs/queue_delayed";
        a_refused_job_does_not_use_its_id_up needs "results";
        requests_are_checked;
    }
    Take {
        it_waits_for_a_job;
        a_job_goes_to_one_worker;
        a_job_comes_back_when_its_lease_ends;
        limits_are_checked;
    }
    Extend {
        an_extended_lease_lasts;
        a_lease_can_be_extended_on_another_gateway needs "shared";
        progress_is_shown needs "results";
        progress_needs_the_slot_results needs "!results";
    }
    Complete {
        a_completed_job_is_gone;
        the_result_is_kept needs "results";
        a_result_needs_the_slot_results needs "!results";
        a_worker_without_a_lease_does_not_replace_a_result needs "results";
        leases_are_checked;
    }
    Fail {
        a_failed_job_comes_back_after_the_delay_of_the_settings;
        a_failed_job_comes_back_after_the_delay_of_the_request;
        after_the_last_delivery_a_job_is_dead;
        the_reason_is_kept needs "results";
    }
    GetJob {
        an_unknown_job_is_not_found needs "results";
        it_is_refused_without_the_slot_results needs "!results";
    }
    GetQueue {
        every_job_is_counted_once;
    }
    ListDeadJobs {
        dead_jobs_are_listed_and_stay;
    }
    RedriveDeadJobs {
        redriven_jobs_are_delivered_again;
        nothing_moves_in_a_queue_that_nobody_used;
    }
    DiscardDeadJobs {
        discarded_jobs_are_gone;
    }
}

fn job(payload: &str) -> SubmitRequest {
    SubmitRequest { queue: "q".to_owned(), payload: payload.to_owned().into(), ..SubmitRequest::default() }
}

fn job_with_id(id: &str) -> SubmitRequest {
    SubmitRequest { id: id.to_owned(), ..job(id) }
}

async fn submit(bench: &Bench, request: SubmitRequest) -> Result<SubmitResponse, Error> {
    bench.call("Submit", request).await
}

/// Takes jobs, and waits for the first one.
async fn take(bench: &Bench, limit: u32) -> Vec<Job> {
    let request = TakeRequest { queue: "q".to_owned(), limit, wait: Some(seconds(10)), ..TakeRequest::default() };
    bench.call::<TakeResponse>("Take", request).await.unwrap().jobs
}

async fn take_one(bench: &Bench) -> Job {
    take(bench, 1).await.pop().expect("a job")
}

/// Takes jobs that are ready now.
async fn take_now(bench: &Bench) -> Vec<Job> {
    let request = TakeRequest { queue: "q".to_owned(), limit: 100, ..TakeRequest::default() };
    bench.call::<TakeResponse>("Take", request).await.unwrap().jobs
}

async fn complete(bench: &Bench, job: &Job, result: &str) -> Result<CompleteResponse, Error> {
    let request = CompleteRequest { queue: "q".to_owned(), lease: job.lease.clone(), result: result.to_owned().into() };
    bench.call("Complete", request).await
}

fn failure(job: &Job, delay: Option<i64>) -> FailRequest {
    FailRequest { queue: "q".to_owned(), lease: job.lease.clone(), delay: delay.map(millis), failure: String::new() }
}

async fn find(bench: &Bench, id: &str) -> Result<GetJobResponse, Error> {
    bench.call("GetJob", GetJobRequest { queue: "q".to_owned(), id: id.to_owned() }).await
}

async fn dead(bench: &Bench) -> Vec<DeadJob> {
    let request = ListDeadJobsRequest { queue: "q".to_owned(), limit: 100 };
    bench.call::<ListDeadJobsResponse>("ListDeadJobs", request).await.unwrap().jobs
}

/// Puts jobs in, and lets each fail until it is dead.
async fn bury(bench: &Bench, payloads: &[&str]) -> Bench {
    let bench = bench.with(json!({"max_attempts": 1})).await;
    for payload in payloads {
        submit(&bench, job(payload)).await.unwrap();
        let taken = take_one(&bench).await;
        let failed: FailResponse = bench.call("Fail", failure(&taken, None)).await.unwrap();
        assert!(failed.dead && failed.retry_time.is_none());
    }
    bench
}
