//! Queue: ready messages in order, scheduled ones by time, leased ones by lease, all queues of a keyspace under one lock, so
//! that a message moves to its dead-letter queue in one step.

mod dead_letter;
mod rpc;
mod state;
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

use self::state::{Message, State};
use super::shared::{Shared, lock};
use prism_call::Error;
use prism_driver::{
    Limits, check,
    time::{self, Millis},
};

/// The queues of one keyspace.
pub struct Queues {
    shared: Arc<Shared>,
    limits: Limits,
    state: Mutex<State>,
}

/// Longest wait for a message.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// Most messages in one answer.
const MAX_MESSAGES: u32 = 100;

impl Queues {
    pub fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        Self { state: Mutex::new(State::new(shared.clone())), shared, limits }
    }

    /// Ends leases whose time is over, and forgets queues that hold nothing.
    pub fn sweep(&self) {
        let mut state = lock(&self.state);
        state.settle_leases(time::now());
        state.forget_empty();
    }

    /// The state as it is now: leases whose time was over have ended.
    fn state(&self, now: Millis) -> Result<MutexGuard<'_, State>, Error> {
        self.shared.open()?;
        let mut state = lock(&self.state);
        state.settle_leases(now);
        Ok(state)
    }

    fn check(&self, queue: &str, payload: &[u8], attributes: &BTreeMap<String, String>) -> Result<(), Error> {
        check::name("queue", queue)?;
        check::value(&self.limits, "payload", payload)?;
        check::attributes(attributes)
    }

    /// Puts a checked message in, ready at once or at a time, and gives its id.
    fn put(
        &self,
        queue: &str,
        payload: &[u8],
        attributes: BTreeMap<String, String>,
        priority: u32,
        due: Option<Millis>,
    ) -> Result<String, Error> {
        let id = format!("{:032x}", rand::random::<u128>());
        let now = time::now();
        // A copy, because the request's bytes may be a small part of a large buffer.
        let payload = Bytes::copy_from_slice(payload);
        let message = Message { id: id.clone(), payload, attributes, enqueued: now, attempts: 0, priority };
        let mut state = self.state(now)?;
        self.shared.reserve(message.size())?;
        match due.filter(|due| *due > now) {
            Some(due) => state.schedule(queue, message, due),
            None => state.ready(queue, message, None, now),
        }
        Ok(id)
    }

    /// Takes what is ready, or waits for it; `take` removes or leases one message.
    async fn take<T>(
        &self,
        queue: &str,
        limit: u32,
        wait: Option<&prost_types::Duration>,
        take: impl Fn(&mut State, Millis) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        check::name("queue", queue)?;
        let limit = check::limit("limit", limit, 1, MAX_MESSAGES)? as usize;
        let wait = wait.map_or(Ok(Duration::ZERO), |wait| time::between("wait", wait, Duration::ZERO, MAX_WAIT))?;
        let until = Instant::now() + wait;
        loop {
            let (changed, due) = {
                let now = time::now();
                let mut state = self.state(now)?;
                let taken: Vec<T> = std::iter::from_fn(|| take(&mut state, now)).take(limit).collect();
                if !taken.is_empty() || Instant::now() >= until {
                    return Ok(taken);
                }
                // Registered under the lock, so that nothing that comes from now on is missed.
                (state.waiter(queue), state.next_due(queue))
            };
            let due = due.map_or(until, |due| Instant::now() + Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0)));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(due.min(until)) => {}
                closed = self.shared.closed() => return Err(closed),
            }
        }
    }
}
