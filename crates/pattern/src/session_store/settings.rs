//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::outbox::OutboxSettings;
use prism_settings::{ByteSize, CheckSettings, HumanDuration, SettingProblem};
use prism_slot::time;

/// Settings of a namespace with the pattern `session-store`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionStoreSettings {
    /// How long a session lives without use, unless it is created with another time; at most `lifetime`.
    pub idle_timeout: HumanDuration<1000>,
    /// How long a session lives at most.
    pub lifetime: HumanDuration<1000>,
    /// How long the token before a rotation remains valid.
    pub rotation_grace: HumanDuration<0>,
    /// Most bytes of a session with its data.
    pub max_session_size: ByteSize<1024>,
    /// How events of sessions are published to the slot `messaging`.
    pub outbox: OutboxSettings,
}

impl Default for SessionStoreSettings {
    fn default() -> Self {
        Self {
            idle_timeout: HumanDuration::from_millis(30 * 60 * 1000),
            lifetime: HumanDuration::from_millis(24 * 60 * 60 * 1000),
            rotation_grace: HumanDuration::from_millis(10_000),
            max_session_size: ByteSize::new(64 << 10),
            outbox: OutboxSettings::default(),
        }
    }
}

impl CheckSettings for SessionStoreSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if *self.lifetime > time::MAX_TTL {
            problems.push(SettingProblem::expected("lifetime", "at most 100 years"));
        }
        if *self.idle_timeout > *self.lifetime {
            problems.push(SettingProblem::expected("idle_timeout", "at most `lifetime`"));
        }
        problems.extend(self.outbox.check());
        problems
    }
}
