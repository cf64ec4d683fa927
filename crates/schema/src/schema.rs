//! A schema of any format.

use crate::{
    CompatibilityPolicy, Dependency, Difference, InvalidSchema, SchemaFormat,
    avro::{self, AvroSchema},
    difference,
    json::{self, JsonSchema},
    protobuf::{self, ProtobufSchema},
    tag::{SchemaPart, TagChange, TagError, TagPlan, TaggedPart},
};

/// A parsed schema together with the schemas that it references.
#[derive(Debug)]
pub enum Schema {
    /// Apache Avro.
    Avro(AvroSchema),
    /// JSON Schema.
    Json(JsonSchema),
    /// Protocol Buffers.
    Protobuf(ProtobufSchema),
}

impl Schema {
    /// Parses a text. `dependencies` are all schemas that it references, directly or indirectly. Each one follows its own dependencies.
    pub fn parse(format: SchemaFormat, text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Ok(match format {
            SchemaFormat::Avro => Self::Avro(AvroSchema::parse(text, dependencies)?),
            SchemaFormat::Json => Self::Json(JsonSchema::parse(text, dependencies)?),
            SchemaFormat::Protobuf => Self::Protobuf(ProtobufSchema::parse(text, dependencies)?),
        })
    }

    /// Returns the format.
    pub fn format(&self) -> SchemaFormat {
        match self {
            Self::Avro(_) => SchemaFormat::Avro,
            Self::Json(_) => SchemaFormat::Json,
            Self::Protobuf(_) => SchemaFormat::Protobuf,
        }
    }

    /// Returns the text as it is stored, without parts that have no meaning, such as whitespace. Two texts with the same canonical text
    /// are the same schema.
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// Returns the canonical text with everything sorted whose order has no meaning.
    pub fn normalized(&self) -> String {
        match self {
            Self::Avro(schema) => schema.normalized(),
            Self::Json(schema) => schema.normalized(),
            Self::Protobuf(schema) => schema.normalized(),
        }
    }

    /// Returns the text in another shape, or `None` if the format doesn't have this shape: `resolved` (Avro: referenced types in place),
    /// `ignore_extensions` (Protobuf: without custom options) and `serialized` (Protobuf: the descriptor in base64).
    pub fn render_as(&self, shape: &str) -> Option<String> {
        match self {
            Self::Avro(schema) => schema.render_as(shape),
            Self::Json(schema) => schema.render_as(shape),
            Self::Protobuf(schema) => schema.render_as(shape),
        }
    }

    /// Returns the reasons why `reader` can't read data of `writer`, in the order of the reader's text. Empty if it can read all data. Two
    /// schemas of different formats have one difference: the format.
    pub fn differences(reader: &Self, writer: &Self, policy: CompatibilityPolicy) -> Vec<Difference> {
        let differences = match (reader, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => avro::differences(reader, writer),
            (Self::Json(reader), Self::Json(writer)) => json::differences(reader, writer, policy),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => protobuf::differences(reader, writer),
            (reader, writer) => vec![difference::format_difference(reader.format(), writer.format())],
        };
        differences.into_iter().map(Difference::shortened).collect()
    }

    /// Returns the estimated size in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Avro(schema) => schema.bytes(),
            Self::Json(schema) => schema.bytes(),
            Self::Protobuf(schema) => schema.bytes(),
        }
    }

    /// Returns the parts with tags that `wanted` selects, each with only these tags. Only the text itself is searched, not its references.
    pub fn tags(&self, wanted: impl Fn(&str) -> bool) -> Vec<TaggedPart> {
        let mut tagged = Vec::new();
        let mut visit = |part: &SchemaPart, tags: &mut Vec<String>| {
            let tags: Vec<String> = tags.iter().filter(|tag| wanted(tag)).cloned().collect();
            if !tags.is_empty() {
                tagged.push(TaggedPart { part: part.part, path: part.path.to_owned(), tags });
            }
        };
        match self {
            Self::Avro(schema) => schema.tags(&mut visit),
            Self::Json(schema) => schema.tags(&mut visit),
            Self::Protobuf(schema) => schema.tags(&mut visit),
        }
        tagged
    }

    /// Returns the canonical text with changed tags. `dependencies` are those of [`Self::parse`].
    pub fn change_tags(&self, changes: &[TagChange], dependencies: &[Dependency]) -> Result<String, TagError> {
        // In JSON Schema, a path means one part, whatever its kind.
        let mut plan = TagPlan::new(changes, matches!(self, Self::Json(_)));
        let mut visit = |part: &SchemaPart, tags: &mut Vec<String>| plan.apply(part, tags);
        let text = match self {
            Self::Avro(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Json(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Protobuf(schema) => schema.change_tags(&mut visit, dependencies),
        };
        // A missing part is reported first, because the caller can correct it.
        match plan.first_missing() {
            Some(index) => Err(TagError::Missing(index)),
            None => text.map_err(TagError::Invalid),
        }
    }
}
