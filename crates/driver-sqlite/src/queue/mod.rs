//! The queue interfaces: a row for each message, whose state says whether it is ready, leased or scheduled.
//!
//! Leases and delays end by the clock alone, so each operation first settles what is due: a scheduled message becomes ready, a
//! message whose lease is over becomes ready or goes to the dead-letter queue.

mod basic;
mod dead_letter;
mod delayed;
mod priority;
mod rows;
mod settle;
mod visibility;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    signals::Topic,
    space::{Database, Space},
    writer::Tx,
};
use crate::error::DatabaseResult;
use prism_call::{Error, proto::Interfaces};
use prism_driver::{check, time};

/// The five interfaces over one keyspace.
pub struct Queues {
    space: Arc<Space>,
}

/// Adds them to what the driver implements.
pub fn add(interfaces: &mut Interfaces, space: &Arc<Space>) {
    let queues = Arc::new(Queues { space: space.clone() });
    interfaces.queue_basic = Some(queues.clone());
    interfaces.queue_dead_letter = Some(queues.clone());
    interfaces.queue_delayed = Some(queues.clone());
    interfaces.queue_priority = Some(queues.clone());
    interfaces.queue_visibility = Some(queues);
}

/// Settles what is due, so that counting and taking find little to do.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    while database.readers.quick(settle::any_due).await? {
        database.writer.write(settle::due).await?;
    }
    Ok(())
}

/// Greatest number of messages in one answer.
const MAX_LIMIT: u32 = 100;
/// Longest wait for a message.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The field `limit`: 0 is 1.
fn limit(limit: u32) -> Result<usize, Error> {
    if limit > MAX_LIMIT {
        return Err(Error::invalid("limit", format!("must be at most {MAX_LIMIT}")));
    }
    Ok(limit.max(1) as usize)
}

/// The field `wait`: absent is not at all.
fn wait(wait: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    wait.map_or(Ok(Duration::ZERO), |wait| time::between("wait", wait, Duration::ZERO, MAX_WAIT))
}

impl Queues {
    /// Takes messages with `take`, and waits for the first one if there is none.
    async fn take<T, F>(&self, queue: String, wait: Duration, take: F) -> Result<Vec<T>, Error>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>, i64, &str) -> DatabaseResult<Vec<T>> + Clone + Send + 'static,
    {
        check::name("queue", &queue)?;
        let queue: Arc<str> = queue.into();
        let until = Instant::now() + wait;
        let mut waiter = if wait.is_zero() { None } else { Some(self.space.wait(|space| Topic::Queue(space, queue.clone())).await?) };
        loop {
            let (take, name) = (take.clone(), queue.clone());
            let write = self.space.write(move |tx, space| {
                settle::due(tx)?;
                let taken = take(tx, space, &name)?;
                let next_due = if taken.is_empty() { settle::next_due(tx)? } else { None };
                Ok((taken, next_due))
            });
            let (taken, next_due) = write.await?;
            let left = until.saturating_duration_since(Instant::now());
            let Some(waiter) = waiter.as_mut().filter(|_| taken.is_empty() && !left.is_zero()) else { return Ok(taken) };
            let due = next_due.map(|due| Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0).max(1)));
            tokio::select! {
                () = waiter.changed() => {}
                () = tokio::time::sleep(due.unwrap_or(left).min(left)) => {}
            }
        }
    }

    /// Settles what is due before something is only looked at.
    async fn settle(&self) -> Result<(), Error> {
        while self.space.quick(|connection, _| settle::any_due(connection)).await? {
            self.space.write(|tx, _| settle::due(tx)).await?;
        }
        Ok(())
    }
}
