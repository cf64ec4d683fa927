//! `queue_priority`

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{EnqueueWithPriorityRequest, EnqueueWithPriorityResponse, QueuePriority},
};
use prism_driver::queue::check_priority;

#[async_trait]
impl QueuePriority for Queues {
    async fn enqueue_with_priority(
        &self,
        context: &Context,
        request: EnqueueWithPriorityRequest,
    ) -> Result<EnqueueWithPriorityResponse, Error> {
        check_priority(request.priority)?;
        let message = self.new_message(request.queue, request.payload, request.attributes)?.with_priority(request.priority);
        Ok(EnqueueWithPriorityResponse { message_id: self.insert(context, message).await? })
    }
}
