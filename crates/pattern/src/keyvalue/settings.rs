//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::outbox::OutboxSettings;
use prism_settings::{ByteSize, CheckSettings, HumanDuration, SettingProblem};

/// Settings of a namespace with the pattern `keyvalue`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyValueSettings {
    /// How the slot `cache` is used.
    pub cache: CacheSettings,
    /// How messages of transactions are published to the slot `messaging`.
    pub outbox: OutboxSettings,
}

/// How the slot `cache` is used.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// How long a copy is used at most, 1s or more.
    pub ttl: HumanDuration<1000>,
    /// Most bytes of a copy. Larger values are read from the storage each time.
    pub max_value_size: ByteSize<64>,
    /// How long a call waits for the cache, 1ms to 1s, before it goes on without it.
    pub timeout: HumanDuration,
    /// Whether the gateway watches the storage, if that has `keyvalue_watch`, to notice changes by others.
    pub follow_changes: bool,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            ttl: HumanDuration::from_millis(60_000),
            max_value_size: ByteSize::new(1 << 20),
            timeout: HumanDuration::from_millis(250),
            follow_changes: true,
        }
    }
}

impl CheckSettings for KeyValueSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if *self.cache.timeout > std::time::Duration::from_secs(1) {
            problems.push(SettingProblem::expected("cache.timeout", "at most 1s"));
        }
        if *self.cache.ttl > prism_slot::time::MAX_TTL {
            problems.push(SettingProblem::expected("cache.ttl", "at most 100 years"));
        }
        problems.extend(self.outbox.check());
        problems
    }
}
