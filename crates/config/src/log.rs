//! The section `log` of the configuration.

use schemars::JsonSchema;
use serde::Serialize;

/// The log on standard error.
#[derive(Clone, Debug, Default, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text for people, or JSON for machines.
    pub format: LogFormat,
    /// The lowest level that is logged.
    pub level: LogLevel,
    /// Which calls are logged.
    pub access: AccessLog,
}

/// Text for people, or JSON for machines.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// Failures that should not happen.
    Error,
    /// Conditions that need attention soon.
    Warn,
    /// Information for operators.
    #[default]
    Info,
    /// Information for developers of Prism.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Returns the name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Which calls are logged.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Calls that failed because of Prism or a backend, not because of the client.
    #[default]
    Errors,
    /// All.
    All,
}
