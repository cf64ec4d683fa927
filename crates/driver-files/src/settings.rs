//! The settings of a files backend.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use prism_driver::settings::{CheckSettings, HumanDuration, SettingProblem};

/// Settings of a backend of `type: files`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// The folder, as `./prism-data/blobs`. It is created if it does not exist; otherwise it must be empty, or made by Prism. Its file
    /// system must support locks of files.
    pub path: PathBuf,
    /// Which failures an acknowledged write survives.
    #[serde(default)]
    pub durability: Durability,
    /// How often the remains of interrupted writes are removed, at least 100ms. They are also removed at the start.
    #[serde(default = "default_sweep_interval")]
    pub sweep_interval: HumanDuration<100>,
}

/// Which failures an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A crash of the gateway and a power failure: each write waits for the disk.
    #[default]
    Full,
    /// A crash of the gateway. A power failure may lose or damage the last writes.
    Normal,
}

fn default_sweep_interval() -> HumanDuration<100> {
    HumanDuration::from_millis(600_000)
}

impl CheckSettings for FilesSettings {
    fn check(&self) -> Vec<SettingProblem> {
        if self.path.as_os_str().is_empty() || self.path.to_string_lossy().contains('\0') {
            return vec![SettingProblem::expected("path", "the path of a folder, as ./prism-data/blobs")];
        }
        if self.path.is_file() {
            return vec![SettingProblem::other("path", "is a file; set it to a folder, as ./prism-data/blobs")];
        }
        Vec::new()
    }
}
