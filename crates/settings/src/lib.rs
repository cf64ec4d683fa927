//! Settings of backends and patterns, and checks that other settings share.
//!
//! A driver or a pattern describes its settings with one struct. The types of the fields ([`HumanDuration`], [`ByteSize`], [`Count`], [`Secret`])
//! hold the units and the ranges, so the struct is the parser, the JSON Schema for editors and the documentation. What the types can't
//! express, such as combinations of settings and files, is checked by [`CheckSettings::check`].

mod count;
mod duration;
mod parse;
mod problem;
mod secret;
mod size;
mod unit;
mod url;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use count::Count;
pub use duration::HumanDuration;
pub use problem::{ProblemKind, SettingProblem};
pub use secret::Secret;
pub use size::ByteSize;
pub use unit::{format_duration, format_size, parse_duration, parse_size};
pub use url::{is_server_url, without_user_info};

/// The settings of one backend, as the configuration has them. A driver parses them into its own struct.
#[derive(Clone)]
pub struct BackendSettings {
    /// Name of the backend, as `redis-main`.
    pub name: String,
    /// Everything except `type`. References to secrets are resolved.
    pub values: Map<String, Value>,
}

/// Shows only the names of the values, because values may be secrets.
impl fmt::Debug for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendSettings").field("name", &self.name).field("values", &self.values.keys().collect::<Vec<_>>()).finish()
    }
}

impl BackendSettings {
    /// Parses and checks the settings without connecting. The error has every problem.
    pub fn parse<T: CheckSettings>(&self) -> Result<T, Vec<SettingProblem>> {
        parse_settings(&self.values)
    }
}

/// The settings of one kind of backend, or of one pattern.
pub trait CheckSettings: DeserializeOwned + JsonSchema {
    /// Checks what the types of the fields can't express: combinations of settings, URLs, files. Does not connect.
    fn check(&self) -> Vec<SettingProblem> {
        Vec::new()
    }
}

/// A function that parses and checks settings without connecting. The error has every problem.
pub type SettingsCheck = fn(&Map<String, Value>) -> Result<(), Vec<SettingProblem>>;

/// Parses and checks settings without connecting. The error has every problem.
pub fn parse_settings<T: CheckSettings>(values: &Map<String, Value>) -> Result<T, Vec<SettingProblem>> {
    let (settings, mut problems) = parse::parse::<T>(values);
    // A setting with a wrong value was replaced by its default, so the check would report it only a second time.
    let further = settings.as_ref().map(CheckSettings::check).unwrap_or_default();
    let further = further.into_iter().filter(|one| problems.iter().all(|other| other.setting != one.setting)).collect::<Vec<_>>();
    problems.extend(further);
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems),
    }
}

/// Returns the JSON Schema of settings, for editors and documentation.
pub fn settings_schema<T: CheckSettings>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}
