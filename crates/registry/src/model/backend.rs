//! Layer two: kinds of backends.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;

/// Whether there is a driver.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum DriverStatus {
    /// The driver is in this source tree.
    Implemented,
    /// A driver is scheduled.
    Planned,
    /// No driver is scheduled.
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
    /// How to connect to it; absent if there is nothing to connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The settings of the backend in the configuration, including the connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// Interfaces that the driver implements.
    #[serde(default)]
    pub implements: Vec<Name>,
    /// Interfaces that the system can carry and no driver implements yet.
    #[serde(default)]
    pub planned: Vec<Name>,
    /// Size limits.
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
    /// An example that works on a developer's machine.
    pub example: Name,
}

/// One setting of a backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Name in the configuration. A nested setting is written with a dot, as `retry.max`.
    pub name: Name,
    /// Type of the value: `string`, `secret`, `integer`, `boolean`, `duration` or `bytes`.
    #[serde(rename = "type")]
    pub kind: SettingType,
    /// Default value; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What it does.
    pub description: String,
}

/// The type of a setting's value.
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

/// The size limits of a backend. An absent limit is the gateway's own.
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
