//! What is wrong with a JSON text, and where.

use std::borrow::Cow;

use bytes::Bytes;

use prism_call::{Code, Error};

/// A refusal of a JSON text, before it is put into the words of an [`Error`].
#[derive(Debug)]
pub struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    at: usize,
    description: Cow<'static, str>,
    /// Field path, as `items[0].key`; `None`: the text is not JSON at all.
    field: Option<String>,
}

impl Fault {
    /// The text is not JSON.
    pub fn syntax(at: usize, description: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at, description: description.into(), field: None }))
    }

    /// A value does not fit.
    pub fn value(at: usize, field: String, description: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { at, description: description.into(), field: Some(field) }))
    }

    /// The error, with line and column.
    pub fn into_error(self, text: Text<'_>) -> Error {
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
        error.with("line", line.to_string()).with("column", column.to_string())
    }
}

/// A JSON text, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The text.
    pub bytes: &'a [u8],
    /// Where it begins.
    pub origin: Origin,
}

/// Where a JSON text begins that is a part of a larger one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// Of its first byte.
    pub position: Position,
    /// Its place in the list around it.
    pub index: Option<usize>,
}

/// Line and column, both from 1; columns count characters.
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
    /// Goes on behind this text.
    pub fn pass(&mut self, text: &[u8]) {
        let last = text.iter().rposition(|byte| *byte == b'\n');
        if let Some(last) = last {
            self.line += text[..=last].split(|byte| *byte == b'\n').count() - 1;
            self.column = 1;
        }
        // Bytes that continue a character of UTF-8 begin with the bits 10.
        self.column += text[last.map_or(0, |last| last + 1)..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, origin: Origin::default() }
    }
}

impl<'a> From<&'a Vec<u8>> for Text<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<&'a Bytes> for Text<'a> {
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
            // Piece by piece it is the same.
            let mut pieces = Position::default();
            text[..at].chunks(3).for_each(|piece| pieces.pass(piece));
            assert_eq!(pieces, position, "{at}");
        }
    }
}
