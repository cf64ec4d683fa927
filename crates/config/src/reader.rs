//! Reads a tree setting by setting, and collects all problems.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use super::{
    reference,
    source::{Known, Source, variable},
};
use prism_settings::{parse_duration, parse_size};
use prism_yaml::{Key, Node, Position, Problem, Value, unknown_name};

/// The state that all parts of reading share.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    pub known: &'a Known<'a>,
    problems: RefCell<Vec<Problem>>,
    /// Whether an option or a variable may set something.
    has_overrides: bool,
    /// The names of the options' and environment variables that set something.
    used: RefCell<BTreeSet<String>>,
    /// The names of all variables that can set something, to find misspelled variables. `None`: not recorded, because they are many.
    asked: Option<RefCell<BTreeSet<String>>>,
    /// Where each setting is, by its path.
    positions: RefCell<BTreeMap<String, Position>>,
    /// The files that texts refer to.
    files: RefCell<BTreeSet<PathBuf>>,
}

/// What a reader collected.
pub(super) struct Outcome {
    pub problems: Vec<Problem>,
    /// Names of the variables that set something; also those of options.
    pub used: BTreeSet<String>,
    /// Names of the variables that can set something, if they were recorded.
    pub asked: BTreeSet<String>,
    /// Where each setting is, by its path.
    pub positions: BTreeMap<String, Position>,
    /// The files that texts refer to.
    pub files: BTreeSet<PathBuf>,
}

/// A single value with references resolved.
pub(super) struct Scalar {
    pub value: Value,
    /// The printable form.
    pub shown: String,
    /// Whether the value comes from a reference, a variable or an option. Such values are always texts.
    pub external: bool,
    pub position: Position,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source, known: &'a Known<'a>) -> Self {
        Self {
            source,
            known,
            problems: RefCell::default(),
            has_overrides: !source.flags.is_empty() || source.variables.0.keys().any(|name| name.starts_with("PRISM_")),
            used: RefCell::default(),
            asked: None,
            positions: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Records the names of all variables that can set something.
    pub fn recording_variables(mut self) -> Self {
        self.asked = Some(RefCell::default());
        self
    }

    pub fn problem(&self, position: &Position, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { position: position.clone(), message: message.into() });
    }

    /// Says where a setting is whose name the user chose.
    pub fn set_position(&self, path: String, position: &Position) {
        self.positions.borrow_mut().insert(path, position.clone());
    }

    pub fn finish(self) -> Outcome {
        Outcome {
            problems: self.problems.into_inner(),
            used: self.used.into_inner(),
            asked: self.asked.map(RefCell::into_inner).unwrap_or_default(),
            positions: self.positions.into_inner(),
            files: self.files.into_inner(),
        }
    }

    /// Returns the value of an option or a variable that overrides the setting.
    pub fn override_of(&self, setting: &str) -> Option<Scalar> {
        if !self.has_overrides {
            return None;
        }
        let name = variable(setting);
        let flag = self.source.flags.iter().find(|flag| variable(&flag.setting) == name);
        let found = match flag {
            Some(flag) => Some((flag.name.clone(), &flag.value)),
            None => self.source.variables.0.get(&name).map(|value| (name.clone(), value)),
        };
        if found.is_some() {
            self.used.borrow_mut().insert(name.clone());
        }
        if let Some(asked) = &self.asked {
            asked.borrow_mut().insert(name);
        }
        let (name, value) = found?;
        Some(Scalar { value: Value::Text(value.clone()), shown: value.clone(), external: true, position: Position::Named(name) })
    }

    /// Reads a single value of the file. Reports any other kind of value.
    pub fn scalar(&self, name: &str, node: &Node) -> Option<Scalar> {
        let shown = match &node.value {
            Value::Null => return None,
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::Text(text) => match reference::expand(text, &self.source.variables) {
                Ok(None) => text.clone(),
                Ok(Some(expanded)) => {
                    self.files.borrow_mut().extend(reference::files(text).map(PathBuf::from));
                    let value = Value::Text(expanded);
                    return Some(Scalar { value, shown: text.clone(), external: true, position: node.position.clone() });
                }
                Err(problems) => {
                    for problem in problems {
                        self.problem(&node.position, format!("`{name}`: {problem}"));
                    }
                    return None;
                }
            },
            other => {
                self.problem(&node.position, format!("`{name}` must be a single value, not {}", other.kind()));
                return None;
            }
        };
        Some(Scalar { value: node.value.clone(), shown, external: false, position: node.position.clone() })
    }

    /// Returns the entries of a mapping. Reports any other kind of value.
    pub fn entries<'n>(&self, name: &str, node: &'n Node) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let what = if name.is_empty() { "the configuration".to_owned() } else { format!("`{name}`") };
                self.problem(&node.position, format!("{what} must be a mapping, not {}", other.kind()));
                &[]
            }
        }
    }
}

