//! `queue_basic`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Queues, rows::read_messages};
use crate::sql::Sql;
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

/// Takes the next messages and deletes them, up to 4 MiB of payloads or one larger message.
static DEQUEUE: Sql = Sql {
    text: next_messages!(
        "DELETE FROM {schema}.messages AS message USING sized
           WHERE message.id = sized.id AND (sized.total <= 4194304 OR sized.number = 1)
           RETURNING message.id, payload, attributes, enqueued, attempts + 1, priority,
               (SELECT name FROM {schema}.queues WHERE queues.id = message.source), place"
    ),
    types: &[Type::INT8, Type::TEXT, Type::INT8],
};

static PEEK: Sql = Sql {
    text: "SELECT id, payload, attributes, enqueued, attempts, priority,
               (SELECT name FROM {schema}.queues WHERE queues.id = message.source), place
           FROM (
               SELECT *, sum(octet_length(payload)) OVER places AS total, row_number() OVER places AS number FROM (
                   SELECT * FROM {schema}.messages
                   WHERE queue = (SELECT id FROM {schema}.queues WHERE keyspace = $1 AND name = $2) AND state = 0
                   ORDER BY priority DESC, place, id LIMIT $3) AS next
               WINDOW places AS (ORDER BY priority DESC, place, id ROWS UNBOUNDED PRECEDING)) AS message
           WHERE total <= 4194304 OR number = 1",
    types: &[Type::INT8, Type::TEXT, Type::INT8],
};

#[async_trait]
impl QueueBasic for Queues {
    async fn enqueue(&self, context: &Context, request: EnqueueRequest) -> Result<EnqueueResponse, Error> {
        let message = self.new_message(request.queue, request.payload, request.attributes)?;
        Ok(EnqueueResponse { message_id: self.insert(context, message).await? })
    }

    async fn dequeue(&self, context: &Context, request: DequeueRequest) -> Result<DequeueResponse, Error> {
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        check::name("queue", &request.queue)?;
        let (id, limit) = (self.keyspace.id(context).await?, i64::try_from(limit).unwrap_or(1));
        let rows = self.take(context, &request.queue, wait, id, &DEQUEUE, &[&id, &request.queue, &limit]).await?;
        Ok(DequeueResponse { messages: read_messages(&rows)?.into_iter().map(|(_, message)| message).collect() })
    }

    async fn peek(&self, context: &Context, request: PeekRequest) -> Result<PeekResponse, Error> {
        check::name("queue", &request.queue)?;
        let limit = i64::try_from(message_limit(request.limit)?).unwrap_or(1);
        let id = self.keyspace.id(context).await?;
        let rows = self.query(context, id, &PEEK, &[&id, &request.queue, &limit]).await?;
        Ok(PeekResponse { messages: read_messages(&rows)?.into_iter().map(|(_, message)| message).collect() })
    }

    async fn get_queue_depth(&self, context: &Context, request: GetQueueDepthRequest) -> Result<GetQueueDepthResponse, Error> {
        check::name("queue", &request.queue)?;
        let [ready, leased, scheduled] = self.count(context, &request.queue).await?;
        Ok(GetQueueDepthResponse { ready, leased, scheduled })
    }
}
