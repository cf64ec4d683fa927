//! Errors in JSON texts, with their position.

use std::borrow::Cow;

use bytes::Bytes;

use prism_call::{Code, Error};

/// An error in a JSON text, not yet converted to an [`Error`].
#[derive(Debug)]
pub struct JsonError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    at: usize,
    description: Cow<'static, str>,
    /// The path of the field, such as `items[0].key`; `None`: a syntax error.
    field: Option<String>,
}

impl JsonError {
    /// A syntax error.
    pub fn syntax(at: usize, description: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at, description: description.into(), field: None }))
    }

    /// An invalid value of a field.
    pub fn value(at: usize, field: String, description: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at, description: description.into(), field: Some(field) }))
    }

    /// Converts it to an error with line and column.
    pub fn into_error(self, text: JsonText<'_>) -> Error {
        let Inner { at, description, field } = *self.0;
        let mut position = text.origin.position;
        position.pass(&text.bytes[..at.min(text.bytes.len())]);
        let Position { line, column } = position;
        let error = match field {
            None => {
                let message = format!("the body is not valid JSON: {description} at line {line}, column {column}");
                Error::new(Code::InvalidArgument, "MALFORMED_JSON", message)
            }
            Some(field) => Error::invalid(field, description),
        };
        position.tell(error)
    }
}

/// A JSON text, and its position in a larger text.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a> {
    /// The text.
    pub bytes: &'a [u8],
    /// Where it begins in the larger text.
    pub origin: TextOrigin,
}

/// The start of a JSON text that is a part of a larger one.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOrigin {
    /// Position of its first byte.
    pub position: Position,
    /// Its index in the surrounding list.
    pub index: Option<usize>,
}

/// Line and column, both starting at 1. Columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl Position {
    /// Adds the position to an error.
    #[must_use]
    pub fn tell(self, error: Error) -> Error {
        error.with("line", self.line.to_string()).with("column", self.column.to_string())
    }

    /// Moves past a text.
    pub fn pass(&mut self, text: &[u8]) {
        let last = text.iter().rposition(|byte| *byte == b'\n');
        if let Some(last) = last {
            self.line += text[..=last].split(|byte| *byte == b'\n').count() - 1;
            self.column = 1;
        }
        // Continuation bytes of UTF-8 begin with the bits 10.
        self.column += text[last.map_or(0, |last| last + 1)..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    }
}

impl<'a> From<&'a [u8]> for JsonText<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, origin: TextOrigin::default() }
    }
}

impl<'a> From<&'a Vec<u8>> for JsonText<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<&'a Bytes> for JsonText<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self::from(bytes.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "{\n \"ä\": x}".as_bytes();
        for (at, line, column) in [(0, 1, 1), (2, 2, 1), (text.len() - 2, 2, 7), (text.len(), 2, 9)] {
            let mut position = Position::default();
            position.pass(&text[..at]);
            assert_eq!(position, Position { line, column }, "{at}");
            // Moving in two steps gives the same position.
            let mut pieces = Position::default();
            text[..at].chunks(3).for_each(|piece| pieces.pass(piece));
            assert_eq!(pieces, position, "{at}");
        }
    }
}
