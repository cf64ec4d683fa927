//! Dead jobs: those that were delivered as often as allowed.

use super::{ID_ATTRIBUTE, RESERVED_PREFIX, WorkQueue, check_queue};
use prism_call::{
    Context, Error,
    proto::{
        models::queue::v1 as model,
        patterns::work_queue::v1::{
            DeadJob, DiscardDeadJobsRequest, DiscardDeadJobsResponse, GetQueueRequest, GetQueueResponse, ListDeadJobsRequest,
            ListDeadJobsResponse, RedriveDeadJobsRequest, RedriveDeadJobsResponse,
        },
    },
};
use prism_slot::check;

/// Most dead jobs in one response, and in one operation of the backend.
const MAX_LISTED: u32 = 100;
const DEFAULT_LISTED: u32 = 20;
const MAX_DISCARDED: u32 = 1000;

/// Returns the name of the queue of dead jobs. No queue of a client has a `:`.
pub fn queue_of(queue: &str) -> String {
    format!("{queue}:dead")
}

pub async fn count(queue: &WorkQueue, context: &Context, request: GetQueueRequest) -> Result<GetQueueResponse, Error> {
    let GetQueueRequest { queue: name } = request;
    check_queue(&name)?;
    let depth = |queue_name| queue.basic.get_queue_depth(context, model::GetQueueDepthRequest { queue: queue_name });
    let (alive, dead) = futures::try_join!(depth(name.clone()), depth(queue_of(&name)))?;
    let model::GetQueueDepthResponse { ready, leased, scheduled } = alive;
    Ok(GetQueueResponse { ready, leased, scheduled, dead: dead.ready.saturating_add(dead.leased) })
}

pub async fn list(queue: &WorkQueue, context: &Context, request: ListDeadJobsRequest) -> Result<ListDeadJobsResponse, Error> {
    let ListDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    let limit = check::limit("limit", limit, DEFAULT_LISTED, MAX_LISTED)?;
    let messages = queue.basic.peek(context, model::PeekRequest { queue: queue_of(&name), limit }).await?.messages;
    let mut jobs: Vec<DeadJob> = messages.into_iter().map(to_dead_job).collect();
    if let Some(records) = &queue.records {
        let found = futures::future::try_join_all(jobs.iter().map(|job| records.find(context, &name, &job.id))).await?;
        for (job, found) in jobs.iter_mut().zip(found) {
            job.failure = found.map(|(record, _)| record.failure).unwrap_or_default();
        }
    }
    Ok(ListDeadJobsResponse { jobs })
}

fn to_dead_job(message: model::QueueMessage) -> DeadJob {
    let model::QueueMessage { message_id, payload, mut attributes, enqueue_time, .. } = message;
    let id = attributes.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    attributes.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    DeadJob { id, payload, attributes, submit_time: enqueue_time, failure: String::new() }
}

pub async fn redrive(queue: &WorkQueue, context: &Context, request: RedriveDeadJobsRequest) -> Result<RedriveDeadJobsResponse, Error> {
    let RedriveDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    match queue.dead_letter.redrive(context, model::RedriveRequest { queue: name, limit }).await {
        Ok(done) => Ok(RedriveDeadJobsResponse { moved: done.moved }),
        // Nobody ever submitted a job.
        Err(error) if error.reason() == "DEAD_LETTER_NOT_CONFIGURED" => Ok(RedriveDeadJobsResponse { moved: 0 }),
        Err(error) => Err(error),
    }
}

pub async fn discard(queue: &WorkQueue, context: &Context, request: DiscardDeadJobsRequest) -> Result<DiscardDeadJobsResponse, Error> {
    let DiscardDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    if limit == 0 || limit > MAX_DISCARDED {
        return Err(Error::invalid("limit", format!("is {limit}; it must be 1 to {MAX_DISCARDED}")));
    }
    let mut discarded = 0;
    while discarded < limit {
        let page = (limit - discarded).min(MAX_LISTED);
        let request = model::DequeueRequest { queue: queue_of(&name), limit: page, wait: None };
        let removed = queue.basic.dequeue(context, request).await?.messages.len();
        discarded += u32::try_from(removed).unwrap_or(page);
        if removed == 0 {
            break;
        }
    }
    Ok(DiscardDeadJobsResponse { discarded: u64::from(discarded) })
}
