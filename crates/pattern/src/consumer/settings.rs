//! The settings of the pattern.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::messaging::{
    delays::{backoff, check_delays},
    model::Model,
};
use prism_settings::{CheckSettings, Count, HumanDuration, SettingProblem};

/// Settings of a namespace with the pattern `consumer`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerSettings {
    /// What a topic is: `stream`, `queue` or `pubsub`. Default: a stream if the slot `progress` is filled, otherwise a queue, otherwise
    /// pub/sub, as far as the backend has them.
    pub model: Option<Model>,
    /// Deliveries after which a message is dead, 1 to 1000.
    pub max_attempts: Count<1000>,
    /// How long a consumer has a message if it does not say so itself, 1s to 12h.
    pub lease_duration: HumanDuration<1000>,
    /// Delay after the first delivery that failed. It doubles with each delivery.
    pub retry_delay: HumanDuration,
    /// Longest delay after a delivery that failed, at most 12h.
    pub max_retry_delay: HumanDuration,
    /// Messages of a group that reads a stream that may wait for their acknowledgement, 1 to 10000.
    pub max_in_flight: Count<10_000>,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            model: None,
            max_attempts: Count::new(5),
            lease_duration: HumanDuration::from_millis(30_000),
            retry_delay: HumanDuration::from_millis(1_000),
            max_retry_delay: HumanDuration::from_millis(600_000),
            max_in_flight: Count::new(1_000),
        }
    }
}

impl CheckSettings for ConsumerSettings {
    fn check(&self) -> Vec<SettingProblem> {
        check_delays(*self.lease_duration, *self.retry_delay, *self.max_retry_delay)
    }
}

impl ConsumerSettings {
    /// Returns the delay after a delivery that failed.
    pub fn backoff(&self, attempt: u32) -> Duration {
        backoff(*self.retry_delay, *self.max_retry_delay, attempt)
    }
}
