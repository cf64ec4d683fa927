//! What all keyspaces of a memory backend share: the bound on its bytes, and whether it is closed.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{error, settings::Settings};
use crate::{call::Error, driver::common::check};

/// Bytes that are counted for each stored thing on top of its keys and values, so that many empty ones fill it too.
pub const OVERHEAD: u64 = 128;

/// Shared by everything in one backend.
pub struct Shared {
    pub settings: Settings,
    used: AtomicU64,
    closed: AtomicBool,
}

impl Shared {
    pub fn new(settings: Settings) -> Self {
        Self { settings, used: AtomicU64::new(0), closed: AtomicBool::new(false) }
    }

    /// Takes bytes from the budget, or answers BACKEND_FULL and takes none.
    pub fn reserve(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.settings.max_bytes;
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit))
            .map(drop)
            .map_err(|_| check::full("bytes (max_bytes)", limit))
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

    /// Makes [`open`](Self::open) refuse.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Locks; data under a lock is never left half changed, so a panic elsewhere doesn't matter.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
