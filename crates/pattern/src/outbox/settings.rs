//! The settings of an outbox.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::messaging::model::Model;
use prism_settings::{Count, HumanDuration, SettingProblem};

/// Most messages that one transaction can publish, so a backlog of fewer would refuse some transactions for ever.
const MIN_BACKLOG: u32 = 128;

/// How messages of transactions are published to the slot `messaging`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxSettings {
    /// What a topic is in the slot `messaging`: `stream`, `queue` or `pubsub`. Default: the first one that the backend has.
    pub model: Option<Model>,
    /// Most messages that wait to be published, 128 or more. Transactions with more messages are refused while there are so many.
    pub max_backlog: Count<100_000>,
    /// How long other gateways wait for the gateway that publishes, if it is killed; 1s to 5m.
    pub lease: HumanDuration<1000>,
    /// How often the gateway that publishes looks for messages of other gateways, at most every 10s. It knows of its own at once.
    pub poll_interval: HumanDuration<1>,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            model: None,
            max_backlog: Count::new(10_000),
            lease: HumanDuration::from_millis(5000),
            poll_interval: HumanDuration::from_millis(20),
        }
    }
}

impl OutboxSettings {
    /// Returns the problems of settings that are in the section `outbox`.
    pub fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if *self.max_backlog < MIN_BACKLOG {
            problems.push(SettingProblem::expected("outbox.max_backlog", "at least 128"));
        }
        if *self.lease > Duration::from_mins(5) {
            problems.push(SettingProblem::expected("outbox.lease", "at most 5m"));
        }
        if *self.poll_interval > Duration::from_secs(10) {
            problems.push(SettingProblem::expected("outbox.poll_interval", "at most 10s"));
        }
        problems
    }
}
