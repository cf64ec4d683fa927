//! Statements on the tables `queues` and `messages`.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio_postgres::{Row, types::Type};

use super::Queues;
use crate::{
    columns::{column_time, read_bytes, read_time, unsigned},
    error,
    sql::Sql,
};
use prism_call::{Context, Error, proto::models::queue::v1::QueueMessage};
use prism_driver::{
    attributes,
    queue::{DEAD_LETTER_SOURCE, check_message},
    time::{self, Millis},
};

/// Creates a queue, if it does not exist.
pub static OPEN: Sql =
    Sql { text: "INSERT INTO {schema}.queues (keyspace, name) VALUES ($1, $2) ON CONFLICT DO NOTHING", types: &[Type::INT8, Type::TEXT] };

/// Inserts a message, if the queue exists.
static INSERT: Sql = Sql {
    text: "INSERT INTO {schema}.messages (id, keyspace, queue, place, due, enqueued, state, priority, attributes, payload)
           SELECT next, $1, queue.id, next, coalesce($3, now()), now(), CASE WHEN $3 > now() THEN 2 ELSE 0 END, $4, $5, $6
           FROM {schema}.queues AS queue, (SELECT {next_message} AS next) AS number
           WHERE queue.keyspace = $1 AND queue.name = $2
           RETURNING id",
    types: &[Type::INT8, Type::TEXT, Type::TIMESTAMPTZ, Type::INT2, Type::BYTEA, Type::BYTEA],
};

/// Counts the messages of a queue: ready, leased, scheduled.
static COUNT: Sql = Sql {
    text: "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2)
           FROM {schema}.messages WHERE queue = (SELECT id FROM {schema}.queues WHERE keyspace = $1 AND name = $2)",
    types: &[Type::INT8, Type::TEXT],
};

/// A message to insert.
pub struct NewMessage {
    queue: String,
    payload: Bytes,
    attributes: Vec<u8>,
    priority: i16,
    due: Option<Millis>,
}

impl NewMessage {
    pub fn with_priority(self, priority: u32) -> Self {
        Self { priority: i16::try_from(priority).unwrap_or(i16::MAX), ..self }
    }

    /// Sets the time at which the message becomes ready.
    pub fn with_due(self, due: Millis) -> Self {
        Self { due: Some(due), ..self }
    }
}

impl Queues {
    /// Checks the fields that every request to enqueue has. The message is ready at once.
    pub fn new_message(&self, queue: String, payload: Bytes, attributes: BTreeMap<String, String>) -> Result<NewMessage, Error> {
        check_message(&self.keyspace.limits, &queue, &payload, &attributes)?;
        Ok(NewMessage { queue, payload, attributes: attributes::encode(attributes), priority: 0, due: None })
    }

    /// Inserts a message, and returns its id. Messages that became ready earlier come before it.
    pub async fn insert(&self, context: &Context, message: NewMessage) -> Result<String, Error> {
        let id = self.keyspace.id(context).await?;
        let NewMessage { queue, payload, attributes, priority, due } = message;
        let due = column_time(due);
        let parameters: crate::database::Parameters<'_> = &[&id, &queue, &due, &priority, &attributes, &&payload[..]];
        let mut rows = self.query(context, id, &INSERT, parameters).await?;
        if rows.is_empty() {
            [_, rows] = self.keyspace.database.query_two(context, (&OPEN, &[&id, &queue]), (&INSERT, parameters)).await?;
        }
        let number: i64 = rows.first().ok_or_else(error::unexpected_reply)?.get(0);
        self.keyspace.notifications.announce(id, super::topic(&queue));
        Ok(number.to_string())
    }

    /// Counts the messages of a queue in each state: ready, leased, scheduled.
    pub async fn count(&self, context: &Context, queue: &str) -> Result<[u64; 3], Error> {
        let id = self.keyspace.id(context).await?;
        let rows = self.query(context, id, &COUNT, &[&id, &queue]).await?;
        let row = rows.first().ok_or_else(error::unexpected_reply)?;
        Ok([0, 1, 2].map(|column| unsigned(row.get(column))))
    }
}

/// A message, and its id.
pub type Message = (i64, QueueMessage);

/// Reads messages from the columns `id, payload, attributes, enqueued, attempts, priority, source, place`, in the order of their delivery.
pub fn read_messages(rows: &[Row]) -> Result<Vec<Message>, Error> {
    let mut ordered: Vec<&Row> = rows.iter().collect();
    ordered.sort_by_key(|row| (-row.get::<_, i16>(5), row.get::<_, i64>(7), row.get::<_, i64>(0)));
    ordered.into_iter().map(read_message).collect()
}

fn read_message(row: &Row) -> Result<Message, Error> {
    let id: i64 = row.get(0);
    let mut attributes = attributes::decode(row.get(2))?;
    if let Some(source) = row.get::<_, Option<String>>(6) {
        attributes.insert(DEAD_LETTER_SOURCE.to_owned(), source);
    }
    let message = QueueMessage {
        message_id: id.to_string(),
        payload: read_bytes(row, 1),
        attributes,
        enqueue_time: read_time(row, 3).map(time::timestamp),
        delivery_attempt: u32::try_from(row.get::<_, i32>(4)).unwrap_or(0),
        priority: u32::try_from(row.get::<_, i16>(5)).unwrap_or(0),
    };
    Ok((id, message))
}
