//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_settings::{CheckSettings, HumanDuration};

/// Settings of a namespace with the pattern `event-sourcing`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventSourcingSettings {
    /// How often a gateway with subscribers looks for events that other gateways have appended. With the slot `notifications`, it learns of them at once.
    pub poll_interval: HumanDuration<10>,
}

impl Default for EventSourcingSettings {
    fn default() -> Self {
        Self { poll_interval: HumanDuration::from_millis(500) }
    }
}

impl CheckSettings for EventSourcingSettings {}
