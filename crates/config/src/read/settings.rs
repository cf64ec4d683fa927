//! The settings of a backend or of a pattern: references are resolved, variables and options applied, and the driver or the pattern checks
//! the result.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::{
    ResolvedSettings,
    reader::{Reader, Scalar},
    settings::mask_url,
};
use prism_settings::{ProblemKind, SettingProblem};
use prism_yaml::{Key, Node, Position, Value, unknown_name};

/// Where settings are in the file, and what they may be.
pub(super) struct SettingsSource<'s> {
    /// As `backends.cache`.
    pub path: &'s str,
    /// Where the section begins.
    pub position: &'s Position,
    pub entries: &'s [(Key, Node)],
    /// JSON Schema of the settings.
    pub schema: &'s Json,
    /// Keys of the section that are no settings.
    pub others: &'static [&'static str],
}

impl SettingsSource<'_> {
    /// Reads the settings, and reports every problem that `check` finds, with its position.
    pub fn read(&self, reader: &Reader<'_>, check: impl FnOnce(&Map<String, Json>) -> Result<(), Vec<SettingProblem>>) -> ResolvedSettings {
        let mut scalars = Vec::new();
        collect_scalars(self.schema, self.schema, "", &mut scalars);
        let mut settings = SettingsReader { reader, source: self, scalars, origins: BTreeMap::new(), unresolved: Vec::new() };
        let entries = self.entries.iter().filter(|(key, _)| !self.others.contains(&key.name.as_str()));
        let (mut values, mut printable) = settings.read_map(entries, "");
        settings.apply_overrides(&mut values, &mut printable);
        for problem in check(&values).err().unwrap_or_default() {
            settings.report(&problem);
        }
        ResolvedSettings::new(values, printable)
    }
}

/// A setting with a single value, from the schema.
struct ScalarSetting {
    /// As `tls.ca_file`.
    path: String,
    secret: bool,
    /// First sentence of the documentation.
    summary: String,
}

/// Lists the settings that have a single value. Variables and options can set these.
fn collect_scalars(root: &Json, section: &Json, prefix: &str, scalars: &mut Vec<ScalarSetting>) {
    for (name, property) in section["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let target = resolve_reference(root, property);
        if target["properties"].is_object() {
            collect_scalars(root, target, &format!("{path}."), scalars);
        } else if target["type"] != "array" && target["type"] != "object" {
            let summary = property["description"].as_str().map(first_sentence).unwrap_or_default();
            scalars.push(ScalarSetting { path, secret: target["writeOnly"] == true, summary });
        }
    }
}

/// Follows the reference of a property, also of one that may be absent.
fn resolve_reference<'s>(root: &'s Json, property: &'s Json) -> &'s Json {
    let alternatives = property["anyOf"].as_array().into_iter().flatten();
    let reference = std::iter::once(property).chain(alternatives).find_map(|one| one["$ref"].as_str());
    reference.and_then(|path| root.pointer(path.trim_start_matches('#'))).unwrap_or(property)
}

fn first_sentence(text: &str) -> String {
    let line = text.lines().take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    line.split_once(". ").map_or(line.as_str(), |(first, _)| first).trim_end_matches('.').to_owned()
}

/// Where a setting comes from.
struct SettingOrigin {
    key: Position,
    value: Position,
    /// The value for messages: masked, in backticks if it is a single value.
    shown: String,
    is_text: bool,
}

/// A value for the check, and the same for printing.
type Resolved = (Json, Json);

struct SettingsReader<'r, 'a> {
    reader: &'r Reader<'a>,
    source: &'r SettingsSource<'r>,
    scalars: Vec<ScalarSetting>,
    /// By path.
    origins: BTreeMap<String, SettingOrigin>,
    /// Settings whose references lead nowhere. These are reported already.
    unresolved: Vec<String>,
}

