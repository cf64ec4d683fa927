//! The settings of the pattern.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_journal::JournalOptions;
use prism_settings::{ByteSize, CheckSettings, Count, HumanDuration};

/// Settings of a namespace with the pattern `schema-registry`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaRegistrySettings {
    /// Longest text of a schema, at most 16 MiB. It is shorter if the backend or `limits.max_message_bytes` allow less.
    pub max_schema_bytes: ByteSize<1, 16_777_216>,
    /// Parsed schemas that are kept in memory, 1 to 65536. Compatibility checks and tags need them.
    pub parsed_schemas: Count<65_536>,
    /// Changes between two snapshots, 1 to 65536. A gateway reads the last snapshot and the changes after it when it starts.
    pub snapshot_interval: Count<65_536>,
    /// How long this gateway may still return the schema of an id after another gateway has deleted it permanently.
    pub max_age: HumanDuration,
}

impl Default for SchemaRegistrySettings {
    fn default() -> Self {
        Self {
            max_schema_bytes: ByteSize::new(1 << 20),
            parsed_schemas: Count::new(128),
            snapshot_interval: Count::new(1024),
            max_age: HumanDuration::from_millis(5_000),
        }
    }
}

impl CheckSettings for SchemaRegistrySettings {}

impl SchemaRegistrySettings {
    /// Returns the options of the journal.
    pub fn journal_options(&self) -> JournalOptions {
        let default = JournalOptions::default();
        let (snapshot_entries, max_age) = (u64::from(*self.snapshot_interval), *self.max_age);
        JournalOptions {
            snapshot_entries,
            look_entries: default.look_entries.min(snapshot_entries),
            // The refresh in the background has to be over before reads wait for it.
            touch_age: default.touch_age.min(max_age / 2),
            max_age,
            ..default
        }
    }

    /// Returns the number of parsed schemas in memory.
    pub fn parsed_schemas(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.parsed_schemas.to_usize()).unwrap_or(NonZeroUsize::MIN)
    }
}
