//! Whether a connection is idle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The requests of one connection that have not ended.
#[derive(Clone)]
pub struct Activity(Arc<ActivityState>);

struct ActivityState {
    active: AtomicUsize,
    /// Number of requests so far.
    begun: AtomicUsize,
    opened: Instant,
    /// When the last request ended, in milliseconds since the connection was opened.
    idle_since: AtomicU64,
}

impl Activity {
    /// Creates the state of a new connection.
    pub fn new() -> Self {
        Self(Arc::new(ActivityState {
            active: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            opened: Instant::now(),
            idle_since: AtomicU64::new(0),
        }))
    }

    /// Tells whether no request is in progress.
    pub fn is_idle(&self) -> bool {
        self.0.active.load(Ordering::Relaxed) == 0
    }

    /// Returns the number of requests that have begun.
    pub fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Begins a request.
    pub fn begin(&self) -> ActiveRequest {
        self.0.active.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(self.clone())
    }

    /// Waits until no request was in progress for this time.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let end = self.0.opened + Duration::from_millis(self.0.idle_since.load(Ordering::Relaxed)) + time;
            if self.is_idle() && end <= Instant::now() {
                return;
            }
            sleep_until(end.max(Instant::now() + Duration::from_secs(1).min(time))).await;
        }
    }
}

/// A request in progress, until its response has been sent.
pub struct ActiveRequest(Activity);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let state = &self.0.0;
        let now = u64::try_from(state.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.idle_since.store(now, Ordering::Relaxed);
        state.active.fetch_sub(1, Ordering::Relaxed);
    }
}
