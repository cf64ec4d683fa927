//! Dead jobs: those that were delivered as often as allowed.

use super::{ID_ATTRIBUTE, WorkQueue, check_queue};
use crate::messaging::{
    attributes,
    dead_letters::{self, DEFAULT_LISTED, MAX_LISTED},
};
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

pub async fn count(queue: &WorkQueue, context: &Context, request: GetQueueRequest) -> Result<GetQueueResponse, Error> {
    let GetQueueRequest { queue: name } = request;
    check_queue(&name)?;
    let (model::GetQueueDepthResponse { ready, leased, scheduled }, dead) =
        dead_letters::depths(&*queue.writer.basic, context, &name).await?;
    Ok(GetQueueResponse { ready, leased, scheduled, dead })
}

pub async fn list(queue: &WorkQueue, context: &Context, request: ListDeadJobsRequest) -> Result<ListDeadJobsResponse, Error> {
    let ListDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    let limit = check::limit("limit", limit, DEFAULT_LISTED, MAX_LISTED)?;
    let messages = queue.writer.basic.peek(context, model::PeekRequest { queue: dead_letters::queue_of(&name), limit }).await?.messages;
    let mut jobs: Vec<DeadJob> = messages.into_iter().map(to_dead_job).collect();
    if let Some(records) = &queue.records {
        let found = futures::future::try_join_all(jobs.iter().map(|job| records.find(context, &name, &job.id))).await?;
        for (job, found) in jobs.iter_mut().zip(found) {
            job.failure = found.map(|record| record.failure).unwrap_or_default();
        }
    }
    Ok(ListDeadJobsResponse { jobs })
}

fn to_dead_job(message: model::QueueMessage) -> DeadJob {
    let model::QueueMessage { message_id, payload, mut attributes, enqueue_time, .. } = message;
    let id = attributes.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    attributes::remove_reserved(&mut attributes);
    DeadJob { id, payload, attributes, submit_time: enqueue_time, failure: String::new() }
}

pub async fn redrive(queue: &WorkQueue, context: &Context, request: RedriveDeadJobsRequest) -> Result<RedriveDeadJobsResponse, Error> {
    let RedriveDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    Ok(RedriveDeadJobsResponse { moved: queue.dead_letters.redrive(context, name, limit).await? })
}

pub async fn discard(queue: &WorkQueue, context: &Context, request: DiscardDeadJobsRequest) -> Result<DiscardDeadJobsResponse, Error> {
    let DiscardDeadJobsRequest { queue: name, limit } = request;
    check_queue(&name)?;
    Ok(DiscardDeadJobsResponse { discarded: dead_letters::discard(&*queue.writer.basic, context, &name, limit).await? })
}
