//! `queue_dead_letter`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Queues, rows::OPEN};
use crate::{columns::unsigned, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::{
    check,
    queue::{dead_letter_not_configured, delivery_attempts},
};

/// Messages that one statement moves, so that its locks are held only for a short time.
const MESSAGES_PER_STATEMENT: u64 = 500;

/// No queue has the empty name, so the empty name removes the configuration.
static CONFIGURE: Sql = Sql {
    text: "UPDATE {schema}.queues SET max_attempts = $4,
               dead_letter = (SELECT id FROM {schema}.queues AS dead WHERE dead.keyspace = $1 AND dead.name = $3)
           WHERE keyspace = $1 AND name = $2",
    types: &[Type::INT8, Type::TEXT, Type::TEXT, Type::INT4],
};

static GET: Sql = Sql {
    text: "SELECT dead.name, source.max_attempts,
               (SELECT count(*) FROM {schema}.messages AS message WHERE message.queue = dead.id AND message.state = 0)
           FROM {schema}.queues AS source JOIN {schema}.queues AS dead ON dead.id = source.dead_letter
           WHERE source.keyspace = $1 AND source.name = $2",
    types: &[Type::INT8, Type::TEXT],
};

/// Counts the messages in the dead-letter queue that failed in the queue. No row: it has no dead-letter queue.
static COUNT_FAILED: Sql = Sql {
    text: "SELECT (SELECT count(*) FROM {schema}.messages AS message
                   WHERE message.queue = source.dead_letter AND message.source = source.id AND message.state = 0)
           FROM {schema}.queues AS source WHERE source.keyspace = $1 AND source.name = $2 AND source.dead_letter IS NOT NULL",
    types: &[Type::INT8, Type::TEXT],
};

static REDRIVE: Sql = Sql {
    text: "WITH source AS MATERIALIZED (SELECT id, dead_letter FROM {schema}.queues WHERE keyspace = $1 AND name = $2),
           failed AS MATERIALIZED (
               SELECT message.id FROM {schema}.messages AS message
               WHERE message.queue = (SELECT dead_letter FROM source) AND message.source = (SELECT id FROM source) AND message.state = 0
               ORDER BY message.id LIMIT $3 FOR UPDATE SKIP LOCKED),
           placed AS MATERIALIZED (SELECT id, {next_message} AS place FROM failed)
           UPDATE {schema}.messages AS message
           SET queue = (SELECT id FROM source), source = NULL, place = placed.place, attempts = 0, lease = 0
           FROM placed WHERE message.id = placed.id
           RETURNING 1",
    types: &[Type::INT8, Type::TEXT, Type::INT8],
};

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(
        &self,
        context: &Context,
        request: ConfigureDeadLetterRequest,
    ) -> Result<ConfigureDeadLetterResponse, Error> {
        let max_attempts = i32::try_from(delivery_attempts(&request)?).unwrap_or(i32::MAX);
        let ConfigureDeadLetterRequest { queue, dead_letter_queue: dead, .. } = request;
        let id = self.keyspace.id(context).await?;
        // Leases that have expired before end with the former configuration.
        self.query(context, id, &OPEN, &[&id, &queue]).await?;
        if !dead.is_empty() {
            self.keyspace.database.query(context, &OPEN, &[&id, &dead]).await?;
        }
        self.keyspace.database.query(context, &CONFIGURE, &[&id, &queue, &dead, &max_attempts]).await?;
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(
        &self,
        context: &Context,
        request: GetDeadLetterQueueRequest,
    ) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        let id = self.keyspace.id(context).await?;
        let rows = self.query(context, id, &GET, &[&id, &request.queue]).await?;
        let Some(row) = rows.first() else { return Ok(GetDeadLetterQueueResponse::default()) };
        let max_delivery_attempts = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
        let config = DeadLetterConfig { dead_letter_queue: row.get(0), max_delivery_attempts };
        Ok(GetDeadLetterQueueResponse { config: Some(config), depth: unsigned(row.get(2)) })
    }

    async fn redrive(&self, context: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        let RedriveRequest { queue, limit } = request;
        check::name("queue", &queue)?;
        let id = self.keyspace.id(context).await?;
        let rows = self.query(context, id, &COUNT_FAILED, &[&id, &queue]).await?;
        let failed = rows.first().map(|row| unsigned(row.get(0))).ok_or_else(|| dead_letter_not_configured(&queue))?;
        let most = if limit == 0 { failed } else { failed.min(limit.into()) };
        let mut moved = 0;
        while moved < most {
            let chunk = i64::try_from(MESSAGES_PER_STATEMENT.min(most - moved)).unwrap_or(1);
            match self.keyspace.database.query(context, &REDRIVE, &[&id, &queue, &chunk]).await?.len() as u64 {
                // Other calls have taken the rest.
                0 => break,
                some => moved += some,
            }
        }
        Ok(RedriveResponse { moved })
    }
}
