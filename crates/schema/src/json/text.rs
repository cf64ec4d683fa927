//! Parses and prints JSON texts. Numbers keep their digits, and members keep their order.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::Value;

use crate::{InvalidSchema, text::hold_json};

/// The maximum length of a schema text in bytes.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// The maximum nesting of objects and lists. A property takes two levels, `properties` and its own schema.
pub const MAX_NESTING: usize = 127;

/// Parses JSON. Errors have line and column.
pub fn parse_json(text: &str) -> Result<Value, InvalidSchema> {
    if text.len() > MAX_TEXT {
        return Err(InvalidSchema::new(format!(
            "the schema has {} bytes, and at most {MAX_TEXT} are allowed; split it by references",
            text.len()
        )));
    }
    hold_json(text)?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        if message.starts_with("recursion limit") {
            return InvalidSchema::new(format!(
                "line {} column {}: objects and lists are nested deeper than {MAX_NESTING} levels (a property takes two: `properties` and \
                 its schema); move inner schemas to `definitions` or `$defs`, and refer to them by `$ref`",
                error.line(),
                error.column()
            ));
        }
        InvalidSchema::new(format!("the schema is not JSON: {message}"))
    })
}

/// Returns the text without spaces. A text that is not JSON is returned unchanged.
pub fn minify(text: &str) -> String {
    print(text, false)
}

/// Returns the text without spaces and with sorted members.
pub fn minify_sorted(text: &str) -> String {
    print(text, true)
}

fn print(text: &str, sort: bool) -> String {
    let Some(tree) = parse_tree(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    tree.write(&mut out, sort);
    out
}

/// Parses a text that is known to be JSON.
pub fn parse_tree(text: &str) -> Option<JsonTree<'_>> {
    JsonTreeReader { text, at: 0 }.value()
}

/// A JSON value that keeps numbers and literals as they are written.
pub enum JsonTree<'a> {
    /// A number, `true`, `false` or `null`.
    Literal(&'a str),
    /// A string.
    Text(String),
    /// A list.
    Array(Vec<JsonTree<'a>>),
    /// An object. A duplicate member has the last value at the first position.
    Object(IndexMap<String, JsonTree<'a>>),
}

impl JsonTree<'_> {
    /// Returns the text without spaces.
    pub fn minified(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        out
    }

    /// Returns the strings of a list; empty if the value is not a list.
    pub fn string_items(&self) -> Vec<String> {
        let Self::Array(items) = self else { return Vec::new() };
        let text = |item: &Self| if let Self::Text(text) = item { Some(text.clone()) } else { None };
        items.iter().filter_map(text).collect()
    }

    fn write(&self, out: &mut String, sort: bool) {
        match self {
            Self::Literal(literal) => out.push_str(literal),
            Self::Text(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, sort);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                let mut members: Vec<_> = members.iter().collect();
                if sort {
                    members.sort_by_key(|(name, _)| *name);
                }
                for (index, (name, member)) in members.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    member.write(out, sort);
                }
                out.push('}');
            }
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    // Writing to a `String` can't fail.
    let _ = write!(out, "{}", Value::from(text));
}

/// Parses a text that is known to be JSON, with few checks.
struct JsonTreeReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonTreeReader<'a> {
    fn value(&mut self) -> Option<JsonTree<'a>> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.text().map(JsonTree::Text),
            _ => {
                let rest = &self.text[self.at..];
                let length = rest.find(|c: char| ",]}".contains(c) || c.is_ascii_whitespace()).unwrap_or(rest.len());
                self.at += length;
                Some(JsonTree::Literal(&rest[..length]))
            }
        }
    }

    fn object(&mut self) -> Option<JsonTree<'a>> {
        self.at += 1;
        let mut members = IndexMap::new();
        loop {
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let name = self.text()?;
                    (self.peek()? == b':').then(|| self.at += 1)?;
                    members.insert(name, self.value()?);
                }
            }
        }
        self.at += 1;
        Some(JsonTree::Object(members))
    }

    fn array(&mut self) -> Option<JsonTree<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => items.push(self.value()?),
            }
        }
        self.at += 1;
        Some(JsonTree::Array(items))
    }

    fn text(&mut self) -> Option<String> {
        let rest = self.text.get(self.at..)?;
        let mut escaped = true;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.at += end + 1;
        serde_json::from_str(&rest[..=end]).ok()
    }

    /// Returns the next byte that is not whitespace.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }
}
