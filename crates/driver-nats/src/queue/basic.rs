//! `queue_basic`. Dequeue takes messages on a lease and deletes them before it answers.

use std::time::Duration;

use async_trait::async_trait;

use super::{Queues, message};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        DequeueRequest, DequeueResponse, EnqueueRequest, EnqueueResponse, GetQueueDepthRequest, GetQueueDepthResponse, PeekRequest,
        PeekResponse, QueueBasic,
    },
};
use prism_driver::{
    check, id,
    queue::{check_message, message_limit, wait_time},
};

/// How long messages are leased that are being deleted. If the gateway dies meanwhile, they are delivered again.
const DELETION: Duration = Duration::from_secs(30);

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, context: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        let EnqueueRequest { queue, payload, attributes } = request;
        check_message(&self.limits, &queue, &payload, &attributes)?;
        let message_id = id::random_text();
        let (headers, payload) = message::encode(&message_id, attributes, payload);
        self.log(&queue).append(&self.client.deadline(context), headers, payload, None).await?;
        Ok(EnqueueResponse { message_id })
    }

    async fn dequeue(&self, context: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        check::name("queue", &request.queue)?;
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        let attempt = self.take_or_wait(context, &request.queue, limit, wait, DELETION).await?;
        let removed = self.remove_taken(&self.client.deadline(context), &request.queue, attempt).await?;
        let messages = removed.iter().map(|taken| message::decode(&taken.stored, taken.attempts)).collect::<Result<_, _>>()?;
        Ok(DequeueResponse { messages })
    }

    async fn peek(&self, context: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let (limit, deadline) = (message_limit(request.limit)?, self.client.deadline(context));
        let mut state = self.settled(&deadline, &request.queue).await?;
        let (found, _) = self.find(&deadline, &self.log(&request.queue), &mut state, limit).await?;
        let attempts = |sequence| state.open.get(&sequence).map_or(0, |open| open.attempts);
        let messages = found.iter().map(|stored| message::decode(stored, attempts(stored.sequence))).collect::<Result<_, _>>()?;
        Ok(PeekResponse { messages })
    }

    async fn get_queue_depth(&self, context: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        let depth = self.depth(&self.client.deadline(context), &request.queue).await?;
        Ok(GetQueueDepthResponse { ready: depth.ready, leased: depth.leased, scheduled: depth.scheduled })
    }
}
