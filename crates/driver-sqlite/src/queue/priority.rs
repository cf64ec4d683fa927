//! `queue_priority`

use async_trait::async_trait;

use super::{Queues, rows::NewMessage};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{EnqueueWithPriorityRequest, EnqueueWithPriorityResponse, QueuePriority},
};
use prism_driver::queue::check_priority;

#[async_trait]
impl QueuePriority for Queues {
    async fn enqueue_with_priority(&self, _: &Context, request: EnqueueWithPriorityRequest) -> Result<EnqueueWithPriorityResponse, Error> {
        check_priority(request.priority)?;
        let new = NewMessage::new(self.keyspace.limits(), request.queue, request.payload, request.attributes)?;
        let new = new.with_priority(request.priority);
        let message_id = self.keyspace.write(move |tx, keyspace| new.insert(tx, keyspace)).await?;
        Ok(EnqueueWithPriorityResponse { message_id })
    }
}
