//! What all keyspaces of a memory backend share: the bound on its bytes, and whether it is closed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{error, settings::Settings};
use prism_call::Error;
use prism_driver::check;

/// Bytes that are counted for each stored thing on top of its keys and values, so that many empty ones fill it too.
pub const OVERHEAD: u64 = 128;

/// Shared by everything in one backend.
pub struct Shared {
    pub settings: Settings,
    used: AtomicU64,
    subscriptions: AtomicUsize,
    closed: AtomicBool,
    closing: CancellationToken,
}

impl Shared {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            used: AtomicU64::new(0),
            subscriptions: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            closing: CancellationToken::new(),
        }
    }

    /// Takes bytes from the budget, or answers BACKEND_FULL and takes none.
    pub fn reserve(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.settings.max_bytes;
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit))
            .map(drop)
            .map_err(|_| check::full("bytes (max_bytes)", limit))
    }

    /// Takes bytes even beyond the bound, for what may not fail: it moves data that is there already.
    pub fn force(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives bytes back.
    pub fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in use.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// UNAVAILABLE once the backend is closed.
    pub fn open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) { Err(error::closed()) } else { Ok(()) }
    }

    /// Ends what waits, and makes [`open`](Self::open) refuse.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.closing.cancel();
    }

    /// Counts one more stream that stays open, until what it answers is dropped.
    pub fn subscribe(self: &Arc<Self>) -> Result<Subscribed, Error> {
        let limit = self.settings.max_subscriptions;
        let one_more = |count: usize| (count < limit).then_some(count + 1);
        match self.subscriptions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Subscribed(self.clone())),
            Err(_) => Err(error::too_many_subscriptions(limit)),
        }
    }

    /// Waits until the backend is closed, and gives the error that ends what waited.
    pub async fn closed(&self) -> Error {
        self.closing.cancelled().await;
        error::closed()
    }
}

/// One of the streams that [`Shared::subscribe`] counts.
pub struct Subscribed(Arc<Shared>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Locks; data under a lock is never left half changed, so a panic elsewhere doesn't matter.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of attributes.
pub fn attribute_bytes(attributes: &BTreeMap<String, String>) -> u64 {
    attributes.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}
