//! Dead jobs, and counts.

use prism::proto::patterns::work_queue::v1::{
    DiscardDeadJobsRequest, DiscardDeadJobsResponse, FailResponse, GetQueueRequest, GetQueueResponse, ListDeadJobsRequest,
    ListDeadJobsResponse, RedriveDeadJobsRequest, RedriveDeadJobsResponse,
};
use serde_json::json;

use super::{bury, dead, failure, job, submit, take, take_one};
use crate::{patterns::Bench, support::invalid};

pub async fn every_job_is_counted_once(bench: Bench) {
    let bench = bury(&bench, &["dead"]).await;
    for payload in ["ready", "ready", "leased"] {
        submit(&bench, job(payload)).await.unwrap();
    }
    take_one(&bench).await;
    let again = bench.with(json!({})).await;
    submit(&again, job("fails")).await.unwrap();
    let counts = async || bench.call::<GetQueueResponse>("GetQueue", GetQueueRequest { queue: "q".to_owned() }).await.unwrap();
    assert_eq!(counts().await, GetQueueResponse { ready: 3, leased: 1, scheduled: 0, dead: 1 });
    let taken = take_one(&again).await;
    again.call::<FailResponse>("Fail", failure(&taken, Some(3_600_000))).await.unwrap();
    assert_eq!(counts().await, GetQueueResponse { ready: 2, leased: 1, scheduled: 1, dead: 1 });
    let empty: GetQueueResponse = bench.call("GetQueue", GetQueueRequest { queue: "other".to_owned() }).await.unwrap();
    assert_eq!(empty, GetQueueResponse::default());
}

pub async fn dead_jobs_are_listed_and_stay(bench: Bench) {
    assert!(dead(&bench).await.is_empty());
    let bench = bury(&bench, &["one", "two"]).await;
    for _ in 0..2 {
        let listed = dead(&bench).await;
        assert_eq!(listed.iter().map(|job| &job.payload[..]).collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(listed.iter().all(|job| job.attributes.is_empty() && !job.id.is_empty()));
    }
    let too_many = ListDeadJobsRequest { queue: "q".to_owned(), limit: 101 };
    invalid(bench.call::<ListDeadJobsResponse>("ListDeadJobs", too_many).await, "INVALID_FIELD", "limit");
}

pub async fn redriven_jobs_are_delivered_again(bench: Bench) {
    let bench = bury(&bench, &["one", "two", "three"]).await;
    let ids: Vec<_> = dead(&bench).await.into_iter().map(|job| job.id).collect();
    for (limit, moved) in [(1, 1), (0, 2), (0, 0)] {
        let request = RedriveDeadJobsRequest { queue: "q".to_owned(), limit };
        assert_eq!(bench.call::<RedriveDeadJobsResponse>("RedriveDeadJobs", request).await.unwrap().moved, moved);
    }
    let taken = take(&bench, 10).await;
    assert_eq!(taken.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), ids);
    assert!(taken.iter().all(|job| job.attempt == 1 && job.attributes.is_empty()));
}

pub async fn nothing_moves_in_a_queue_that_nobody_used(bench: Bench) {
    let request = RedriveDeadJobsRequest { queue: "unused".to_owned(), limit: 0 };
    assert_eq!(bench.call::<RedriveDeadJobsResponse>("RedriveDeadJobs", request).await.unwrap().moved, 0);
}

pub async fn discarded_jobs_are_gone(bench: Bench) {
    let bench = bury(&bench, &["one", "two", "three"]).await;
    let discard = async |limit| {
        let request = DiscardDeadJobsRequest { queue: "q".to_owned(), limit };
        bench.call::<DiscardDeadJobsResponse>("DiscardDeadJobs", request).await
    };
    invalid(discard(0).await, "INVALID_FIELD", "limit");
    invalid(discard(1001).await, "INVALID_FIELD", "limit");
    assert_eq!(discard(2).await.unwrap().discarded, 2);
    assert_eq!(dead(&bench).await.iter().map(|job| &job.payload[..]).collect::<Vec<_>>(), [b"three"]);
    assert_eq!(discard(1000).await.unwrap().discarded, 1);
    assert!(dead(&bench).await.is_empty());
}