/// A mapping with fixed keys. Keys that are never read are unknown.
pub(super) struct Section<'r, 'a> {
    pub reader: &'r Reader<'a>,
    /// Path of the section, as `listeners.main`. Empty for the whole file.
    pub path: String,
    /// Where the name of the section is.
    pub position: Position,
    entries: &'r [(Key, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 'a> Section<'r, 'a> {
    /// Creates a section. Without a node, its settings can only come from variables and options.
    pub fn new(reader: &'r Reader<'a>, path: String, position: &Position, node: Option<&'r Node>) -> Self {
        let name = path.rsplit('.').next().unwrap_or_default();
        let entries = node.map_or(&[][..], |node| reader.entries(name, node));
        reader.positions.borrow_mut().insert(path.clone(), position.clone());
        Self { reader, path, position: position.clone(), entries, asked: RefCell::default() }
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Returns the value of a key, and the position of the key.
    pub fn node(&self, key: &'static str) -> Option<(&'r Node, &'r Position)> {
        self.asked.borrow_mut().push(key);
        let (found, node) = self.entries.iter().find(|(found, _)| found.name == key)?;
        (!matches!(node.value, Value::Null)).then_some((node, &found.position))
    }

    /// Returns the position of a key, or of the section if there is no such key.
    pub fn position_of(&self, key: &str) -> &Position {
        self.entries.iter().find(|(found, _)| found.name == key).map_or(&self.position, |(found, _)| &found.position)
    }

    /// Returns a section inside this section.
    pub fn section(&self, key: &'static str) -> Section<'r, 'a> {
        let found = self.node(key);
        let position = found.map_or(&self.position, |(_, position)| position);
        Section::new(self.reader, self.path_of(key), position, found.map(|(node, _)| node))
    }

    /// Returns the entries of a mapping whose keys are names that the user chose.
    pub fn entries(&self, key: &'static str) -> Option<&'r [(Key, Node)]> {
        let (node, _) = self.node(key)?;
        let entries = self.reader.entries(key, node);
        for (name, _) in entries {
            check_name(self.reader, key, &name.name, &name.position);
        }
        Some(entries)
    }

    /// Returns the items of a list.
    pub fn list(&self, key: &'static str) -> Option<&'r [Node]> {
        let (node, _) = self.node(key)?;
        match &node.value {
            Value::List(items) => Some(items),
            other => {
                self.reader.problem(&node.position, format!("`{key}` must be a list, not {}", other.kind()));
                Some(&[])
            }
        }
    }

    /// Reads a list of texts with their positions. In a variable, they are separated by commas.
    pub fn texts(&self, key: &'static str) -> Option<Vec<(String, Position)>> {
        let reader = self.reader;
        let foreign = reader.override_of(&self.path_of(key));
        let items = self.list(key);
        Some(match (foreign, items) {
            (Some(scalar), _) => {
                let text = if let Value::Text(text) = scalar.value { text } else { String::new() };
                text.split(',').map(|item| (item.trim().to_owned(), scalar.position.clone())).collect()
            }
            (None, Some(items)) => {
                let scalars = items.iter().filter_map(|node| reader.scalar(key, node));
                scalars.map(|scalar| (if let Value::Text(text) = scalar.value { text } else { scalar.shown }, scalar.position)).collect()
            }
            (None, None) => return None,
        })
    }

    pub fn scalar(&self, key: &'static str) -> Option<Scalar> {
        let (node, path) = (self.node(key), self.path_of(key));
        let scalar = self.reader.override_of(&path).or_else(|| self.reader.scalar(key, node?.0))?;
        self.reader.positions.borrow_mut().insert(path, scalar.position.clone());
        Some(scalar)
    }

    /// Returns the parsed value. If `parse` returns `None`, `expected` completes the message.
    pub fn parsed<T>(&self, key: &'static str, expected: impl Display, parse: impl FnOnce(&str) -> Option<T>) -> Option<(T, Position)> {
        let scalar = self.scalar(key)?;
        let text = match &scalar.value {
            Value::Text(text) => text.clone(),
            _ => scalar.shown.clone(),
        };
        let value = parse(&text);
        if value.is_none() {
            self.reader.problem(&scalar.position, format!("`{key}` must be {expected}, not `{}`", scalar.shown));
        }
        Some((value?, scalar.position))
    }

    pub fn text(&self, key: &'static str) -> Option<(String, Position)> {
        let scalar = self.scalar(key)?;
        match scalar.value {
            Value::Text(text) if !text.is_empty() => Some((text, scalar.position)),
            Value::Text(_) => {
                self.reader.problem(&scalar.position, format!("`{key}` must not be empty; leave it out instead"));
                None
            }
            other => {
                let (kind, shown) = (other.kind(), &scalar.shown);
                self.reader.problem(&scalar.position, format!("`{key}` must be text, not {kind}; write \"{shown}\" in quotes"));
                None
            }
        }
    }

    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, "a duration such as 100ms, 30s or 5m", parse_duration).map(|(value, _)| value)
    }

    pub fn size(&self, key: &'static str) -> Option<u64> {
        let positive = |text: &str| parse_size(text).filter(|size| *size > 0);
        self.parsed(key, "a size such as 64KiB or 4MiB, greater than 0", positive).map(|(value, _)| value)
    }

    pub fn count(&self, key: &'static str) -> Option<u32> {
        let positive = |text: &str| text.parse().ok().filter(|count| *count > 0);
        self.parsed(key, "a whole number greater than 0", positive).map(|(value, _)| value)
    }

    pub fn address(&self, key: &'static str) -> Option<(SocketAddr, Position)> {
        let parse = |text: &str| text.replace("localhost:", "127.0.0.1:").parse().ok();
        self.parsed(key, "IP:PORT, as 127.0.0.1:8980, or 0.0.0.0:8980 for all interfaces", parse)
    }

    /// Reads one of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let scalar = self.scalar(key)?;
        let found = choices.iter().find(|(name, _)| matches!(&scalar.value, Value::Text(text) if text == name));
        if found.is_none() {
            let message = unknown_name(key, &scalar.shown, choices.iter().map(|(name, _)| *name));
            self.reader.problem(&scalar.position, message);
        }
        found.map(|(_, value)| *value)
    }

    /// Reports the keys that were never read.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries {
            if !asked.contains(&key.name.as_str()) {
                let mut known = asked.clone();
                known.sort_unstable();
                known.dedup();
                self.reader.problem(&key.position, unknown_name("setting", &key.name, known));
            }
        }
    }
}

/// Checks a name. Names are parts of URLs, variables and metrics, so their characters are restricted.
pub(super) fn check_name(reader: &Reader<'_>, what: &str, name: &str, position: &Position) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(plain) {
        let rule = "a lower-case letter, then letters, digits, `-` and `_`, at most 63 characters";
        reader.problem(position, format!("`{name}` can't be a name in `{what}`: {rule}"));
    }
}
