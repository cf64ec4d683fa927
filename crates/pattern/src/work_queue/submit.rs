//! Puts jobs in.

use super::{ID_ATTRIBUTE, WorkQueue, check_queue};
use crate::messaging::{attributes, delays, names, queue_writer::check_schedule};
use prism_call::{
    Context, Error,
    proto::{
        models::queue::v1::{EnqueueRequest, enqueue_delayed_request::Schedule},
        patterns::work_queue::v1::{SubmitRequest, SubmitResponse},
    },
};
use prism_slot::{check, id};

pub async fn submit(queue: &WorkQueue, context: &Context, mut request: SubmitRequest) -> Result<SubmitResponse, Error> {
    let schedule = check(queue, &request)?;
    queue.dead_letters.configure(context, &request.queue).await?;
    let Some(records) = &queue.records else {
        let message_id = enqueue(queue, context, request, schedule).await?;
        return Ok(SubmitResponse { id: message_id, duplicate: false });
    };
    if request.id.is_empty() {
        request.id = id::random_text();
    }
    let (name, id) = (request.queue.clone(), request.id.clone());
    let Some(claim) = records.claim(context, &name, &id).await? else { return Ok(SubmitResponse { id, duplicate: true }) };
    request.attributes.insert(ID_ATTRIBUTE.to_owned(), id.clone());
    let delay = delays::until(schedule.as_ref());
    if let Err(error) = enqueue(queue, context, request, schedule).await {
        records.release(context, &name, &id, claim).await;
        return Err(error);
    }
    records.confirm(context, &name, &id, claim, delay).await?;
    Ok(SubmitResponse { id, duplicate: false })
}

/// Checks everything before anything is written, and returns when the job is ready, if it is not at once.
fn check(queue: &WorkQueue, request: &SubmitRequest) -> Result<Option<Schedule>, Error> {
    let SubmitRequest { queue: name, payload, attributes, id, priority, delay, deliver_time } = request;
    check_queue(name)?;
    check::value(&queue.limits, "payload", payload)?;
    attributes::check("attributes", "INVALID_ATTRIBUTES", attributes)?;
    if !id.is_empty() {
        names::id(id)?;
        queue.records("the field `id`")?;
    }
    check_schedule(("Submit", &queue.backend), queue.writer.has_delays_and_priorities(), *priority, *delay, *deliver_time)
}

/// Puts the job in. Returns the id that the backend gave the message.
async fn enqueue(queue: &WorkQueue, context: &Context, request: SubmitRequest, schedule: Option<Schedule>) -> Result<String, Error> {
    let SubmitRequest { queue: name, payload, attributes, priority, .. } = request;
    queue.writer.enqueue(context, EnqueueRequest { queue: name, payload, attributes }, priority, schedule).await
}
