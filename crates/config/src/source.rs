//! Sources of a configuration, and the data that it is checked against.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use prism_registry::Registry;
use prism_settings::{BackendSettings, SettingProblem, SettingsCheck};

/// The file that is used if no file is given and it exists in the working directory.
pub const DEFAULT_FILE: &str = "prism.yaml";

/// The sources of a configuration. Options override variables, variables override the file, and the file overrides defaults.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file. `None`: the embedded configuration.
    pub file: Option<PathBuf>,
    /// Environment variables, for `PRISM_…` and for `${env:…}`.
    pub variables: Variables,
    /// Command-line options that override settings.
    pub flags: Vec<Flag>,
}

impl Source {
    /// Selects the given file, or [`DEFAULT_FILE`] if it exists, or the embedded configuration. Takes the variables of this process.
    pub fn find(file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into()));
        let variables = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, variables: Variables(variables.collect()), flags: Vec::new() }
    }

    /// Adds a command-line option, if it is given.
    #[must_use]
    pub fn with_flag(mut self, name: &str, setting: &str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| Flag { name: name.to_owned(), setting: setting.to_owned(), value }));
        self
    }
}

/// Environment variables. The debug text does not contain their values, because they may be secrets.
#[derive(Clone, Default)]
pub struct Variables(pub BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A command-line option that overrides a setting.
#[derive(Clone, Debug)]
pub struct Flag {
    /// Name, as `--listen`.
    pub name: String,
    /// Path of the setting, as `listeners.main.address`.
    pub setting: String,
    /// The value.
    pub value: String,
}

/// The data that a configuration is checked against.
#[derive(Debug)]
pub struct Known<'a> {
    /// Patterns with their slots, and kinds of backends with their interfaces.
    pub registry: &'a Registry,
    /// The drivers of this build.
    pub drivers: Vec<Driver>,
    /// The kinds of authenticators of this build.
    pub authenticators: Vec<AuthenticatorKind>,
    /// The settings of a decision point.
    pub decision_point: DecisionPointKind,
    /// The patterns that this build can serve.
    pub patterns: Vec<Pattern>,
    /// The definitions of frontends that are part of this build.
    pub definitions: Vec<Definition>,
}

impl Known<'_> {
    pub(super) fn driver(&self, kind: &str) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.kind == kind)
    }

    pub(super) fn authenticator(&self, kind: &str) -> Option<&AuthenticatorKind> {
        self.authenticators.iter().find(|known| known.name == kind)
    }

    pub(super) fn pattern(&self, name: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| pattern.name == name)
    }
}

/// A definition of a frontend that is part of this build.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The name in bindings.
    pub name: String,
    /// Its YAML.
    pub text: String,
}

/// A driver of this build.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Name of its kind, as `sqlite`.
    pub kind: String,
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
    /// Parses and checks the settings of a backend without connecting. The error has every problem.
    pub check: fn(&BackendSettings) -> Result<(), Vec<SettingProblem>>,
}

/// A kind of authenticator of this build.
#[derive(Clone, Debug)]
pub struct AuthenticatorKind {
    /// As `api-key`.
    pub name: String,
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
    /// Parses and checks the settings. The error has every problem.
    pub check: SettingsCheck,
}

/// The kind of decision points of this build.
#[derive(Clone, Debug)]
pub struct DecisionPointKind {
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
    /// Parses and checks the settings. The error has every problem.
    pub check: SettingsCheck,
}

/// A pattern that this build can serve.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As `keyvalue`.
    pub name: String,
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
    /// Parses and checks the settings of a namespace. The error has every problem.
    pub check: SettingsCheck,
}

/// Returns the name of the variable that overrides a setting: `listeners.main.address` → `PRISM_LISTENERS_MAIN_ADDRESS`.
pub fn variable(setting: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("PRISM_{}", setting.chars().map(upper).collect::<String>())
}
