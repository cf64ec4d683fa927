//! Queue: one row for each message, with its state: ready, leased or scheduled.
//!
//! Nothing runs when a lease or a delay ends. Instead, each operation first processes the messages that are due: a scheduled message
//! becomes ready, and a message whose lease has expired becomes ready or goes to the dead-letter queue.

mod basic;
mod dead_letter;
mod delayed;
mod priority;
mod due;
mod rows;
mod state;
mod visibility;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{database::Database, keyspace::KeyspaceHandle, signals::Topic, writer::Tx};
use crate::error::DatabaseResult;
use prism_call::{Error, proto::Interfaces};
use prism_driver::{check, time};

/// The queue interfaces over one keyspace.
pub struct Queues {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the queue interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let queues = Arc::new(Queues { keyspace: keyspace.clone() });
    interfaces.queue_basic = Some(queues.clone());
    interfaces.queue_dead_letter = Some(queues.clone());
    interfaces.queue_delayed = Some(queues.clone());
    interfaces.queue_priority = Some(queues.clone());
    interfaces.queue_visibility = Some(queues);
}

/// Processes messages that are due, so that other operations have little to process.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    while database.readers.quick(due::any_due).await? {
        database.writer.write(due::process_due).await?;
    }
    Ok(())
}

impl Queues {
    /// Takes messages with `take`. If there are none, waits for the first one.
    async fn take<T, F>(&self, queue: String, wait: Duration, take: F) -> Result<Vec<T>, Error>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>, i64, &str) -> DatabaseResult<Vec<T>> + Clone + Send + 'static,
    {
        check::name("queue", &queue)?;
        let queue: Arc<str> = queue.into();
        let deadline = Instant::now() + wait;
        let mut waiter =
            if wait.is_zero() { None } else { Some(self.keyspace.wait(|keyspace| Topic::Queue(keyspace, queue.clone())).await?) };
        loop {
            let (take, name) = (take.clone(), queue.clone());
            let write = self.keyspace.write(move |tx, keyspace| {
                due::process_due(tx)?;
                let taken = take(tx, keyspace, &name)?;
                let next_due = if taken.is_empty() { due::next_due(tx)? } else { None };
                Ok((taken, next_due))
            });
            let (taken, next_due) = write.await?;
            let remaining = deadline.saturating_duration_since(Instant::now());
            let Some(waiter) = waiter.as_mut().filter(|_| taken.is_empty() && !remaining.is_zero()) else { return Ok(taken) };
            let due = next_due.map(|due| Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0).max(1)));
            tokio::select! {
                () = waiter.changed() => {}
                () = tokio::time::sleep(due.unwrap_or(remaining).min(remaining)) => {}
            }
        }
    }

    /// Processes messages that are due, before an operation that only reads.
    async fn process_due(&self) -> Result<(), Error> {
        while self.keyspace.quick(|connection, _| due::any_due(connection)).await? {
            self.keyspace.write(|tx, _| due::process_due(tx)).await?;
        }
        Ok(())
    }
}
