//! `queue_basic`, `queue_delayed` and `queue_priority`

use std::time::Duration;

use async_trait::async_trait;

use super::{MAX_MESSAGES, Message, Queues};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        DequeueRequest, DequeueResponse, EnqueueDelayedRequest, EnqueueDelayedResponse, EnqueueRequest, EnqueueResponse,
        EnqueueWithPriorityRequest, EnqueueWithPriorityResponse, GetQueueDepthRequest, GetQueueDepthResponse, GetScheduledCountRequest,
        GetScheduledCountResponse, PeekRequest, PeekResponse, QueueBasic, QueueDelayed, QueuePriority, enqueue_delayed_request::Schedule,
    },
};
use prism_driver::{check, time};

/// Farthest time of a scheduled message.
const MAX_DELAY: Duration = Duration::from_hours(365 * 24);
/// Highest priority.
const MAX_PRIORITY: u32 = 9;

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, _: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        self.check(&request.queue, &request.payload, &request.attributes)?;
        Ok(EnqueueResponse { message_id: self.put(&request.queue, &request.payload, request.attributes, 0, None)? })
    }

    async fn dequeue(&self, _: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        let queue = &request.queue;
        let messages = self.take(queue, request.limit, request.wait.as_ref(), |state, now| state.remove_next(queue, now)).await?;
        Ok(DequeueResponse { messages })
    }

    async fn peek(&self, _: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let limit = check::limit("limit", request.limit, 1, MAX_MESSAGES)? as usize;
        let now = time::now();
        let mut state = self.state(now)?;
        let queue = state.settled(&request.queue, now);
        let messages = queue.map_or_else(Vec::new, |queue| queue.ready.values().take(limit).map(Message::shown).collect());
        Ok(PeekResponse { messages })
    }

    async fn get_queue_depth(&self, _: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        Ok(state.settled(&request.queue, now).map_or_else(GetQueueDepthResponse::default, |queue| GetQueueDepthResponse {
            ready: queue.ready.len() as u64,
            leased: queue.leased,
            scheduled: queue.scheduled.len() as u64,
        }))
    }
}

#[async_trait]
impl QueuePriority for Queues {
    async fn enqueue_with_priority(&self, _: &Context, request: EnqueueWithPriorityRequest) -> Result<EnqueueWithPriorityResponse, Error> {
        let EnqueueWithPriorityRequest { queue, payload, attributes, priority } = request;
        self.check(&queue, &payload, &attributes)?;
        if priority > MAX_PRIORITY {
            return Err(Error::invalid("priority", format!("is {priority}; it must be 0 to {MAX_PRIORITY}")));
        }
        Ok(EnqueueWithPriorityResponse { message_id: self.put(&queue, &payload, attributes, priority, None)? })
    }
}

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, _: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let EnqueueDelayedRequest { queue, payload, attributes, schedule } = request;
        self.check(&queue, &payload, &attributes)?;
        let now = time::now();
        let due = match &schedule {
            Some(Schedule::Delay(delay)) => time::after(now, time::between("delay", delay, Duration::ZERO, MAX_DELAY)?),
            // Up to the next millisecond: never too early.
            Some(Schedule::DeliverTime(at)) => time::millis_up(at).max(now),
            None => return Err(Error::invalid("schedule", "delay or deliver_time must be set")),
        };
        if due > time::after(now, MAX_DELAY) {
            return Err(Error::invalid("deliver_time", "must be at most 365 days away"));
        }
        let message_id = self.put(&queue, &payload, attributes, 0, Some(due))?;
        Ok(EnqueueDelayedResponse { message_id, deliver_time: Some(time::timestamp(due)) })
    }

    async fn get_scheduled_count(&self, _: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let count = self.state(now)?.settled(&request.queue, now).map_or(0, |queue| queue.scheduled.len() as u64);
        Ok(GetScheduledCountResponse { count })
    }
}
