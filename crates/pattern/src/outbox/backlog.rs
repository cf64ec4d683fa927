//! The number of messages that wait to be published, and its bound.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::order::ENTRIES;
use prism_call::{
    Code, Context, Error,
    proto::models::keyvalue::v1::{CountRequest, KeyValueScan},
};

/// How long a count is used while there is room.
const COUNT_LIFETIME: Duration = Duration::from_secs(1);
/// How long a count is used that left no room.
const FULL_LIFETIME: Duration = Duration::from_millis(100);
/// When a client may try again after a refusal.
const RETRY: Duration = Duration::from_secs(1);

/// What this gateway knows of the waiting messages.
///
/// It counts them at most once a second while there is room, and adds its own since then. So one gateway keeps the bound, and several together
/// may exceed it by what they write within a second.
pub struct Backlog {
    scan: Arc<dyn KeyValueScan>,
    max: u64,
    known: Mutex<Known>,
    /// Held by the call that counts.
    counting: AsyncMutex<()>,
    /// Tells the relay of this gateway that messages were stored.
    pub stored: Notify,
}

/// The last count, and the reservations of this gateway.
#[derive(Clone, Copy, Default)]
struct Known {
    counted: Option<Instant>,
    count: u64,
    /// How many messages had been reserved by transactions that had ended, when the last count began: it has all of them.
    included: u64,
    /// Messages of all transactions so far.
    reserved: u64,
    /// Messages of those transactions that have ended.
    ended: u64,
}

impl Known {
    /// The most messages that can be waiting, without those of other gateways since the last count.
    fn waiting(&self) -> u64 {
        self.count.saturating_add(self.reserved - self.included)
    }

    fn is_younger(&self, lifetime: Duration) -> bool {
        self.counted.is_some_and(|counted| counted.elapsed() < lifetime)
    }
}

/// Room for the messages of one transaction, until that has ended.
pub struct Reservation<'b> {
    backlog: &'b Backlog,
    messages: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.backlog.known().ended += self.messages;
        // A transaction that failed may have been done nevertheless.
        self.backlog.stored.notify_one();
    }
}

/// The beginning of a count.
#[derive(Clone, Copy)]
pub struct CountStart(u64);

impl Backlog {
    pub fn new(scan: Arc<dyn KeyValueScan>, max: u32) -> Self {
        Self { scan, max: max.into(), known: Mutex::default(), counting: AsyncMutex::new(()), stored: Notify::new() }
    }

    /// Makes room for messages of a transaction.
    ///
    /// Errors: `RESOURCE_EXHAUSTED OUTBOX_FULL`.
    pub async fn reserve(&self, context: &Context, messages: usize) -> Result<Reservation<'_>, Error> {
        self.reserve_up_to(self.max, context, messages as u64).await
    }

    /// Makes room for a message that may also use the part of the backlog that no other message uses. It is as large as the other part.
    ///
    /// Errors: `RESOURCE_EXHAUSTED OUTBOX_FULL`.
    pub async fn reserve_urgent(&self, context: &Context) -> Result<Reservation<'_>, Error> {
        self.reserve_up_to(self.max * 2, context, 1).await
    }

    async fn reserve_up_to(&self, max: u64, context: &Context, messages: u64) -> Result<Reservation<'_>, Error> {
        if let Some(result) = self.try_reserve(max, messages, false) {
            return result;
        }
        let _counting = self.counting.lock().await;
        // Another call may have counted meanwhile.
        if let Some(result) = self.try_reserve(max, messages, false) {
            return result;
        }
        self.count(context).await?;
        self.try_reserve(max, messages, true).unwrap_or_else(|| Err(self.full(self.max)))
    }

    /// Reserves room, or refuses it. `None`: the last count is too old to tell, unless it must do.
    fn try_reserve(&self, max: u64, messages: u64, is_counted: bool) -> Option<Result<Reservation<'_>, Error>> {
        let mut known = self.known();
        let waiting = known.waiting();
        if waiting.saturating_add(messages) <= max {
            if !is_counted && !known.is_younger(COUNT_LIFETIME) {
                return None;
            }
            known.reserved += messages;
            return Some(Ok(Reservation { backlog: self, messages }));
        }
        // Without the count itself, messages that were published since then might have made room.
        let is_full = known.count.saturating_add(messages) > max && known.is_younger(FULL_LIFETIME);
        (is_counted || is_full).then(|| Err(self.full(waiting)))
    }

    /// Counts the waiting messages.
    pub async fn count(&self, context: &Context) -> Result<u64, Error> {
        let start = self.start_count();
        let request = CountRequest { prefix: Bytes::from_static(ENTRIES), ..CountRequest::default() };
        let waiting = self.scan.count(context, request).await?.count;
        self.set(waiting, start);
        Ok(waiting)
    }

    /// Begins a count that [`set`](Self::set) ends.
    pub fn start_count(&self) -> CountStart {
        CountStart(self.known().ended)
    }

    /// Takes over a count.
    pub fn set(&self, count: u64, start: CountStart) {
        let mut known = self.known();
        (known.counted, known.count, known.included) = (Some(Instant::now()), count, start.0);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self, waiting: u64) -> Error {
        let max = self.max;
        let message = format!(
            "{waiting} messages of this namespace wait to be published, and at most {max} may (setting `outbox.max_backlog`); the backend of the slot `messaging` is slow or away, so try again later"
        );
        Error::new(Code::ResourceExhausted, "OUTBOX_FULL", message).with("limit", max.to_string()).with_retry_after(RETRY)
    }
}
