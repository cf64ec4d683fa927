//! Where the configuration comes from, and what it is checked against.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use prism_registry::Registry;

/// Looked for in the working directory when no file is named.
pub const DEFAULT_FILE: &str = "prism.yaml";

/// Where the configuration comes from. Flags count more than variables, these more than the file, and this more than defaults.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file; `None`: the embedded configuration.
    pub file: Option<PathBuf>,
    /// Environment variables: for `PRISM_…` and for `${env:…}`.
    pub variables: Variables,
    /// Options of the command line that stand for settings.
    pub flags: Vec<Flag>,
}

impl Source {
    /// The named file, else [`DEFAULT_FILE`] if it is there, else the embedded configuration; with the variables of this process.
    pub fn find(file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into()));
        let variables = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, variables: Variables(variables.collect()), flags: Vec::new() }
    }

    /// The same with an option of the command line, if it was given.
    #[must_use]
    pub fn with_flag(mut self, name: &str, setting: &str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| Flag { name: name.to_owned(), setting: setting.to_owned(), value }));
        self
    }
}

/// Environment variables. Their values are not in the debug text: they may be secrets.
#[derive(Clone, Default)]
pub struct Variables(pub BTreeMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An option of the command line that stands for a setting.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As `--listen`.
    pub name: String,
    /// Path of the setting, as `listeners.main.address`.
    pub setting: String,
    /// What it says.
    pub value: String,
}

/// What a configuration is checked against.
#[derive(Debug)]
pub struct Known<'a> {
    /// Patterns with their slots, and kinds of backends with their interfaces.
    pub registry: &'a Registry,
    /// The drivers of this build.
    pub drivers: Vec<Driver>,
    /// The definitions of frontends that come with it.
    pub definitions: Vec<Definition>,
}

impl Known<'_> {
    pub(super) fn driver(&self, kind: &str) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.kind == kind)
    }
}

/// A definition of a frontend that comes with this build.
#[derive(Clone, Debug)]
pub struct Definition {
    /// What bindings call it.
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
}

/// Name of the variable that stands for a setting: `listeners.main.address` → `PRISM_LISTENERS_MAIN_ADDRESS`.
pub fn variable(setting: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("PRISM_{}", setting.chars().map(upper).collect::<String>())
}
