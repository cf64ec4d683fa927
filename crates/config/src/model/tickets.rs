//! Tickets for event streams.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::serialize::write_duration;
use prism_settings::HumanDuration;

/// Tickets, with which browsers open event streams that need credentials.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Tickets {
    /// Keys that encrypt tickets: random texts of 32 to 1,024 characters, at most 4. The first one makes tickets, and all are accepted, so
    /// that a key can be replaced. Gateways that share clients need the same keys. Default: a random key of each gateway, until its end.
    #[serde(skip_serializing_if = "TicketKeys::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub keys: TicketKeys,
    /// How long a stream may begin with a ticket, from 1s to 10m. The stream itself may last longer.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub lifetime: Duration,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { keys: TicketKeys::default(), lifetime: Duration::from_mins(1) }
    }
}

impl Tickets {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The texts of keys. Printed are the references in the file, and `***` for texts that were written out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TicketKeys(Vec<(String, String)>);

impl TicketKeys {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a key, with the text that may be printed for it.
    pub(crate) fn push(&mut self, key: String, printable: String) {
        self.0.push((key, printable));
    }

    /// Returns the keys. Never print them.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, printable)| printable)).finish()
    }
}

impl Serialize for TicketKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(_, printable)| printable))
    }
}
