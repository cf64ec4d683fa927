//! The setting `retry` of drivers that connect to a server.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_settings::HumanDuration;

/// Pauses between attempts to connect. Each is twice the previous one, reduced by a random part of up to one half.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first pause.
    pub min: HumanDuration,
    /// The longest pause.
    pub max: HumanDuration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: HumanDuration::from_millis(50), max: HumanDuration::from_millis(1_000) }
    }
}

impl Retry {
    /// Returns the pause after a failed attempt, if `failures` attempts in a row failed before it: exponential backoff. A random part of up
    /// to one half is left out, so that many gateways don't connect at the same time.
    pub fn pause(&self, failures: u32) -> Duration {
        let longest = (*self.max).max(*self.min);
        let full = self.min.saturating_mul(1 << failures.min(16)).min(longest);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry { min: HumanDuration::from_millis(100), max: HumanDuration::from_millis(1_000) };
        for (failures, most) in [(0, 100), (1, 200), (3, 800), (4, 1_000), (u32::MAX, 1_000)] {
            let pause = retry.pause(failures);
            assert!((most / 2..=most).contains(&pause.as_millis()), "{failures}: {pause:?}");
        }
        // A longest pause that is shorter than the first one does not count.
        let retry = Retry { min: HumanDuration::from_millis(100), max: HumanDuration::from_millis(1) };
        assert!(retry.pause(5).as_millis() >= 50);
    }
}
