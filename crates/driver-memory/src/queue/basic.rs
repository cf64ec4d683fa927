//! `queue_basic`

use async_trait::async_trait;

use super::{Queues, messages::Message};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        DequeueRequest, DequeueResponse, EnqueueRequest, EnqueueResponse, GetQueueDepthRequest, GetQueueDepthResponse, PeekRequest,
        PeekResponse, QueueBasic,
    },
};
use prism_driver::{
    check,
    queue::{check_message, message_limit},
    time,
};

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, _: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        let EnqueueRequest { queue, payload, attributes } = request;
        check_message(&self.limits, &queue, &payload, &attributes)?;
        Ok(EnqueueResponse { message_id: self.put(&queue, &payload, attributes, 0, None)? })
    }

    async fn dequeue(&self, _: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        let queue = &request.queue;
        let messages = self.take(queue, request.limit, request.wait.as_ref(), |state, now| state.remove_next(queue, now)).await?;
        Ok(DequeueResponse { messages })
    }

    async fn peek(&self, _: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let limit = message_limit(request.limit)?;
        let now = time::now();
        let mut state = self.state(now)?;
        let queue = state.queue_at(&request.queue, now);
        let messages = queue.map_or_else(Vec::new, |queue| queue.ready.values().take(limit).map(Message::to_proto).collect());
        Ok(PeekResponse { messages })
    }

    async fn get_queue_depth(&self, _: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        let now = time::now();
        let mut state = self.state(now)?;
        Ok(state.queue_at(&request.queue, now).map_or_else(GetQueueDepthResponse::default, |queue| GetQueueDepthResponse {
            ready: queue.ready.len() as u64,
            leased: queue.leased,
            scheduled: queue.scheduled.len() as u64,
        }))
    }
}
