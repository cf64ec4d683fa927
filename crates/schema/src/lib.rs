//! Schemas of data: three formats, what makes two texts the same schema, and what may change between two versions.
//!
//! Nothing in here knows of subjects, versions or storage: texts go in, answers come out. Each format is a folder with the
//! same things: `parse`, `canonical`, `render_as`, `differences`, `tags` and `change_tags`.

pub mod avro;
mod difference;
mod format;
pub mod json;
pub mod protobuf;
pub mod tag;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use difference::{CompatibilityPolicy, Difference, MAX_DIFFERENCES};
pub use format::SchemaFormat;

/// A schema that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// How the text that refers to it calls it: a full name in Avro, a URI or a file in JSON Schema, an import in Protobuf.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// Why a text is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSchema {
    /// For people: what is wrong, where in the text (line and column, or a JSON pointer), and what would be right.
    pub message: String,
}

impl InvalidSchema {
    /// A schema that can't be one, and why.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A text that is a schema, with all that it refers to.
#[derive(Debug)]
pub enum Schema {
    /// Apache Avro.
    Avro(avro::AvroSchema),
    /// JSON Schema.
    Json(json::JsonSchema),
    /// Protocol Buffers.
    Protobuf(protobuf::ProtobufSchema),
}

impl Schema {
    /// Reads a text. `dependencies` are all schemas that it refers to, directly or by others, each behind those that it
    /// refers to itself.
    pub fn parse(format: SchemaFormat, text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Ok(match format {
            SchemaFormat::Avro => Self::Avro(avro::AvroSchema::parse(text, dependencies)?),
            SchemaFormat::Json => Self::Json(json::JsonSchema::parse(text, dependencies)?),
            SchemaFormat::Protobuf => Self::Protobuf(protobuf::ProtobufSchema::parse(text, dependencies)?),
        })
    }

    /// Its format.
    pub fn format(&self) -> SchemaFormat {
        match self {
            Self::Avro(_) => SchemaFormat::Avro,
            Self::Json(_) => SchemaFormat::Json,
            Self::Protobuf(_) => SchemaFormat::Protobuf,
        }
    }

    /// The text as it is kept: without what says nothing, such as spaces. Two texts with the same one are the same schema.
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// The canonical text in which, beyond that, the order of what has no order is always the same.
    pub fn normalized(&self) -> String {
        match self {
            Self::Avro(schema) => schema.normalized(),
            Self::Json(schema) => schema.normalized(),
            Self::Protobuf(schema) => schema.normalized(),
        }
    }

    /// The text in another shape, by its name: `resolved` (Avro: references in place), `ignore_extensions` and `serialized`
    /// (Protobuf: without custom options, and the descriptor in base64). `None` if this format has no such shape.
    pub fn render_as(&self, shape: &str) -> Option<String> {
        match self {
            Self::Avro(schema) => schema.render_as(shape),
            Self::Json(schema) => schema.render_as(shape),
            Self::Protobuf(schema) => schema.render_as(shape),
        }
    }

    /// What stands in the way of reading data of `writer` with `reader`, in the order of the reader's text; empty if
    /// nothing does. Schemas of two formats have one difference: that.
    pub fn differences(reader: &Self, writer: &Self, policy: CompatibilityPolicy) -> Vec<Difference> {
        match (reader, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => avro::differences(reader, writer),
            (Self::Json(reader), Self::Json(writer)) => json::differences(reader, writer, policy),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => protobuf::differences(reader, writer),
            (reader, writer) => vec![difference::formats(reader.format(), writer.format())],
        }
    }
}
