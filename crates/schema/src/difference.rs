//! What stands between two schemas.

use super::SchemaFormat;

/// Most differences that are told of one pair of schemas.
pub const MAX_DIFFERENCES: usize = 100;

/// What counts as a difference, in JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompatibilityPolicy {
    /// All data that the old schema takes has to be taken by the new one.
    #[default]
    Strict,
    /// Optional properties may come and go whatever the content model says.
    Lenient,
}

/// One reason why a reader can't read what a writer writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind it is, upper snake case, as `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub kind: &'static str,
    /// Where, as a JSON pointer: Avro's and JSON Schema's into the text of the reader, Protobuf's by numbers of fields.
    pub path: String,
    /// For people: what differs there, and what to change so that it doesn't.
    pub message: String,
    /// The name or value that it is about, for programs; may be empty.
    pub detail: String,
}

/// Schemas of two formats.
pub(super) fn formats(reader: SchemaFormat, writer: SchemaFormat) -> Difference {
    Difference {
        kind: "TYPE_CHANGED",
        path: "/".to_owned(),
        message: format!("the format changes from {writer} to {reader}; a subject keeps to one, so register it under another subject"),
        detail: reader.to_string(),
    }
}
