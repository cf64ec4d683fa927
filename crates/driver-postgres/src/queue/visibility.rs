//! `queue_visibility`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Queues, lease::Lease, rows::read_messages};
use crate::{columns::column_time, database::Parameters, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::{
    check,
    queue::{lease_lost, lease_time, message_limit, release_delay, required_lease_time, wait_time},
    time,
};

/// Leases the next messages, up to 4 MiB of payloads or one larger message.
static LEASE: Sql = Sql {
    text: next_messages!(
        "UPDATE {schema}.messages AS message SET state = 1, due = now() + $4 * interval '1 millisecond', lease = $5, attempts = attempts + 1
           FROM sized WHERE message.id = sized.id AND (sized.total <= 4194304 OR sized.number = 1)
           RETURNING message.id, payload, attributes, enqueued, attempts, priority,
               (SELECT name FROM {schema}.queues WHERE queues.id = message.source), place, due"
    ),
    types: &[Type::INT8, Type::TEXT, Type::INT8, Type::FLOAT8, Type::INT8],
};

static EXTEND: Sql = Sql {
    text: "UPDATE {schema}.messages SET due = $4 WHERE keyspace = $1 AND id = $2 AND lease = $3 AND state = 1 AND due > now() RETURNING 1",
    types: &[Type::INT8, Type::INT8, Type::INT8, Type::TIMESTAMPTZ],
};

/// Ends a lease: the message goes to the dead-letter queue if it has failed, else it is ready at its former position, now or later.
static RELEASE: Sql = Sql {
    text: "WITH leased AS MATERIALIZED (
               SELECT message.id, message.queue, queue.dead_letter,
                      queue.dead_letter IS NOT NULL AND message.attempts >= queue.max_attempts AS failed
               FROM {schema}.messages AS message JOIN {schema}.queues AS queue ON queue.id = message.queue
               WHERE message.keyspace = $1 AND message.id = $2 AND message.lease = $3 AND message.state = 1 AND message.due > now()
               FOR UPDATE OF message)
           UPDATE {schema}.messages AS message SET
               queue = CASE WHEN leased.failed THEN leased.dead_letter ELSE message.queue END,
               source = CASE WHEN leased.failed THEN leased.queue ELSE message.source END,
               attempts = CASE WHEN leased.failed THEN 0 ELSE message.attempts END,
               place = CASE WHEN leased.failed THEN {next_message} ELSE message.place END,
               state = CASE WHEN leased.failed OR $4 IS NULL THEN 0 ELSE 2 END, due = coalesce($4, message.due), lease = 0
           FROM leased WHERE message.id = leased.id
           RETURNING 1",
    types: &[Type::INT8, Type::INT8, Type::INT8, Type::TIMESTAMPTZ],
};

static COMPLETE: Sql = Sql {
    text: "DELETE FROM {schema}.messages WHERE keyspace = $1 AND id = $2 AND lease = $3 AND state = 1 AND due > now() RETURNING 1",
    types: &[Type::INT8, Type::INT8, Type::INT8],
};

impl Queues {
    /// Executes a statement that returns a row if the lease has not ended.
    async fn with_lease(&self, context: &Context, sql: &'static Sql, parameters: Parameters<'_>) -> Result<(), Error> {
        self.keyspace.database.query_optional(context, sql, parameters).await?.map(drop).ok_or_else(lease_lost)
    }
}

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(
        &self,
        context: &Context,
        request: DequeueWithTimeoutRequest,
    ) -> Result<DequeueWithTimeoutResponse, Error> {
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        let duration = lease_time(request.visibility_timeout.as_ref())?;
        check::name("queue", &request.queue)?;
        let (id, limit) = (self.keyspace.id(context).await?, i64::try_from(limit).unwrap_or(1));
        // One number for all messages of the call: the lease also has the id of the message.
        let (number, millis): (i64, f64) = (rand::random(), duration.as_secs_f64() * 1000.0);
        let rows = self.take(context, &request.queue, wait, id, &LEASE, &[&id, &request.queue, &limit, &millis, &number]).await?;
        let expire_time = rows.first().and_then(|row| crate::columns::read_time(row, 8)).map(time::timestamp);
        let leased = read_messages(&rows)?.into_iter().map(|(message, content)| LeasedMessage {
            message: Some(content),
            lease: Lease { message, number }.encode(),
            lease_expire_time: expire_time,
        });
        Ok(DequeueWithTimeoutResponse { messages: leased.collect() })
    }

    async fn extend_visibility(&self, context: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let Lease { message, number } = Lease::decode(&request.lease)?;
        let duration = required_lease_time(request.visibility_timeout.as_ref())?;
        let id = self.keyspace.id(context).await?;
        let expires = time::after(time::now(), duration);
        self.with_lease(context, &EXTEND, &[&id, &message, &number, &column_time(Some(expires))]).await?;
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(expires)) })
    }

    async fn release(&self, context: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let Lease { message, number } = Lease::decode(&request.lease)?;
        let delay = release_delay(request.delay.as_ref())?;
        let due = if delay.is_zero() { None } else { column_time(Some(time::after(time::now(), delay))) };
        let id = self.keyspace.id(context).await?;
        self.with_lease(context, &RELEASE, &[&id, &message, &number, &due]).await?;
        Ok(ReleaseResponse {})
    }

    async fn complete(&self, context: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let Lease { message, number } = Lease::decode(&request.lease)?;
        let id = self.keyspace.id(context).await?;
        self.with_lease(context, &COMPLETE, &[&id, &message, &number]).await?;
        Ok(CompleteResponse {})
    }
}
