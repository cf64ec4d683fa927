//! Layer two: kinds of backends.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;

/// Whether there is a driver.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum DriverStatus {
    /// It is in this source tree.
    Implemented,
    /// It is scheduled.
    Planned,
    /// Nobody has scheduled one.
    None,
}

impl fmt::Display for DriverStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Implemented => "implemented",
            Self::Planned => "planned",
            Self::None => "none",
        })
    }
}

/// `registry/backends/<kind>.yaml`: a kind of backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// As `redis`.
    #[serde(rename = "backend")]
    pub name: Name,
    /// As `Redis`.
    pub title: String,
    /// One sentence or two.
    pub description: String,
    /// Whether there is a driver.
    pub driver: DriverStatus,
    /// How it is reached; absent where there is nothing to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// What stands under the backend in the configuration, the connection included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// Interfaces that the driver implements.
    #[serde(default)]
    pub implements: Vec<Name>,
    /// Interfaces that the system can carry and no driver implements yet.
    #[serde(default)]
    pub planned: Vec<Name>,
    /// Greatest sizes.
    #[serde(default)]
    pub limits: Limits,
}

impl Backend {
    /// Whether its driver implements the interface.
    pub fn implements(&self, interface: &str) -> bool {
        self.implements.iter().any(|name| name == interface)
    }

    /// Whether the system can carry the interface, although no driver implements it yet.
    pub fn plans(&self, interface: &str) -> bool {
        self.planned.iter().any(|name| name == interface)
    }
}

/// Connection strings of a kind of backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The setting that holds it, as `url`.
    pub setting: Name,
    /// For people.
    pub format: String,
    /// Regular expression that every connection string matches.
    pub pattern: Name,
    /// One that works on a developer's machine.
    pub example: Name,
}

/// One setting of a backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// As it is written in the configuration; below another one after a dot, as `retry.max`.
    pub name: Name,
    /// What its value is: `string`, `secret`, `integer`, `boolean`, `duration` or `bytes`.
    #[serde(rename = "type")]
    pub kind: SettingType,
    /// What it is when it is left out; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What it does.
    pub description: String,
}

/// What the value of a setting is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SettingType {
    /// Any text.
    String,
    /// Text that is never printed.
    Secret,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A number with a unit, as `5s`.
    Duration,
    /// A number of bytes.
    Bytes,
}

impl fmt::Display for SettingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::String => "string",
            Self::Secret => "secret",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
        })
    }
}

/// Greatest sizes that a backend takes. Absent: only the gateway's own limits hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_bytes: Option<u64>,
    /// Bytes of a value, a message or a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_bytes: Option<u64>,
    /// Items in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_items: Option<u64>,
}
