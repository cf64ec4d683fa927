//! When a history must be renewed, so that it does not end while it is watched.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::lock::lock;

/// How often a history is renewed while it is watched: a fraction of the time after which it ends.
const RENEWAL: Duration = Duration::from_mins(10);

/// When a history was renewed last.
#[derive(Debug, Default)]
pub struct Renewal(Mutex<Option<Instant>>);

impl Renewal {
    /// The history was renewed now.
    pub fn renewed(&self) {
        *lock(&self.0) = Some(Instant::now());
    }

    /// Whether the history must be renewed.
    pub fn is_due(&self) -> bool {
        lock(&self.0).is_none_or(|last| last.elapsed() >= RENEWAL)
    }

    /// Waits for something, at most until the next renewal may be due.
    pub async fn before_due(&self, something: impl Future<Output = ()>) {
        // After this time, the caller reads again and finds that it is due.
        let _ = tokio::time::timeout(RENEWAL, something).await;
    }
}
