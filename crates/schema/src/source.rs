//! The input of the parsers, and their error.

use std::sync::Arc;

use crate::text::shorten;

/// A schema that another schema references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name that the referencing text uses: a full name in Avro, a URI or a file in JSON Schema, an import in Protobuf.
    pub name: Arc<str>,
    /// The text of the schema.
    pub text: Arc<str>,
}

/// The reason why a text is not a valid schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSchema {
    /// A message for people: what is wrong, where in the text (line and column, or a JSON pointer), and what would be right.
    pub message: String,
    /// Whether the schema may be valid, but takes more steps or memory than one may.
    pub exceeds_budget: bool,
}

impl InvalidSchema {
    /// Creates an error from its message. A message can quote the text, so it is shortened.
    pub fn new(message: impl Into<String>) -> Self {
        const MAX_MESSAGE: usize = 4_000;
        Self { message: shorten(&message.into(), MAX_MESSAGE), exceeds_budget: false }
    }
}
