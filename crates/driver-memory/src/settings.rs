//! What the configuration may say about a memory backend.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_call::Error;

/// Settings of a memory backend.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Most bytes of keys, values and messages, each counted with 128 more for what it takes to keep it. Beyond it,
    /// writes answer RESOURCE_EXHAUSTED BACKEND_FULL.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
    /// Most open interactive transactions of one keyspace.
    #[schemars(range(min = 1))]
    pub max_transactions: usize,
    /// Most open subscriptions and members of consumer groups.
    #[schemars(range(min = 1))]
    pub max_subscriptions: usize,
    /// Messages that a subscription buffers before it drops new ones and tells of a gap. It also does so when its messages
    /// have a sixteenth of `max_bytes`, so that one slow subscriber can't fill the backend.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub subscription_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_transactions: 1000, max_subscriptions: 10_000, subscription_buffer: 1024 }
    }
}

impl Settings {
    /// What the schema can't enforce when it is not looked at.
    pub fn check(&self, backend: &str) -> Result<(), Error> {
        let zero = [
            ("max_bytes", self.max_bytes == 0),
            ("max_transactions", self.max_transactions == 0),
            ("max_subscriptions", self.max_subscriptions == 0),
            ("subscription_buffer", self.subscription_buffer == 0),
        ];
        match zero.iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(Error::invalid(format!("backends.{backend}.{name}"), "must be greater than zero")),
            None if self.subscription_buffer > 1_000_000 => {
                Err(Error::invalid(format!("backends.{backend}.subscription_buffer"), "must be at most 1000000"))
            }
            None => Ok(()),
        }
    }
}
