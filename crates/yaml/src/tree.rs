//! YAML as a tree with positions.
//!
//! Deserialization into types stops at the first problem. From a tree, all problems can be reported.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::problem::{Position, Problem};

/// Most levels of nested values. Each level takes much stack during parsing.
const MAX_DEPTH: usize = 40;

/// Most values of a document. Files are limited in bytes, so this limit matters only for aliases, which repeat values.
const MAX_NODES: usize = 4_000_000;

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where the value begins.
    pub position: Position,
}

/// A key of a mapping and its position.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where the key is.
    pub position: Position,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub enum Value {
    /// Empty, or `null`.
    Null,
    /// `true` or `false`; `yes` and `off` are texts.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// Any other single value.
    Text(String),
    /// Items in their order.
    List(Vec<Node>),
    /// Entries in their order.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// Returns the value of a key, or `None` if this is not a mapping or has no such key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(known, _)| known.name == key).map(|(_, node)| node)
    }

    /// Returns the text, or `None` if this is not a text.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Converts the tree to JSON, without positions.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect(),
        }
    }
}

impl Value {
    /// Returns the kind of the value with an article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses a document. A duplicate key is a problem, and the first value counts. The tree of a text that is not YAML is empty.
pub fn parse(text: &str) -> (Node, Vec<Problem>) {
    let read = |duplicate_keys| {
        let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_events: 4 * MAX_NODES };
        let options = serde_saphyr::options! { strict_booleans: true, duplicate_keys: duplicate_keys, budget: budget };
        serde_saphyr::from_str_with_options::<Option<Node>>(text, options)
    };
    let mut errors = Vec::new();
    let node = read(DuplicateKeyPolicy::Error).or_else(|error| {
        let repeated = matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. });
        errors.push(error);
        if repeated { read(DuplicateKeyPolicy::FirstWins).map_err(|error| errors.push(error)) } else { Err(()) }
    });
    let node = node.ok().flatten().unwrap_or(Node { value: Value::Null, position: Position::WHOLE_FILE });
    (node, errors.iter().map(problem).collect())
}

fn problem(error: &serde_saphyr::Error) -> Problem {
    let position = error.location().map_or(Position::WHOLE_FILE, position);
    let message = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` stands here a second time; remove one of the two")
        }
        error => {
            let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The position is printed in front of the problem. The parser repeats it at the end of its message.
            format!("this is no YAML: {}", text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message))
        }
    };
    Problem { position, message }
}

fn position(location: Location) -> Position {
    Position::File { line: location.line(), column: location.column() }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value, position: position(referenced) })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { name: value, position: position(referenced) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("numbers have to be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let (node, problems) = parse("a: {b: [1, off]}\nc:\n  d: 30s\n");
        assert_eq!(problems, []);
        let Value::Map(top) = node.value else { panic!("a mapping") };
        assert_eq!(top[1].0.position, Position::File { line: 2, column: 1 });
        let Value::Map(inner) = &top[0].1.value else { panic!("a mapping") };
        let Value::List(list) = &inner[0].1.value else { panic!("a list") };
        assert_eq!(list[1].position, Position::File { line: 1, column: 12 });
        assert!(matches!(&list[1].value, Value::Text(text) if text == "off"), "`off` is no boolean");
        let Value::Map(inner) = &top[1].1.value else { panic!("a mapping") };
        assert_eq!(
            (&inner[0].0.position, &inner[0].1.position),
            (&Position::File { line: 3, column: 3 }, &Position::File { line: 3, column: 6 })
        );
    }

    #[test]
    fn broken_yaml_and_duplicate_keys_have_positions() {
        let (node, problems) = parse("a: 1\nb: 2\na: 3\n");
        assert_eq!(
            problems,
            [Problem {
                position: Position::File { line: 3, column: 1 },
                message: "`a` stands here a second time; remove one of the two".into()
            }]
        );
        assert!(matches!(node.value, Value::Map(map) if map.len() == 2), "the rest is read all the same");
        for (text, line, message) in [
            ("a: b: c", 1, "this is no YAML: mapping values are not allowed in this context"),
            ("a: 1\n---\nb: 2", 3, "this is no YAML: only single YAML document expected but multiple found"),
        ] {
            let problems = parse(text).1;
            assert_eq!(problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), [message]);
            assert!(matches!(problems[0].position, Position::File { line: at, .. } if at == line));
        }
        assert_eq!(parse("a: 1\na: [}\n").1.len(), 2);
        let (node, problems) = parse("# nothing\n");
        assert_eq!(problems, []);
        assert!(matches!(node.value, Value::Null));
    }
}
