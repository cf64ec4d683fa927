//! What is wrong with a JSON text, and where.

use std::borrow::Cow;

use crate::call::{Code, Error};

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

    /// The error, with line and column counted in the text from 1.
    pub fn into_error(self, text: &[u8]) -> Error {
        let Inner { at, description, field } = *self.0;
        let (line, column) = position(text, at);
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

/// Line and column of a byte; columns count characters.
fn position(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    // Bytes that continue a character of UTF-8 begin with the bits 10.
    let column = before[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "{\n \"ä\": x}".as_bytes();
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 2), (2, 1));
        assert_eq!(position(text, text.len() - 2), (2, 7));
        assert_eq!(position(text, 1000), (2, 9));
    }
}
