//! The settings of a memory backend.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::settings::{ByteSize, CheckSettings, Count, SettingProblem};

/// Settings of a backend of `type: memory`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Most bytes of keys, values and messages. Each entry counts with 128 bytes more, for its overhead. When the backend is full,
    /// writes fail with `RESOURCE_EXHAUSTED BACKEND_FULL`.
    pub max_bytes: ByteSize,
    /// Most open interactive transactions of one keyspace.
    pub max_transactions: Count,
    /// Most open subscriptions, watches and members of consumer groups.
    pub max_subscriptions: Count,
    /// Messages that a subscription buffers. After that it drops new messages and reports a gap. It also does so when its messages take
    /// one sixteenth of `max_bytes`, so that one slow subscriber can't fill the backend.
    pub subscription_buffer: Count<1_000_000>,
    /// Changes of a keyspace that are kept for watches, from the first watch on. They may take one sixteenth of `max_bytes`. A watch that
    /// is further behind gets a gap, and all entries again.
    pub watch_history: Count<1_000_000>,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::new(256 << 20),
            max_transactions: Count::new(1000),
            max_subscriptions: Count::new(10_000),
            subscription_buffer: Count::new(1024),
            watch_history: Count::new(10_000),
        }
    }
}

impl CheckSettings for MemorySettings {
    /// The types of the fields check everything.
    fn check(&self) -> Vec<SettingProblem> {
        Vec::new()
    }
}
