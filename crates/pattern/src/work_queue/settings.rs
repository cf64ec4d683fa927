//! The settings of the pattern.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::messaging::delays::{backoff, check_delays};
use prism_settings::{CheckSettings, Count, HumanDuration, SettingProblem};

/// Settings of a namespace with the pattern `work-queue`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkQueueSettings {
    /// Deliveries after which a job is dead, 1 to 1000.
    pub max_attempts: Count<1000>,
    /// How long a worker has a job if it does not say so itself, 1s to 12h.
    pub lease_duration: HumanDuration<1000>,
    /// Delay after the first delivery that failed. It doubles with each delivery.
    pub retry_delay: HumanDuration,
    /// Longest delay after a delivery that failed, at most 12h.
    pub max_retry_delay: HumanDuration,
    /// How long the slot `results` keeps the id and the result of a job after its last change.
    pub retention: HumanDuration<1000>,
}

impl Default for WorkQueueSettings {
    fn default() -> Self {
        Self {
            max_attempts: Count::new(5),
            lease_duration: HumanDuration::from_millis(30_000),
            retry_delay: HumanDuration::from_millis(1_000),
            max_retry_delay: HumanDuration::from_millis(600_000),
            retention: HumanDuration::from_millis(86_400_000),
        }
    }
}

impl CheckSettings for WorkQueueSettings {
    fn check(&self) -> Vec<SettingProblem> {
        check_delays(*self.lease_duration, *self.retry_delay, *self.max_retry_delay)
    }
}

impl WorkQueueSettings {
    /// Returns the delay after a delivery that failed.
    pub fn backoff(&self, attempt: u32) -> Duration {
        backoff(*self.retry_delay, *self.max_retry_delay, attempt)
    }
}
