//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::messaging::{model::Model, payloads::PayloadSettings};
use prism_settings::{CheckSettings, HumanDuration};

/// Settings of a namespace with the pattern `producer`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProducerSettings {
    /// What a topic is: `stream`, `queue` or `pubsub`. Default: the first one that the backend has.
    pub model: Option<Model>,
    /// How long the slot `ids` keeps the id of a message, so that a second message with it is not published.
    pub retention: HumanDuration<1000>,
    /// The payloads in the slot `payloads`.
    pub payloads: PayloadSettings,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self { model: None, retention: HumanDuration::from_millis(86_400_000), payloads: PayloadSettings::default() }
    }
}

impl CheckSettings for ProducerSettings {}
