//! When lanes whose messages could not be published are tried again.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::order::Lane;

/// The pause after the first failure. It doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The lanes that wait for another attempt. There are at most as many as lanes with messages.
#[derive(Default)]
pub struct Retries {
    lanes: HashMap<u64, Retry>,
}

struct Retry {
    failures: u32,
    at: Instant,
}

/// Returns the pause after so many failures in a row.
pub fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

impl Retries {
    /// Forgets the lanes that have no messages any more.
    pub fn keep(&mut self, lanes: &[Lane]) {
        if !self.lanes.is_empty() {
            let known: HashSet<u64> = lanes.iter().map(|lane| lane.id).collect();
            self.lanes.retain(|id, _| known.contains(id));
        }
    }

    /// Whether a lane may be tried.
    pub fn is_due(&self, lane: u64, now: Instant) -> bool {
        self.lanes.get(&lane).is_none_or(|retry| retry.at <= now)
    }

    /// Records a failure of a lane. Returns how many there were in a row.
    pub fn record_failure(&mut self, lane: u64) -> u32 {
        let retry = self.lanes.entry(lane).or_insert(Retry { failures: 0, at: Instant::now() });
        retry.failures = retry.failures.saturating_add(1);
        retry.at = Instant::now() + pause(retry.failures);
        retry.failures
    }

    /// Records that a message of a lane was published.
    pub fn record_success(&mut self, lane: u64) {
        self.lanes.remove(&lane);
    }

    /// Returns when the next lane may be tried.
    pub fn next(&self) -> Option<Instant> {
        self.lanes.values().map(|retry| retry.at).min()
    }
}
