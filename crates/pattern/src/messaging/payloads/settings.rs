//! The settings of payloads.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_settings::{ByteSize, HumanDuration};

/// Settings of payloads that are stored in the slot `payloads`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PayloadSettings {
    /// A payload with more bytes is stored in the slot `payloads`, and so is one that is too large for the backend of the messages.
    pub threshold: ByteSize,
    /// Most bytes of a payload that is streamed, at most 5 TiB.
    pub max_size: ByteSize<1, 5_497_558_138_880>,
    /// How long a payload is kept after its message is delivered for the first time. It should be longer than consumers need, and as long as the
    /// backend keeps the messages.
    pub retention: HumanDuration<1000>,
    /// How often payloads that have expired are removed.
    pub sweep_interval: HumanDuration<100>,
}

impl Default for PayloadSettings {
    fn default() -> Self {
        Self {
            threshold: ByteSize::new(256 << 10),
            max_size: ByteSize::new(5 << 30),
            retention: HumanDuration::from_millis(7 * 86_400_000),
            sweep_interval: HumanDuration::from_millis(600_000),
        }
    }
}
