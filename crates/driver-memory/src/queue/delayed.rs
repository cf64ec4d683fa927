//! `queue_delayed`

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, GetScheduledCountResponse, QueueDelayed,
    },
};
use prism_driver::{
    check,
    queue::{check_message, delivery_time},
    time,
};

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, _: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let EnqueueDelayedRequest { queue, payload, attributes, schedule } = request;
        check_message(&self.limits, &queue, &payload, &attributes)?;
        let due = delivery_time(schedule.as_ref())?;
        let message_id = self.put(&queue, &payload, attributes, 0, Some(due))?;
        Ok(EnqueueDelayedResponse { message_id, deliver_time: Some(time::timestamp(due)) })
    }

    async fn get_scheduled_count(&self, _: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let count = self.state(now)?.queue_at(&request.queue, now).map_or(0, |queue| queue.scheduled.len() as u64);
        Ok(GetScheduledCountResponse { count })
    }
}
