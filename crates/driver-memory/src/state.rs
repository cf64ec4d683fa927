//! State that all keyspaces of a memory backend share: the bytes in use, the number of subscriptions, and whether it is closed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{error::backend_closed, settings::MemorySettings};
use prism_call::Error;
use prism_driver::{check, pubsub::too_many_subscriptions};

/// Bytes that each stored item counts in addition to its content, so that many empty items also reach the limit.
pub const OVERHEAD: u64 = 128;

/// Most computations on copies of graphs at the same time.
pub const MAX_COMPUTATIONS: usize = 2;

/// The state that all keyspaces of a backend share.
pub struct SharedState {
    pub settings: MemorySettings,
    used_bytes: AtomicU64,
    subscriptions: AtomicUsize,
    closed: AtomicBool,
    closing: CancellationToken,
    /// One permit for each computation on a copy of a graph. Each takes a thread, and memory that does not count as used.
    pub computations: Arc<Semaphore>,
}

impl SharedState {
    pub fn new(settings: MemorySettings) -> Self {
        Self {
            settings,
            used_bytes: AtomicU64::new(0),
            subscriptions: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            closing: CancellationToken::new(),
            computations: Arc::new(Semaphore::new(MAX_COMPUTATIONS)),
        }
    }

    /// Counts bytes as used. Fails with BACKEND_FULL, and counts none, if `max_bytes` would be exceeded.
    pub fn reserve(&self, bytes: u64) -> Result<(), Error> {
        let limit = *self.settings.max_bytes;
        self.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit))
            .map(drop)
            .map_err(|_| check::full("bytes (max_bytes)", limit))
    }

    /// Counts bytes as used even if `max_bytes` is exceeded, for moves of existing data, which must not fail.
    pub fn reserve_unchecked(&self, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes as free again.
    pub fn release(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Fails with UNAVAILABLE if the backend is closed.
    pub fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) { Err(backend_closed()) } else { Ok(()) }
    }

    /// Closes the backend: wakes all waiting calls, and [`check_open`](Self::check_open) fails from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.closing.cancel();
    }

    /// A permit for one more open stream of a subscriber or a group member; `max_subscriptions` limits their number.
    pub fn subscription_permit(self: &Arc<Self>) -> Result<SubscriptionPermit, Error> {
        let limit = self.settings.max_subscriptions.to_usize();
        let one_more = |count: usize| (count < limit).then_some(count + 1);
        match self.subscriptions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(SubscriptionPermit(self.clone())),
            Err(_) => Err(too_many_subscriptions(limit, "max_subscriptions")),
        }
    }

    /// Waits until the backend is closed, and returns the error for the waiting call.
    pub async fn wait_until_closed(&self) -> Error {
        self.closing.cancelled().await;
        backend_closed()
    }
}

/// Permission for one open stream, from [`SharedState::subscription_permit`]; given back when it is dropped.
pub struct SubscriptionPermit(Arc<SharedState>);

impl Drop for SubscriptionPermit {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of the names and values of attributes.
pub fn attribute_bytes(attributes: &BTreeMap<String, String>) -> u64 {
    attributes.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

/// Bytes that a result takes until it is sent; given back when it is dropped.
pub struct ReservedBytes {
    shared: Arc<SharedState>,
    bytes: u64,
}

impl ReservedBytes {
    /// Reserves bytes. Fails with BACKEND_FULL if `max_bytes` would be exceeded.
    pub fn new(shared: &Arc<SharedState>, bytes: u64) -> Result<Self, Error> {
        shared.reserve(bytes)?;
        Ok(Self { shared: shared.clone(), bytes })
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.shared.release(self.bytes);
    }
}
