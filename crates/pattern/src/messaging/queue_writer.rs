//! Puts messages into queues, with a delay or a priority if the backend has them.

use std::sync::Arc;

use crate::required_interface;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueRequest, EnqueueWithPriorityRequest, QueueBasic, QueueDelayed, QueuePriority,
        enqueue_delayed_request::Schedule,
    },
};
use prism_slot::Slot;

/// Highest priority of a message.
const MAX_PRIORITY: u32 = 9;

/// The interfaces that put messages into queues.
pub struct QueueWriter {
    pub basic: Arc<dyn QueueBasic>,
    delayed: Option<Arc<dyn QueueDelayed>>,
    priority: Option<Arc<dyn QueuePriority>>,
}

impl QueueWriter {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        Ok(Self {
            basic: required_interface(slot, "queue_basic", slot.interfaces.queue_basic.clone())?,
            delayed: slot.interfaces.queue_delayed.clone(),
            priority: slot.interfaces.queue_priority.clone(),
        })
    }

    /// Whether messages can be delayed, and whether they can have priorities.
    pub fn has_delays_and_priorities(&self) -> (bool, bool) {
        (self.delayed.is_some(), self.priority.is_some())
    }

    /// Puts a message into its queue. Its priority and schedule were checked by [`check_schedule`]. Returns the id that the backend gave it.
    pub async fn enqueue(
        &self,
        context: &Context,
        request: EnqueueRequest,
        priority: u32,
        schedule: Option<Schedule>,
    ) -> Result<String, Error> {
        match (schedule, &self.delayed, &self.priority) {
            (Some(schedule), Some(delayed), _) => {
                let EnqueueRequest { queue, payload, attributes } = request;
                let request = EnqueueDelayedRequest { queue, payload, attributes, schedule: Some(schedule) };
                Ok(delayed.enqueue_delayed(context, request).await?.message_id)
            }
            (None, _, Some(prioritized)) if priority > 0 => {
                let EnqueueRequest { queue, payload, attributes } = request;
                let request = EnqueueWithPriorityRequest { queue, payload, attributes, priority };
                Ok(prioritized.enqueue_with_priority(context, request).await?.message_id)
            }
            _ => Ok(self.basic.enqueue(context, request).await?.message_id),
        }
    }
}

/// Checks the fields `priority`, `delay` and `deliver_time`, of which one may be set. Returns when the message is ready; `None`: at once.
///
/// Errors: `INVALID_ARGUMENT INVALID_FIELD`, `UNIMPLEMENTED CAPABILITY_UNAVAILABLE`.
pub fn check_schedule(
    (rpc, backend): (&str, &str),
    (has_delays, has_priorities): (bool, bool),
    priority: u32,
    delay: Option<prost_types::Duration>,
    deliver_time: Option<prost_types::Timestamp>,
) -> Result<Option<Schedule>, Error> {
    if priority > MAX_PRIORITY {
        return Err(Error::invalid("priority", format!("is {priority}; it must be 0 to {MAX_PRIORITY}")));
    }
    if delay.is_some() && deliver_time.is_some() {
        return Err(Error::invalid("deliver_time", "can't be set together with `delay`"));
    }
    let schedule = delay.map(Schedule::Delay).or(deliver_time.map(Schedule::DeliverTime));
    if priority > 0 && schedule.is_some() {
        return Err(Error::invalid("priority", "can't be set together with `delay` or `deliver_time`"));
    }
    if schedule.is_some() && !has_delays {
        return Err(Error::capability_unavailable(&format!("{rpc} with a delay"), "queue_delayed", backend));
    }
    if priority > 0 && !has_priorities {
        return Err(Error::capability_unavailable(&format!("{rpc} with `priority`"), "queue_priority", backend));
    }
    Ok(schedule)
}
