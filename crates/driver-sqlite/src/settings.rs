//! What the configuration may say about a SQLite backend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_call::Error;
use prism_driver::duration::HumanDuration;

const MIN_BYTES: u64 = 1 << 20;
const MAX_READERS: u32 = 64;

/// Settings of a backend of the kind `sqlite`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database file, as `./prism-data/prism.db`. It and its folder are made when they are missing. SQLite keeps two
    /// more files beside it, with `-wal` and `-shm` behind the name.
    pub path: PathBuf,
    /// What an answered write survives.
    #[serde(default)]
    pub durability: Durability,
    /// Most bytes of the database file, at least 1048576; beyond it, writes answer `RESOURCE_EXHAUSTED BACKEND_FULL`. Absent =
    /// as much as the disk has.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Connections that read side by side, 1 to 64. Writes go through one connection of their own.
    #[serde(default = "default_readers")]
    pub readers: u32,
    /// How long to wait for another process that has locked the file.
    #[serde(default = "default_busy_timeout")]
    pub busy_timeout: HumanDuration,
    /// How often expired keys and records that retention no longer keeps are removed from the file, at least 100ms. Nobody
    /// sees an expired key in the meantime.
    #[serde(default = "default_sweep_interval")]
    pub sweep_interval: HumanDuration,
}

/// What an answered write survives.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The gateway's crash and a power failure: each commit waits for the disk.
    #[default]
    Full,
    /// The gateway's crash. A power failure may lose the last commits, never tear one.
    Normal,
}

fn default_readers() -> u32 {
    4
}

fn default_busy_timeout() -> HumanDuration {
    HumanDuration::from_millis(5000)
}

fn default_sweep_interval() -> HumanDuration {
    HumanDuration::from_millis(5000)
}

impl Settings {
    /// Checks what the types alone don't.
    pub fn check(self) -> Result<Self, Error> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::invalid("path", "must name a file, as ./prism-data/prism.db"));
        }
        if self.max_bytes.is_some_and(|bytes| bytes < MIN_BYTES) {
            return Err(Error::invalid("max_bytes", format!("must be at least {MIN_BYTES}")));
        }
        if self.readers == 0 || self.readers > MAX_READERS {
            return Err(Error::invalid("readers", format!("must be 1 to {MAX_READERS}")));
        }
        if self.sweep_interval.as_millis() < 100 {
            return Err(Error::invalid("sweep_interval", "must be at least 100ms"));
        }
        Ok(self)
    }
}
