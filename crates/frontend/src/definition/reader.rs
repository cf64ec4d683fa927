//! Reads YAML mappings key by key and collects the problems of a file.

use std::cell::RefCell;

use prism_yaml::{Key, Node, Position, Problem, Problems, Value, unknown_name};

/// A file that is being read, with its problems.
#[derive(Debug)]
pub struct SourceFile {
    name: String,
    problems: RefCell<Vec<Problem>>,
}

impl SourceFile {
    /// Creates a file with a name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), problems: RefCell::default() }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a problem.
    pub fn problem(&self, position: &Position, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { position: position.clone(), message: message.into() });
    }

    /// Adds several problems.
    pub fn add(&self, problems: Vec<Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    /// Whether there are no problems so far.
    pub fn is_fine(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// Returns all problems in the order of the file.
    pub fn finish(self) -> Problems {
        let mut list = self.problems.into_inner();
        list.sort_by(|one, other| one.position.cmp(&other.position));
        // Each case of a route reports the problems of its operation.
        let mut before: Vec<Problem> = Vec::new();
        list.retain(|problem| {
            before.retain(|known| known.position == problem.position);
            let repeated = before.contains(problem);
            before.push(problem.clone());
            !repeated
        });
        Problems { file: self.name, list }
    }

    /// Returns the entries of a mapping. Reports a problem if it is something else.
    pub fn entries<'n>(&self, what: &str, node: &'n Node) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.problem(&node.position, format!("{what} must be a mapping, not {}", other.kind()));
                &[]
            }
        }
    }

    /// Returns the items of a list. Reports a problem if it is something else.
    pub fn items<'n>(&self, what: &str, node: &'n Node) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            other => {
                self.problem(&node.position, format!("{what} must be a list, not {}", other.kind()));
                &[]
            }
        }
    }

    /// Returns a text. Reports a problem if it is something else.
    pub fn text<'n>(&self, what: &str, node: &'n Node) -> Option<&'n str> {
        if let Value::Text(text) = &node.value {
            return Some(text);
        }
        self.problem(&node.position, format!("{what} must be a text, not {}", node.value.kind()));
        None
    }

    /// Returns `true` or `false`. Reports a problem if it is something else.
    pub fn boolean(&self, what: &str, node: &Node) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.problem(&node.position, format!("{what} must be true or false, not {}", node.value.kind()));
        None
    }

    /// Returns a whole number in a range. Reports a problem if it is something else.
    pub fn number(&self, what: &str, node: &Node, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let number = if let Value::Number(number) = &node.value { number.as_u64() } else { None };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.problem(&node.position, format!("{what} must be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// Returns the value of one of several words. Reports a problem if it is something else.
    pub fn choice<T: Copy>(&self, what: &str, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(what, node)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            self.problem(&node.position, unknown_name(what, text, choices.iter().map(|(name, _)| *name)));
        }
        found.map(|(_, value)| *value)
    }
}

/// A mapping with fixed keys. Keys that are never read are problems.
pub struct Section<'f, 'n> {
    /// The file.
    pub file: &'f SourceFile,
    what: &'n str,
    /// Where the mapping begins.
    pub position: Position,
    entries: &'n [(Key, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'f, 'n> Section<'f, 'n> {
    /// Creates a section from a node. `what` describes it in problems, such as "the route".
    pub fn new(file: &'f SourceFile, what: &'n str, node: &'n Node) -> Self {
        Self { file, what, position: node.position.clone(), entries: file.entries(what, node), asked: RefCell::default() }
    }

    /// Returns the value of a key, or `None` if it is missing or `null`.
    pub fn get(&self, key: &'static str) -> Option<&'n Node> {
        self.given(key).filter(|node| !matches!(node.value, Value::Null))
    }

    /// Returns the value of a key, also if it is `null`.
    pub fn given(&self, key: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|(known, _)| known.name == key).map(|(_, node)| node)
    }

    /// Returns a text.
    pub fn text(&self, key: &'static str) -> Option<&'n str> {
        self.file.text(&format!("`{key}`"), self.get(key)?)
    }

    /// Returns a required text.
    pub fn required(&self, key: &'static str, example: &str) -> Option<&'n str> {
        let found = self.get(key);
        if found.is_none() {
            self.file.problem(&self.position, format!("{} needs `{key}`, such as {example}", self.what));
        }
        self.file.text(&format!("`{key}`"), found?)
    }

    /// Returns the value of one of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.file.choice(key, self.get(key)?, choices)
    }

    /// Reports the keys that were never read, except extensions (`x-…`).
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries {
            if !asked.contains(&key.name.as_str()) && !key.name.starts_with("x-") {
                let mut known: Vec<&str> = Vec::new();
                for key in asked.iter() {
                    if !known.contains(key) {
                        known.push(key);
                    }
                }
                self.file.problem(&key.position, unknown_name(&format!("key of {}", self.what), &key.name, known));
            }
        }
    }
}