impl SettingsReader<'_, '_> {
    fn read_map<'n>(&mut self, entries: impl Iterator<Item = &'n (Key, Node)>, prefix: &str) -> (Map<String, Json>, Map<String, Json>) {
        let (mut values, mut printable) = (Map::new(), Map::new());
        for (key, node) in entries {
            if let Some((value, shown)) = self.read_value(key, node, format!("{prefix}{}", key.name)) {
                values.insert(key.name.clone(), value);
                printable.insert(key.name.clone(), shown);
            }
        }
        (values, printable)
    }

    /// Reads a value. A setting that is null counts as absent.
    fn read_value(&mut self, key: &Key, node: &Node, path: String) -> Option<Resolved> {
        let resolved: Resolved = match &node.value {
            Value::Null => return None,
            Value::Map(entries) => {
                let (values, printable) = self.read_map(entries.iter(), &format!("{path}."));
                (values.into(), printable.into())
            }
            Value::List(items) => {
                let pairs = items.iter().filter_map(|item| self.read_value(key, item, path.clone())).collect::<Vec<_>>();
                let (values, printable): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
                (values.into(), printable.into())
            }
            _ => {
                let Some(scalar) = self.reader.scalar(&key.name, node) else {
                    self.unresolved.push(path);
                    return None;
                };
                return Some(self.resolve_scalar(path, key.position.clone(), scalar));
            }
        };
        let shown = node.value.kind().to_owned();
        self.origins.insert(path, SettingOrigin { key: key.position.clone(), value: node.position.clone(), shown, is_text: false });
        Some(resolved)
    }

    fn resolve_scalar(&mut self, path: String, key: Position, scalar: Scalar) -> Resolved {
        let Scalar { value, shown, external, position } = scalar;
        let secret = self.scalars.iter().any(|scalar| scalar.secret && scalar.path == path);
        let is_text = matches!(value, Value::Text(_));
        let value = Node { value, position: position.clone() }.to_json();
        // References are printed as references. A URL is secret only in its password.
        let masked = if secret && !external && !shown.contains("://") { "***".to_owned() } else { mask_url(&shown) };
        let printable = if secret || is_text { masked.clone().into() } else { value.clone() };
        self.origins.insert(path, SettingOrigin { key, value: position, shown: format!("`{masked}`"), is_text });
        (value, printable)
    }

    /// Variables and options replace the values of the file.
    fn apply_overrides(&mut self, values: &mut Map<String, Json>, printable: &mut Map<String, Json>) {
        let paths = self.scalars.iter().map(|scalar| scalar.path.clone()).collect::<Vec<_>>();
        for path in paths {
            let Some(scalar) = self.reader.override_of(&format!("{}.{path}", self.source.path)) else { continue };
            let (value, shown) = self.resolve_scalar(path.clone(), scalar.position.clone(), hide_variable(scalar));
            insert(values, &path, value);
            insert(printable, &path, shown);
        }
    }

    /// Reports a problem that the check found, at the position of the setting.
    fn report(&self, problem: &SettingProblem) {
        let path = problem.setting.as_str();
        if self.unresolved.iter().any(|unresolved| unresolved == path) {
            return;
        }
        let origin = self.origins.get(path);
        let section = path.rsplit_once('.').and_then(|(section, _)| self.origins.get(section));
        let around = section.map_or(self.source.position, |section| &section.value);
        let (name, at) = (problem.name(), origin.map_or(around, |origin| &origin.value));
        let (position, message) = match (&problem.kind, origin) {
            (ProblemKind::UnknownSetting(known), _) => {
                let others = if section.is_none() { self.source.others } else { &[] };
                let known = others.iter().chain(known).copied().collect::<Vec<_>>();
                (origin.map_or(around, |origin| &origin.key), unknown_name("setting", name, known))
            }
            (ProblemKind::Missing, _) => {
                let summary = self.scalars.iter().find(|scalar| scalar.path == path).map_or("", |scalar| &scalar.summary);
                let hint = if summary.is_empty() { String::new() } else { format!(": {summary}") };
                (around, format!("`{name}` is missing{hint}"))
            }
            (ProblemKind::UnknownChoice(choices), Some(origin)) if origin.shown.starts_with('`') => {
                (at, unknown_name(name, origin.shown.trim_matches('`'), choices.iter().copied()))
            }
            (ProblemKind::Expected(expected), Some(origin)) => {
                let quotes =
                    if expected == "text" && origin.shown.starts_with('`') && !origin.is_text { "; write it in quotes" } else { "" };
                (at, format!("`{name}` must be {expected}, not {}{quotes}", origin.shown))
            }
            (kind, _) => (at, format!("`{name}` {kind}")),
        };
        self.reader.problem(position, message);
    }
}

/// Puts a value at a path, and makes the sections on the way.
fn insert(values: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => drop(values.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            let section = values.entry(section).or_insert_with(|| Map::new().into());
            // A section that is not a mapping is a problem of its own.
            if let Json::Object(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

/// The value of a variable may be a secret, so only the name of the variable is shown. Options of the command line are visible anyway.
fn hide_variable(scalar: Scalar) -> Scalar {
    match &scalar.position {
        Position::Named(name) if !name.starts_with('-') => Scalar { shown: format!("${{env:{name}}}"), ..scalar },
        _ => scalar,
    }
}
