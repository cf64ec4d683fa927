//! Paths to fields of a body: names joined by dots.

use prost_types::{ListValue, Struct, Value, value::Kind};

use prism_call::Error;

/// Most names of a path.
const MAX_NAMES: usize = 16;
/// Longest path, in bytes.
const MAX_BYTES: usize = 1024;

/// A path to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    names: Vec<String>,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug)]
pub enum Root<'v> {
    /// At the body of a document.
    Body(&'v Struct),
    /// At the element of a list.
    Element(&'v Value),
}

impl Path {
    /// Parses a path. The error is `INVALID_ARGUMENT INVALID_FIELD`.
    pub fn new(field: &str, text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(|problem| Error::invalid(field, problem))
    }

    /// Parses a path. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("must be a path, not empty");
        }
        if text.len() > MAX_BYTES {
            return Err("must have at most 1,024 bytes");
        }
        let mut names = vec![String::new()];
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (letter, names.last_mut()) {
                ('.', _) => names.push(String::new()),
                ('\\', Some(name)) => match letters.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    _ => return Err(r"has a backslash that is not followed by a dot or a backslash; write it as \\"),
                },
                (letter, Some(name)) => name.push(letter),
                (_, None) => {}
            }
        }
        if names.iter().any(String::is_empty) {
            return Err(r"has an empty name; a path is names joined by dots, as address.city, and a dot within a name is \.");
        }
        if names.len() > MAX_NAMES {
            return Err("must have at most 16 names");
        }
        Ok(Self { names })
    }

    /// The empty path: the element of a list itself.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A path with one name, which may have dots.
    pub fn of_name(name: &str) -> Self {
        Self { names: vec![name.to_owned()] }
    }

    /// The names; none if the path is empty.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The path as text.
    pub fn text(&self) -> String {
        let escaped: Vec<String> = self.names.iter().map(|name| name.replace('\\', r"\\").replace('.', r"\.")).collect();
        escaped.join(".")
    }

    /// Whether this path is another one, or lies within it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.names.starts_with(&other.names)
    }

    /// The value of the field; `None` if it is not there.
    pub fn get<'v>(&self, root: Root<'v>) -> Option<&'v Value> {
        match root {
            Root::Body(body) => {
                let (first, rest) = self.names.split_first()?;
                get(body.fields.get(first)?, rest)
            }
            Root::Element(element) => get(element, &self.names),
        }
    }

    /// The value of a field of a body.
    pub fn get_in<'v>(&self, body: &'v Struct) -> Option<&'v Value> {
        self.get(Root::Body(body))
    }
}

fn get<'v>(mut value: &'v Value, names: &[String]) -> Option<&'v Value> {
    for name in names {
        value = match &value.kind {
            Some(Kind::StructValue(object)) => object.fields.get(name)?,
            Some(Kind::ListValue(ListValue { values })) => values.get(place(name)?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// The place in a list that a name stands for: a number without a sign and without zeros in front.
pub fn place(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (name == "0" || !name.starts_with('0')) { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;
    use serde_json::json;

    #[test]
    fn paths_are_parsed() {
        for (text, names) in
            [("a", &["a"][..]), ("a.b.0", &["a", "b", "0"]), (r"a\.b.c\\", &["a.b", r"c\"]), ("ä ö", &["ä ö"]), ("-1", &["-1"])]
        {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.names(), names);
            assert_eq!(path.text(), text);
        }
        let (long, deep) = ("x".repeat(1025), "a.".repeat(16) + "a");
        for bad in ["", ".", "a.", ".a", "a..b", r"a\", r"a\b", &long, &deep] {
            assert_eq!(Path::new("order[0].path", bad).unwrap_err().violations()[0].field, "order[0].path", "{bad:?}");
        }
        Path::parse(&("a.".repeat(15) + "a")).unwrap();
    }

    #[test]
    fn paths_lead_to_values() {
        let body = json::from_object(&json!({"a": {"b.c": 1, "0": 2}, "l": [[3], {"x": 4}], "n": null, "s": "text"}));
        let get = |path: &str| Path::parse(path).unwrap().get_in(&body).map(json::write_value);
        for (path, expected) in [
            (r"a.b\.c", Some("1")),
            ("a.0", Some("2")),
            ("l.0.0", Some("3")),
            ("l.1.x", Some("4")),
            ("n", Some("null")),
            ("n.a", None),
            ("a.b.c", None),
            ("l.2", None),
            ("l.01", None),
            ("l.-1", None),
            ("l.+1", None),
            ("l.x", None),
            ("s.0", None),
            ("none", None),
        ] {
            assert_eq!(get(path).as_deref(), expected, "{path}");
        }
    }
}
