//! When and how often calls are repeated.

use std::time::Duration;

use rand::Rng as _;

use crate::Error;

/// How often a call that can be repeated is tried, and the pauses in between.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Maximum number of attempts, with the first one. 1: calls are not repeated.
    pub attempts: u32,
    /// The pause after the first attempt. It doubles with each attempt.
    pub min_pause: Duration,
    /// Maximum pause.
    pub max_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, min_pause: Duration::from_millis(100), max_pause: Duration::from_secs(2) }
    }
}

impl RetryPolicy {
    /// Returns the pause after an attempt (the first one is 1), or `None` if it was the last one. The pause is random, between half of it
    /// and all of it, so that clients do not come back at the same moment.
    pub(crate) fn pause(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.min_pause.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = doubled.min(self.max_pause).mul_f64(rand::rng().random_range(0.5..=1.0));
        Some(pause.max(error.retry_after().unwrap_or_default().min(self.max_pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn pauses_grow_up_to_the_maximum() {
        let policy = RetryPolicy { attempts: 40, min_pause: Duration::from_millis(100), max_pause: Duration::from_secs(1) };
        let error = Error::new(Code::Unavailable, "", "");
        for (attempt, most) in [(1, 100), (2, 200), (4, 800), (5, 1000), (39, 1000)] {
            let pause = policy.pause(attempt, &error).unwrap();
            assert!(pause >= Duration::from_millis(most / 2) && pause <= Duration::from_millis(most), "{attempt}: {pause:?}");
        }
        assert_eq!(policy.pause(40, &error), None);
    }
}
