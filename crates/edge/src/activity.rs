//! Whether a connection is idle, and whether its client takes what it gets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

/// Periods in which unsent chunks are counted.
const PERIODS: usize = 4;

/// The requests of one connection that have not ended, and the chunks that its client has not taken.
#[derive(Clone)]
pub struct Activity(Arc<ActivityState>);

struct ActivityState {
    active: AtomicUsize,
    /// Number of requests so far.
    begun: AtomicUsize,
    opened: Instant,
    /// When the last request ended, in milliseconds since the connection was opened.
    idle_since: AtomicU64,
    /// Number of the period. It grows with time.
    period: AtomicUsize,
    /// Chunks that were handed to the connection in each of the last periods, and that are not taken. Without a clock and without a lock,
    /// because every response is counted.
    unsent: [AtomicUsize; PERIODS],
}

impl Activity {
    /// Creates the state of a new connection.
    pub fn new() -> Self {
        Self(Arc::new(ActivityState {
            active: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            opened: Instant::now(),
            idle_since: AtomicU64::new(0),
            period: AtomicUsize::new(0),
            unsent: Default::default(),
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

    /// Counts a chunk until it is dropped.
    pub fn begin_chunk(&self) -> UnsentChunk {
        let period = self.0.period.load(Ordering::Relaxed) % PERIODS;
        if let Some(count) = self.0.unsent.get(period) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        UnsentChunk { activity: self.clone(), period }
    }

    /// Waits until a chunk is unsent for at least this time, and for at most twice that time.
    pub async fn stalled(&self, time: Duration) {
        loop {
            sleep(time).await;
            let period = self.0.period.fetch_add(1, Ordering::Relaxed) + 1;
            // The period before the last one.
            let old = self.0.unsent.get((period + PERIODS - 2) % PERIODS);
            if period >= 2 && old.is_some_and(|old| old.load(Ordering::Relaxed) > 0) {
                return;
            }
        }
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

/// A chunk that was handed to a connection, until its client has taken it.
pub struct UnsentChunk {
    activity: Activity,
    period: usize,
}

impl Drop for UnsentChunk {
    fn drop(&mut self) {
        if let Some(count) = self.activity.0.unsent.get(self.period) {
            count.fetch_sub(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_chunk_that_nobody_takes_stalls_the_connection() {
        let activity = Activity::new();
        let began = std::time::Instant::now();
        let chunk = activity.begin_chunk();
        let taking = async {
            // Chunks that are taken do not count.
            loop {
                drop(activity.begin_chunk());
                sleep(PERIOD / 4).await;
            }
        };
        tokio::select! {
            () = activity.stalled(PERIOD) => {}
            () = taking => {}
        }
        assert!(began.elapsed() >= PERIOD);
        drop(chunk);
        assert!(tokio::time::timeout(PERIOD * 6, activity.stalled(PERIOD)).await.is_err());
    }
}
