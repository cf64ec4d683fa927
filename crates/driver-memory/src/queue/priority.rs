//! `queue_priority`

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{EnqueueWithPriorityRequest, EnqueueWithPriorityResponse, QueuePriority},
};
use prism_driver::queue::{check_message, check_priority};

#[async_trait]
impl QueuePriority for Queues {
    async fn enqueue_with_priority(&self, _: &Context, request: EnqueueWithPriorityRequest) -> Result<EnqueueWithPriorityResponse, Error> {
        let EnqueueWithPriorityRequest { queue, payload, attributes, priority } = request;
        check_message(&self.limits, &queue, &payload, &attributes)?;
        check_priority(priority)?;
        Ok(EnqueueWithPriorityResponse { message_id: self.put(&queue, &payload, attributes, priority, None)? })
    }
}
