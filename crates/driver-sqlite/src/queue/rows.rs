//! Statements on the tables `queues` and `messages`.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    due,
    state::{READY, SCHEDULED},
};
use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_call::{Error, proto::models::queue::v1::QueueMessage};
use prism_driver::{
    Limits, attributes,
    queue::{DEAD_LETTER_SOURCE, check_message},
    time::{self, Millis},
};

/// Most bytes of payloads in one response. The first message may be larger.
const RESPONSE_BYTES: usize = 4 << 20;

/// The id of a queue; `None` if it was never used.
pub fn find(connection: &Connection, keyspace: i64, name: &str) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM queues WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((keyspace, name), |row| row.get(0)).optional()?)
}

/// The id of a queue, which is created if necessary.
pub fn open(tx: &Tx<'_>, keyspace: i64, name: &str) -> DatabaseResult<i64> {
    if let Some(id) = find(tx.connection, keyspace, name)? {
        return Ok(id);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO queues (keyspace, name) VALUES (?1, ?2) RETURNING id")?;
    Ok(insert.query_row((keyspace, name), |row| row.get(0))?)
}

/// A message to insert.
pub struct NewMessage {
    queue: Arc<str>,
    payload: Bytes,
    attributes: Vec<u8>,
    priority: u32,
    due: Option<Millis>,
}

impl NewMessage {
    /// Checks the fields that every request to enqueue has. The message is ready at once.
    pub fn new(limits: &Limits, queue: String, payload: Bytes, attributes: BTreeMap<String, String>) -> Result<Self, Error> {
        check_message(limits, &queue, &payload, &attributes)?;
        Ok(Self { queue: queue.into(), payload, attributes: attributes::encode(attributes), priority: 0, due: None })
    }

    pub fn with_priority(self, priority: u32) -> Self {
        Self { priority, ..self }
    }

    /// Sets the time at which the message becomes ready.
    pub fn with_due(self, due: Millis) -> Self {
        Self { due: Some(due), ..self }
    }

    /// Inserts the message, and returns its id.
    pub fn insert(&self, tx: &Tx<'_>, keyspace: i64) -> DatabaseResult<String> {
        // Messages that became ready earlier come before it.
        due::process_due(tx)?;
        let queue = open(tx, keyspace, &self.queue)?;
        let (id, now) = (tx.next_number(keyspace)?, time::now());
        let state = if self.due.is_some_and(|due| due > now) { SCHEDULED } else { READY };
        let mut insert = tx.connection.prepare_cached(
            "INSERT INTO messages (keyspace, id, queue, state, priority, place, due, lease, attempts, source, enqueued, attributes, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?2, ?6, 0, 0, NULL, ?7, ?8, ?9)",
        )?;
        let due = self.due.unwrap_or(now);
        insert.execute((keyspace, id, queue, state, self.priority, due, now, &self.attributes, &self.payload[..]))?;
        tx.signal(Topic::Queue(keyspace, self.queue.clone()));
        Ok(id.to_string())
    }
}

/// The next ready messages with their ids. Their delivery attempts don't count the next delivery.
pub fn next_ready(connection: &Connection, keyspace: i64, queue: &str, most: usize) -> DatabaseResult<Vec<(i64, QueueMessage)>> {
    let Some(queue) = find(connection, keyspace, queue)? else { return Ok(Vec::new()) };
    let mut select = connection.prepare_cached(
        "SELECT id, payload, attributes, enqueued, attempts, priority,
           (SELECT name FROM queues WHERE queues.id = messages.source)
         FROM messages WHERE queue = ?1 AND state = 0 ORDER BY priority DESC, place, id LIMIT ?2",
    )?;
    let mut rows = select.query((queue, i64::try_from(most).unwrap_or(i64::MAX)))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (id, message) = message(row)?;
        bytes += message.payload.len();
        if bytes > RESPONSE_BYTES && !messages.is_empty() {
            break;
        }
        messages.push((id, message));
    }
    Ok(messages)
}

fn message(row: &Row<'_>) -> DatabaseResult<(i64, QueueMessage)> {
    let id: i64 = row.get(0)?;
    let blob = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    let mut attributes = attributes::decode(blob(2)?)?;
    if let Some(source) = row.get::<_, Option<String>>(6)? {
        attributes.insert(DEAD_LETTER_SOURCE.to_owned(), source);
    }
    let message = QueueMessage {
        message_id: id.to_string(),
        payload: Bytes::copy_from_slice(blob(1)?),
        attributes,
        enqueue_time: Some(time::timestamp(row.get(3)?)),
        delivery_attempt: row.get(4)?,
        priority: row.get(5)?,
    };
    Ok((id, message))
}

/// Number of messages of a queue in each state: ready, leased, scheduled.
pub fn count(connection: &Connection, keyspace: i64, queue: &str) -> DatabaseResult<[u64; 3]> {
    let mut counts = [0; 3];
    let Some(queue) = find(connection, keyspace, queue)? else { return Ok(counts) };
    let mut select = connection.prepare_cached("SELECT state, count(*) FROM messages WHERE queue = ?1 GROUP BY state")?;
    let mut rows = select.query([queue])?;
    while let Some(row) = rows.next()? {
        if let Some(count) = counts.get_mut(usize::from(row.get::<_, u8>(0)?)) {
            *count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        }
    }
    Ok(counts)
}
