//! `queue_delayed`

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, GetScheduledCountResponse, QueueDelayed,
    },
};
use prism_driver::{check, queue::delivery_time, time};

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, context: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let due = delivery_time(request.schedule.as_ref())?;
        let message = self.new_message(request.queue, request.payload, request.attributes)?.with_due(due);
        Ok(EnqueueDelayedResponse { message_id: self.insert(context, message).await?, deliver_time: Some(time::timestamp(due)) })
    }

    async fn get_scheduled_count(&self, context: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        let [_, _, count] = self.count(context, &request.queue).await?;
        Ok(GetScheduledCountResponse { count })
    }
}
