//! JSON as it is written: numbers keep their digits, members their order.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::Value;

use crate::InvalidSchema;

/// Longest text of a schema, in bytes.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// Reads a text; what is no JSON is told with line and column. Values nest at most 127 deep.
pub fn read(text: &str) -> Result<Value, InvalidSchema> {
    if text.len() > MAX_TEXT {
        return Err(InvalidSchema::new(format!(
            "the schema has {} bytes, and at most {MAX_TEXT} are read; split it by references",
            text.len()
        )));
    }
    serde_json::from_str(text).map_err(|error| InvalidSchema::new(format!("the schema is no JSON: {error}")))
}

/// The text without spaces. It has to be JSON; anything else is returned as it is.
pub fn minified(text: &str) -> String {
    written(text, false)
}

/// The text without spaces, members of objects sorted by name.
pub fn sorted(text: &str) -> String {
    written(text, true)
}

fn written(text: &str, sort: bool) -> String {
    let Some(tree) = tree(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    tree.write(&mut out, sort);
    out
}

/// The value of a text that is known to be JSON.
pub fn tree(text: &str) -> Option<JsonTree<'_>> {
    JsonTreeReader { text, at: 0 }.value()
}

/// A value with literals and numbers as they are written.
pub enum JsonTree<'a> {
    /// A number, `true`, `false` or `null`.
    Literal(&'a str),
    /// A text.
    Text(String),
    /// A list.
    Array(Vec<JsonTree<'a>>),
    /// A member that is written twice counts with its last value, at its first place.
    Object(IndexMap<String, JsonTree<'a>>),
}

impl JsonTree<'_> {
    /// The text without spaces.
    pub fn minified(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        out
    }

    /// The texts of a list; none if it is something else.
    pub fn texts(&self) -> Vec<String> {
        let Self::Array(items) = self else { return Vec::new() };
        let text = |item: &Self| if let Self::Text(text) = item { Some(text.clone()) } else { None };
        items.iter().filter_map(text).collect()
    }

    fn write(&self, out: &mut String, sort: bool) {
        match self {
            Self::Literal(literal) => out.push_str(literal),
            Self::Text(text) => write_text(text, out),
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
                    write_text(name, out);
                    out.push(':');
                    member.write(out, sort);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    // Writing to a string doesn't fail.
    let _ = write!(out, "{}", Value::from(text));
}

/// Reads a text that is known to be JSON, so it checks no more than it needs to.
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

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }
}
