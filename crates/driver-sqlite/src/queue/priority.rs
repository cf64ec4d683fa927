//! `queue_priority`.

use async_trait::async_trait;

use super::{Queues, rows::NewMessage};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{EnqueueWithPriorityRequest, EnqueueWithPriorityResponse, QueuePriority},
};

const MAX_PRIORITY: u32 = 9;

#[async_trait]
impl QueuePriority for Queues {
    async fn enqueue_with_priority(&self, _: &Context, request: EnqueueWithPriorityRequest) -> Result<EnqueueWithPriorityResponse, Error> {
        if request.priority > MAX_PRIORITY {
            return Err(Error::invalid("priority", format!("must be at most {MAX_PRIORITY}")));
        }
        let new = NewMessage::new(self.space.limits(), request.queue, request.payload, request.attributes)?.with_priority(request.priority);
        let message_id = self.space.write(move |tx, space| new.put(tx, space)).await?;
        Ok(EnqueueWithPriorityResponse { message_id })
    }
}
