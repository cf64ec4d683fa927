//! Queue: all queues of a keyspace under one lock, so that a message moves to its dead-letter queue in one atomic step.

mod basic;
mod dead_letter;
mod delayed;
mod messages;
mod priority;
#[cfg(test)]
mod tests;
mod visibility;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use self::messages::{Message, QueueState};
use crate::state::SharedState;
use prism_call::{Error, proto::Interfaces};
use prism_driver::{
    Limits, check, id,
    lock::lock,
    queue::{message_limit, wait_time},
    time::{self, Millis},
};

/// The queue interfaces over one keyspace.
pub struct Queues {
    shared: Arc<SharedState>,
    limits: Limits,
    state: Mutex<QueueState>,
}

/// Adds the queue interfaces to those of a keyspace.
pub fn add(queues: &Arc<Queues>, interfaces: &mut Interfaces) {
    interfaces.queue_basic = Some(queues.clone());
    interfaces.queue_dead_letter = Some(queues.clone());
    interfaces.queue_delayed = Some(queues.clone());
    interfaces.queue_priority = Some(queues.clone());
    interfaces.queue_visibility = Some(queues.clone());
}

impl Queues {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        Self { state: Mutex::new(QueueState::new(shared.clone())), shared, limits }
    }

    /// Ends leases that have expired, and removes queues that are not used.
    pub fn sweep(&self) {
        let mut state = lock(&self.state);
        state.expire_leases(time::now());
        state.remove_unused();
    }

    /// Locks the state, and ends leases that have expired.
    fn state(&self, now: Millis) -> Result<MutexGuard<'_, QueueState>, Error> {
        self.shared.check_open()?;
        let mut state = lock(&self.state);
        state.expire_leases(now);
        Ok(state)
    }

    /// Adds a message that was checked, and returns its id. The message becomes ready when it is due, or at once.
    fn put(
        &self,
        queue: &str,
        payload: &[u8],
        attributes: BTreeMap<String, String>,
        priority: u32,
        due: Option<Millis>,
    ) -> Result<String, Error> {
        let id = id::random_text();
        let now = time::now();
        // A copy: the bytes of the request may be a small part of a large buffer.
        let payload = Bytes::copy_from_slice(payload);
        let message = Message { id: id.clone(), payload, attributes, enqueued: now, attempts: 0, priority };
        let mut state = self.state(now)?;
        self.shared.reserve(message.size())?;
        match due.filter(|due| *due > now) {
            Some(due) => state.schedule(queue, message, due),
            None => state.make_ready(queue, message, None, now),
        }
        Ok(id)
    }

    /// Takes messages that are ready, or waits for the first one. `take` removes or leases one message.
    async fn take<T>(
        &self,
        queue: &str,
        limit: u32,
        wait: Option<&prost_types::Duration>,
        take: impl Fn(&mut QueueState, Millis) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        check::name("queue", queue)?;
        let limit = message_limit(limit)?;
        let until = Instant::now() + wait_time(wait)?;
        loop {
            let (changed, due) = {
                let now = time::now();
                let mut state = self.state(now)?;
                let taken: Vec<T> = std::iter::from_fn(|| take(&mut state, now)).take(limit).collect();
                if !taken.is_empty() || Instant::now() >= until {
                    return Ok(taken);
                }
                // Registered while the lock is held, so that no later change is missed.
                (state.wait_for_change(queue), state.next_due(queue))
            };
            let due = due.map_or(until, |due| Instant::now() + Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0)));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(due.min(until)) => {}
                closed = self.shared.wait_until_closed() => return Err(closed),
            }
        }
    }
}
