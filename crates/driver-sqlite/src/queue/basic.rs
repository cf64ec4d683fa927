//! `queue_basic`.

use async_trait::async_trait;

use super::{
    Queues, limit,
    rows::{self, NewMessage},
    wait,
};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        DequeueRequest, DequeueResponse, EnqueueRequest, EnqueueResponse, GetQueueDepthRequest, GetQueueDepthResponse, PeekRequest,
        PeekResponse, QueueBasic,
    },
};
use prism_driver::check;

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, _: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        let new = NewMessage::new(self.space.limits(), request.queue, request.payload, request.attributes)?;
        let message_id = self.space.write(move |tx, space| new.put(tx, space)).await?;
        Ok(EnqueueResponse { message_id })
    }

    async fn dequeue(&self, _: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        let (most, wait) = (limit(request.limit)?, wait(request.wait.as_ref())?);
        let take = self.take(request.queue, wait, move |tx, space, queue| {
            let mut delete = tx.connection.prepare_cached("DELETE FROM messages WHERE keyspace = ?1 AND id = ?2")?;
            let mut messages = Vec::new();
            for (id, mut message) in rows::next(tx.connection, space, queue, most)? {
                delete.execute((space, id))?;
                message.delivery_attempt += 1;
                messages.push(message);
            }
            Ok(messages)
        });
        Ok(DequeueResponse { messages: take.await? })
    }

    async fn peek(&self, _: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let most = limit(request.limit)?;
        self.settle().await?;
        let next = self.space.read(move |connection, space| rows::next(connection, space, &request.queue, most)).await?;
        Ok(PeekResponse { messages: next.into_iter().map(|(_, message)| message).collect() })
    }

    async fn get_queue_depth(&self, _: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        self.settle().await?;
        let [ready, leased, scheduled] = self.space.read(move |connection, space| rows::count(connection, space, &request.queue)).await?;
        Ok(GetQueueDepthResponse { ready, leased, scheduled })
    }
}
