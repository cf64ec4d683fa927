//! The reasons why two schemas are not compatible.

use crate::{SchemaFormat, text::shorten};

/// The maximum number of differences that are reported for two schemas.
pub const MAX_DIFFERENCES: usize = 100;

/// The kind of the difference that says that the schemas are too complex to be compared. If it is the only one, there is no verdict.
pub const TOO_COMPLEX: &str = "COMPARISON_TOO_COMPLEX";

/// The rules that decide what is a difference. Only JSON Schema has more than one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompatibilityPolicy {
    /// All data that is valid for the old schema has to be valid for the new one.
    #[default]
    Strict,
    /// Optional properties can be added and removed in any content model.
    Lenient,
}

/// One reason why a reader can't read data of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kind, in upper snake case, such as `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub kind: &'static str,
    /// The location as a JSON pointer: in the reader's text for Avro and JSON Schema, by field numbers for Protobuf.
    pub path: String,
    /// A message for people: what differs, and what to change.
    pub message: String,
    /// The name or value that differs, for programs. It can be empty.
    pub detail: String,
}

/// The maximum length of each text of a difference, in characters. The texts can contain names and values of the schemas.
const MAX_TEXT: usize = 4_000;

impl Difference {
    /// Returns the difference with bounded texts.
    pub(crate) fn shortened(self) -> Self {
        let Self { kind, path, message, detail } = self;
        Self { kind, path: shorten(&path, MAX_TEXT), message: shorten(&message, MAX_TEXT), detail: shorten(&detail, MAX_TEXT) }
    }
}

/// Returns the difference from or to a schema that is not understood.
pub(crate) fn unchecked_difference(reason: &str) -> Difference {
    Difference {
        kind: "TYPE_CHANGED",
        path: "/".to_owned(),
        message: format!("one of the schemas was imported although it is invalid ({reason}), so they can't be compared"),
        detail: String::new(),
    }
}

/// Returns the difference between schemas of two formats.
pub(crate) fn format_difference(reader: SchemaFormat, writer: SchemaFormat) -> Difference {
    Difference {
        kind: "TYPE_CHANGED",
        path: "/".to_owned(),
        message: format!("the format changes from {writer} to {reader}; a subject has one format, so register it under another subject"),
        detail: reader.to_string(),
    }
}
