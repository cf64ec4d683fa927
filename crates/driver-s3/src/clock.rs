//! Revisions of KeyValue.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// The last revision of this gateway.
#[derive(Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Returns a new revision that is greater than `last` and all earlier ones of this gateway.
    pub fn revision(&self, last: u64) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        let next = |known: u64| now.max(last.saturating_add(1)).max(known.saturating_add(1));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| Some(next(known))) {
            Ok(known) | Err(known) => next(known),
        }
    }
}
