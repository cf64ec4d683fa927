//! The settings of a SQLite backend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::settings::{ByteSize, CheckSettings, Count, HumanDuration, SettingProblem};

/// Settings of a backend of `type: sqlite`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteSettings {
    /// The database file, as `./prism-data/prism.db`. The file and its folder are created if they do not exist. SQLite keeps
    /// two more files beside it, whose names end with `-wal` and `-shm`, and Prism a file of 1 MiB, `-reserve`, that it gives up so that data can be
    /// removed on a full disk.
    pub path: PathBuf,
    /// Which failures an acknowledged write survives.
    #[serde(default)]
    pub durability: Durability,
    /// Most bytes of the database file, at least 1048576. When it is full, writes fail with `RESOURCE_EXHAUSTED BACKEND_FULL`.
    /// Default: no limit except the disk.
    #[serde(default)]
    pub max_bytes: Option<ByteSize<{ 1 << 20 }>>,
    /// Connections for concurrent reads, 1 to 64. Writes use one more connection.
    #[serde(default = "default_readers")]
    pub readers: Count<64>,
    /// How long to wait for another process that holds a lock on the file.
    #[serde(default = "default_busy_timeout")]
    pub busy_timeout: HumanDuration<0>,
    /// How often expired keys and expired records are deleted from the file, at least 100ms. Expired keys are never visible to clients,
    /// even before that.
    #[serde(default = "default_sweep_interval")]
    pub sweep_interval: HumanDuration<100>,
    /// Most open watches.
    #[serde(default = "default_max_watches")]
    pub max_watches: Count,
    /// Most calls that wait for an element of a list.
    #[serde(default = "default_max_waiting_pops")]
    pub max_waiting_pops: Count,
}

/// Which failures an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A crash of the gateway and a power failure: each commit waits for the disk.
    #[default]
    Full,
    /// A crash of the gateway. A power failure may lose the last commits, but never a part of one.
    Normal,
}

fn default_readers() -> Count<64> {
    Count::new(4)
}

fn default_busy_timeout() -> HumanDuration<0> {
    HumanDuration::from_millis(5000)
}

fn default_sweep_interval() -> HumanDuration<100> {
    HumanDuration::from_millis(5000)
}

fn default_max_watches() -> Count {
    Count::new(10_000)
}

fn default_max_waiting_pops() -> Count {
    Count::new(10_000)
}

impl CheckSettings for SqliteSettings {
    fn check(&self) -> Vec<SettingProblem> {
        if self.path.as_os_str().is_empty() {
            return vec![SettingProblem::expected("path", "the path of a file, as ./prism-data/prism.db")];
        }
        if self.path.is_dir() {
            return vec![SettingProblem::other("path", "is a folder; set it to a file in the folder, as ./prism-data/prism.db")];
        }
        if self.path.to_string_lossy().contains('\0') {
            return vec![SettingProblem::expected("path", "the path of a file without a NUL character")];
        }
        Vec::new()
    }
}
