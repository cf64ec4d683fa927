//! What workers do: take jobs, extend leases, complete, and let jobs fail.

use std::time::Duration;

use super::{ID_ATTRIBUTE, MAX_JOBS, WorkQueue, check_queue, check_text, lease};
use crate::messaging::delays;
use prism_call::{
    Context, Error,
    proto::{
        jobs::v1::{JobLease, JobRecord},
        models::queue::v1 as model,
        patterns::work_queue::v1::{
            CompleteRequest, CompleteResponse, ExtendRequest, ExtendResponse, FailRequest, FailResponse, Job, TakeRequest, TakeResponse,
        },
    },
};
use prism_slot::{check, time};

/// How long a lease lasts from the moment before the result of its job is stored.
const STORE_RESULT: Duration = Duration::from_secs(30);

pub async fn take(queue: &WorkQueue, context: &Context, request: TakeRequest) -> Result<TakeResponse, Error> {
    let TakeRequest { queue: name, limit, wait, lease_duration } = request;
    check_queue(&name)?;
    let limit = check::limit("limit", limit, 1, MAX_JOBS)?;
    let visibility_timeout = lease_time(queue, lease_duration.as_ref())?;
    let wait = delays::wait(context, wait.as_ref())?;
    let request = model::DequeueWithTimeoutRequest {
        queue: name.clone(),
        visibility_timeout: delays::protobuf(visibility_timeout),
        limit,
        wait: delays::protobuf(wait).filter(|_| !wait.is_zero()),
    };
    let leased = queue.visibility.dequeue_with_timeout(context, request).await?.messages;
    if !leased.is_empty() {
        // The settings may have changed since the jobs were put in.
        queue.dead_letters.try_configure(context, &name).await;
    }
    Ok(TakeResponse { jobs: leased.into_iter().map(|message| to_job(&name, message)).collect() })
}

fn to_job(queue: &str, leased: model::LeasedMessage) -> Job {
    let model::LeasedMessage { message, lease, lease_expire_time } = leased;
    let model::QueueMessage { message_id, payload, mut attributes, enqueue_time, delivery_attempt, priority } = message.unwrap_or_default();
    let id = attributes.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    let token = JobLease { lease, queue: queue.to_owned(), id: id.clone(), attempt: delivery_attempt };
    Job {
        id,
        payload,
        attributes,
        attempt: delivery_attempt,
        priority,
        submit_time: enqueue_time,
        lease: lease::encode(&token),
        lease_expire_time,
    }
}

pub async fn extend(queue: &WorkQueue, context: &Context, request: ExtendRequest) -> Result<ExtendResponse, Error> {
    let ExtendRequest { queue: name, lease, lease_duration, progress } = request;
    check_queue(&name)?;
    let job = lease::decode(&name, &lease)?;
    check_text("progress", &progress)?;
    let duration = lease_time(queue, lease_duration.as_ref())?;
    let records = if progress.is_empty() { None } else { Some(queue.records("the field `progress`")?) };
    let lease_expire_time = extend_lease(queue, context, &job, duration).await?;
    if let Some(records) = records {
        records.change(context, (&name, &job.id), "progress", |record| record.progress.clone_from(&progress)).await?;
    }
    Ok(ExtendResponse { lease_expire_time })
}

async fn extend_lease(
    queue: &WorkQueue,
    context: &Context,
    job: &JobLease,
    duration: Duration,
) -> Result<Option<prost_types::Timestamp>, Error> {
    let request = model::ExtendVisibilityRequest { lease: job.lease.clone(), visibility_timeout: delays::protobuf(duration) };
    Ok(queue.visibility.extend_visibility(context, request).await?.lease_expire_time)
}

pub async fn complete(queue: &WorkQueue, context: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
    let CompleteRequest { queue: name, lease, result } = request;
    check_queue(&name)?;
    let job = lease::decode(&name, &lease)?;
    if !result.is_empty() {
        queue.records("the field `result`")?;
    }
    if let Some(records) = &queue.records {
        // A worker that has lost its lease must not replace the result of another one.
        extend_lease(queue, context, &job, STORE_RESULT).await?;
        let now = time::timestamp(time::now());
        let finish = |record: &mut JobRecord| {
            record.completed = true;
            record.complete_time = Some(now);
            record.result = result.clone();
        };
        records.change(context, (&name, &job.id), "result", finish).await?;
    }
    queue.visibility.complete(context, model::CompleteRequest { lease: job.lease }).await?;
    Ok(CompleteResponse {})
}

pub async fn fail(queue: &WorkQueue, context: &Context, request: FailRequest) -> Result<FailResponse, Error> {
    let FailRequest { queue: name, lease, delay, failure } = request;
    check_queue(&name)?;
    let job = lease::decode(&name, &lease)?;
    check_text("failure", &failure)?;
    let delay = delays::retry(delay.as_ref())?.unwrap_or_else(|| queue.settings.backoff(job.attempt));
    queue.visibility.release(context, model::ReleaseRequest { lease: job.lease, delay: delays::protobuf(delay) }).await?;
    if let Some(records) = &queue.records {
        let note = |record: &mut JobRecord| {
            record.failure.clone_from(&failure);
            record.failed_attempt = job.attempt;
        };
        // The job is given back already, so the call has succeeded.
        if let Err(error) = records.change(context, (&name, &job.id), "failure", note).await {
            tracing::warn!(namespace = %context.namespace, %error, "why a job failed could not be stored");
        }
    }
    let dead = job.attempt >= *queue.settings.max_attempts;
    let retry_time = (!dead).then(|| time::timestamp(time::after(time::now(), delay)));
    Ok(FailResponse { dead, retry_time })
}

fn lease_time(queue: &WorkQueue, duration: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    Ok(delays::lease(duration)?.unwrap_or(*queue.settings.lease_duration))
}
