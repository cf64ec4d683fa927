//! `queue_basic`

use async_trait::async_trait;

use super::{
    Queues,
    rows::{self, NewMessage},
};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        DequeueRequest, DequeueResponse, EnqueueRequest, EnqueueResponse, GetQueueDepthRequest, GetQueueDepthResponse, PeekRequest,
        PeekResponse, QueueBasic,
    },
};
use prism_driver::{
    check,
    queue::{message_limit, wait_time},
};

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, _: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        let new = NewMessage::new(self.keyspace.limits(), request.queue, request.payload, request.attributes)?;
        let message_id = self.keyspace.write(move |tx, keyspace| new.insert(tx, keyspace)).await?;
        Ok(EnqueueResponse { message_id })
    }

    async fn dequeue(&self, _: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        let take = self.take(request.queue, wait, move |tx, keyspace, queue| {
            let mut delete = tx.connection.prepare_cached("DELETE FROM messages WHERE keyspace = ?1 AND id = ?2")?;
            let mut messages = Vec::new();
            for (id, mut message) in rows::next_ready(tx.connection, keyspace, queue, limit)? {
                delete.execute((keyspace, id))?;
                message.delivery_attempt += 1;
                messages.push(message);
            }
            Ok(messages)
        });
        Ok(DequeueResponse { messages: take.await? })
    }

    async fn peek(&self, _: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let limit = message_limit(request.limit)?;
        self.process_due().await?;
        let next = self.keyspace.read(move |connection, keyspace| rows::next_ready(connection, keyspace, &request.queue, limit)).await?;
        Ok(PeekResponse { messages: next.into_iter().map(|(_, message)| message).collect() })
    }

    async fn get_queue_depth(&self, _: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        self.process_due().await?;
        let [ready, leased, scheduled] =
            self.keyspace.read(move |connection, keyspace| rows::count(connection, keyspace, &request.queue)).await?;
        Ok(GetQueueDepthResponse { ready, leased, scheduled })
    }
}
