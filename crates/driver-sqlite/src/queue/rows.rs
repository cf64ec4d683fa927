//! The statements on `queues` and `messages`.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::settle;
use crate::{attributes, error::DatabaseResult, signals::Topic, writer::Tx};
use prism_call::{Error, proto::models::queue::v1::QueueMessage};
use prism_driver::{
    Limits, check,
    time::{self, Millis},
};

/// States of a message.
pub const READY: i64 = 0;
/// Somebody has a lease of it.
pub const LEASED: i64 = 1;
/// It waits for its time.
pub const SCHEDULED: i64 = 2;

/// An answer ends before the message that would take it over this many bytes, unless it is the first.
const ANSWER_BYTES: usize = 4 << 20;
/// Names the queue that a message failed in.
const SOURCE: &str = "prism-dead-letter-source";

/// The id of a queue that somebody touched.
pub fn find(connection: &Connection, space: i64, name: &str) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM queues WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((space, name), |row| row.get(0)).optional()?)
}

/// The id of a queue, which is made if it is not there.
pub fn open(tx: &Tx<'_>, space: i64, name: &str) -> DatabaseResult<i64> {
    if let Some(id) = find(tx.connection, space, name)? {
        return Ok(id);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO queues (keyspace, name) VALUES (?1, ?2) RETURNING id")?;
    Ok(insert.query_row((space, name), |row| row.get(0))?)
}

/// A message to put in.
pub struct NewMessage {
    queue: Arc<str>,
    payload: Bytes,
    attributes: Vec<u8>,
    priority: u32,
    due: Option<Millis>,
}

impl NewMessage {
    /// Checks what every way to put a message in has.
    pub fn new(limits: &Limits, queue: String, payload: Bytes, attributes: BTreeMap<String, String>) -> Result<Self, Error> {
        check::name("queue", &queue)?;
        check::attributes(&attributes)?;
        check::value(limits, "payload", &payload)?;
        Ok(Self { queue: queue.into(), payload, attributes: attributes::encode(attributes), priority: 0, due: None })
    }

    pub fn with_priority(self, priority: u32) -> Self {
        Self { priority, ..self }
    }

    /// Ready at a time.
    pub fn due(self, due: Millis) -> Self {
        Self { due: Some(due), ..self }
    }

    /// Puts it in and gives its id.
    pub fn put(&self, tx: &Tx<'_>, space: i64) -> DatabaseResult<String> {
        // Who became ready before is before it.
        settle::due(tx)?;
        let queue = open(tx, space, &self.queue)?;
        let (id, now) = (tx.next_number(space)?, time::now());
        let state = if self.due.is_some_and(|due| due > now) { SCHEDULED } else { READY };
        let mut insert = tx.connection.prepare_cached(
            "INSERT INTO messages (keyspace, id, queue, state, priority, place, due, lease, attempts, source, enqueued, attributes, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?2, ?6, 0, 0, NULL, ?7, ?8, ?9)",
        )?;
        let due = self.due.unwrap_or(now);
        insert.execute((space, id, queue, state, self.priority, due, now, &self.attributes, &self.payload[..]))?;
        tx.signal(Topic::Queue(space, self.queue.clone()));
        Ok(id.to_string())
    }
}

/// The ready messages that come next, each with its id and its count of deliveries so far.
pub fn next(connection: &Connection, space: i64, queue: &str, most: usize) -> DatabaseResult<Vec<(i64, QueueMessage)>> {
    let Some(queue) = find(connection, space, queue)? else { return Ok(Vec::new()) };
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
        if bytes > ANSWER_BYTES && !messages.is_empty() {
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
        attributes.insert(SOURCE.to_owned(), source);
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

/// Number of messages of a queue in each state.
pub fn count(connection: &Connection, space: i64, queue: &str) -> DatabaseResult<[u64; 3]> {
    let mut counts = [0; 3];
    let Some(queue) = find(connection, space, queue)? else { return Ok(counts) };
    let mut select = connection.prepare_cached("SELECT state, count(*) FROM messages WHERE queue = ?1 GROUP BY state")?;
    let mut rows = select.query([queue])?;
    while let Some(row) = rows.next()? {
        if let Some(count) = counts.get_mut(usize::from(row.get::<_, u8>(0)?)) {
            *count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        }
    }
    Ok(counts)
}
