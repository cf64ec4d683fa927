//! Puts jobs in.

use std::time::Duration;

use super::{ID_ATTRIBUTE, WorkQueue, check_queue, record};
use crate::messaging::attributes;
use prism_call::{
    Context, Error,
    proto::{
        models::queue::v1::{EnqueueDelayedRequest, EnqueueRequest, EnqueueWithPriorityRequest, enqueue_delayed_request::Schedule},
        patterns::work_queue::v1::{SubmitRequest, SubmitResponse},
    },
};
use prism_slot::{check, id, time};

pub async fn submit(queue: &WorkQueue, context: &Context, mut request: SubmitRequest) -> Result<SubmitResponse, Error> {
    let schedule = check(queue, &request)?;
    queue.dead_letters.configure(context, &request.queue).await?;
    let Some(records) = &queue.records else {
        if !request.id.is_empty() {
            queue.records("the field `id`")?;
        }
        let message_id = enqueue(queue, context, request, schedule).await?;
        return Ok(SubmitResponse { id: message_id, duplicate: false });
    };
    if request.id.is_empty() {
        request.id = id::random_text();
    }
    let (name, id) = (request.queue.clone(), request.id.clone());
    let Some(claim) = records.claim(context, &name, &id).await? else { return Ok(SubmitResponse { id, duplicate: true }) };
    request.attributes.insert(ID_ATTRIBUTE.to_owned(), id.clone());
    let delay = delay_of(schedule.as_ref());
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
        record::check_id(id)?;
    }
    if *priority > 9 {
        return Err(Error::invalid("priority", format!("is {priority}; it must be 0 to 9")));
    }
    let schedule = match (delay, deliver_time) {
        (Some(_), Some(_)) => return Err(Error::invalid("deliver_time", "can't be set together with `delay`")),
        (Some(delay), None) => Some(Schedule::Delay(*delay)),
        (None, Some(at)) => Some(Schedule::DeliverTime(*at)),
        (None, None) => None,
    };
    if *priority > 0 && schedule.is_some() {
        return Err(Error::invalid("priority", "can't be set together with `delay` or `deliver_time`"));
    }
    if *priority > 0 && queue.priority.is_none() {
        return Err(Error::capability_unavailable("Submit with `priority`", "queue_priority", &queue.backend));
    }
    if schedule.is_some() && queue.delayed.is_none() {
        return Err(Error::capability_unavailable("Submit with a delay", "queue_delayed", &queue.backend));
    }
    Ok(schedule)
}

/// Puts the job in. Returns the id that the backend gave the message.
async fn enqueue(queue: &WorkQueue, context: &Context, request: SubmitRequest, schedule: Option<Schedule>) -> Result<String, Error> {
    let SubmitRequest { queue: name, payload, attributes, priority, .. } = request;
    match (schedule, &queue.delayed, &queue.priority) {
        (Some(schedule), Some(delayed), _) => {
            let request = EnqueueDelayedRequest { queue: name, payload, attributes, schedule: Some(schedule) };
            Ok(delayed.enqueue_delayed(context, request).await?.message_id)
        }
        (None, _, Some(prioritized)) if priority > 0 => {
            let request = EnqueueWithPriorityRequest { queue: name, payload, attributes, priority };
            Ok(prioritized.enqueue_with_priority(context, request).await?.message_id)
        }
        _ => Ok(queue.basic.enqueue(context, EnqueueRequest { queue: name, payload, attributes }).await?.message_id),
    }
}

/// Returns the time until a job is ready.
fn delay_of(schedule: Option<&Schedule>) -> Duration {
    match schedule {
        None => Duration::ZERO,
        Some(Schedule::Delay(delay)) => Duration::try_from(*delay).unwrap_or_default(),
        Some(Schedule::DeliverTime(at)) => {
            let millis = time::millis_up(at).saturating_sub(time::now());
            Duration::from_millis(u64::try_from(millis).unwrap_or_default())
        }
    }
}
