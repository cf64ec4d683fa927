//! The settings of the pattern.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::messaging::{delays::check_delays, model::Model};
use prism_settings::{ByteSize, CheckSettings, Count, HumanDuration, SettingProblem};
use prism_slot::time;

/// Settings of a namespace with the pattern `multicast-registry`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MulticastRegistrySettings {
    /// What delivers messages: `pubsub` (live topics), `queue` (one for each identity) or `stream` (one for all). Default: the first of them that
    /// the backend in the slot `messaging` has.
    pub model: Option<Model>,
    /// Messages of one Multicast that are on their way at the same time, 1 to 1024.
    pub concurrency: Count<1024>,
    /// Most bytes of a registration with its metadata and tags.
    pub max_registration_size: ByteSize<256>,
    /// How long a message waits in a queue for its identity until it is dead, or stays in the stream.
    pub retention: HumanDuration<1000>,
    /// Deliveries after which a message of a queue is dead, 1 to 1000.
    pub max_attempts: Count<1000>,
    /// How long a receiver has a message of a queue if it does not say so itself, 1s to 12h.
    pub lease_duration: HumanDuration<1000>,
    /// How often messages are looked for that wait for identities that are no longer registered. They are set aside as dead.
    pub sweep_interval: HumanDuration<1000>,
}

impl Default for MulticastRegistrySettings {
    fn default() -> Self {
        Self {
            model: None,
            concurrency: Count::new(64),
            max_registration_size: ByteSize::new(16 << 10),
            retention: HumanDuration::from_millis(24 * 60 * 60 * 1000),
            max_attempts: Count::new(5),
            lease_duration: HumanDuration::from_millis(30_000),
            sweep_interval: HumanDuration::from_millis(60_000),
        }
    }
}

impl CheckSettings for MulticastRegistrySettings {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = check_delays(*self.lease_duration, std::time::Duration::ZERO, std::time::Duration::ZERO);
        if *self.retention > time::MAX_TTL {
            problems.push(SettingProblem::expected("retention", "at most 100 years"));
        }
        problems
    }
}
