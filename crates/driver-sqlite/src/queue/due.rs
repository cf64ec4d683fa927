//! Processes messages whose delay or lease has ended.

use rusqlite::{Connection, OptionalExtension as _};

use super::state::{LEASED, READY};
use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_driver::time::{self, Millis};

/// Messages that one write processes. The number is limited so that other writes don't wait long.
const MESSAGES_PER_WRITE: usize = 1000;

/// Whether a message is due.
pub fn any_due(connection: &Connection) -> DatabaseResult<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE state > 0 AND due <= ?1)")?;
    Ok(select.query_row([time::now()], |row| row.get(0))?)
}

/// When the next message of any queue is due. A message that fails may go to any other queue.
pub fn next_due(tx: &Tx<'_>) -> DatabaseResult<Option<Millis>> {
    let mut select = tx.connection.prepare_cached("SELECT due FROM messages WHERE state > 0 ORDER BY due LIMIT 1")?;
    Ok(select.query_row([], |row| row.get(0)).optional()?)
}

/// Processes messages that are due, in the order of their times.
pub fn process_due(tx: &Tx<'_>) -> DatabaseResult<()> {
    let mut select = tx.connection.prepare_cached(
        "SELECT keyspace, id, queue, state, attempts FROM messages WHERE state > 0 AND due <= ?1 ORDER BY due, id LIMIT ?2",
    )?;
    let due = select.query_map((time::now(), i64::try_from(MESSAGES_PER_WRITE).unwrap_or(0)), |row| {
        Ok((UnreadyMessage { keyspace: row.get(0)?, id: row.get(1)?, queue: row.get(2)?, attempts: row.get(4)? }, row.get::<_, i64>(3)?))
    })?;
    for (message, state) in due.collect::<Result<Vec<_>, _>>()? {
        if state == LEASED {
            message.end_lease(tx)?;
        } else {
            let place = tx.next_number(message.keyspace)?;
            message.make_ready(tx, Some(place))?;
        }
    }
    Ok(())
}

/// A message that is leased or scheduled.
pub struct UnreadyMessage {
    pub keyspace: i64,
    pub id: i64,
    pub queue: i64,
    pub attempts: u32,
}

impl UnreadyMessage {
    /// Ends its lease: the message goes to the dead-letter queue if it has failed, else it is ready at its former position.
    pub fn end_lease(&self, tx: &Tx<'_>) -> DatabaseResult<()> {
        match self.failed_target(tx)? {
            Some(dead_letter) => self.move_to(tx, dead_letter, Some(self.queue)),
            None => self.make_ready(tx, None),
        }
    }

    /// The id of the dead-letter queue if the message has failed, that is, was delivered `max_attempts` times.
    pub fn failed_target(&self, tx: &Tx<'_>) -> DatabaseResult<Option<i64>> {
        let mut select = tx.connection.prepare_cached("SELECT dead_letter FROM queues WHERE id = ?1 AND max_attempts <= ?2")?;
        Ok(select.query_row((self.queue, self.attempts), |row| row.get(0)).optional()?.flatten())
    }

    /// Moves the message to another queue, where it is ready and has no delivery attempts.
    pub fn move_to(&self, tx: &Tx<'_>, queue: i64, source: Option<i64>) -> DatabaseResult<()> {
        let place = tx.next_number(self.keyspace)?;
        let mut update = tx.connection.prepare_cached(
            "UPDATE messages SET queue = ?3, source = ?4, state = ?5, place = ?6, attempts = 0, lease = 0 WHERE keyspace = ?1 AND id = ?2",
        )?;
        update.execute((self.keyspace, self.id, queue, source, READY, place))?;
        signal(tx, queue)
    }

    /// Makes the message ready, at a new position or at its former one.
    fn make_ready(&self, tx: &Tx<'_>, place: Option<i64>) -> DatabaseResult<()> {
        let mut update = tx
            .connection
            .prepare_cached("UPDATE messages SET state = ?3, place = coalesce(?4, place), lease = 0 WHERE keyspace = ?1 AND id = ?2")?;
        update.execute((self.keyspace, self.id, READY, place))?;
        signal(tx, self.queue)
    }
}

/// Wakes the calls that wait for a queue.
pub fn signal(tx: &Tx<'_>, queue: i64) -> DatabaseResult<()> {
    let mut select = tx.connection.prepare_cached("SELECT keyspace, name FROM queues WHERE id = ?1")?;
    let names = select.query_row([queue], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
    if let Some((keyspace, name)) = names.optional()? {
        tx.signal(Topic::Queue(keyspace, name.into()));
    }
    Ok(())
}
