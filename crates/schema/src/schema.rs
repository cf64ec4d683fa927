//! A schema of any format.

use crate::{
    CompatibilityPolicy, Dependency, Difference, InvalidSchema, SchemaFormat,
    avro::{self, AvroSchema},
    budget, difference,
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
    /// A registered schema that today's rules don't accept.
    Unchecked(UncheckedSchema),
}

/// A schema that was registered when fewer rules existed. It is stored and returned, but not understood.
#[derive(Debug)]
pub struct UncheckedSchema {
    format: SchemaFormat,
    text: String,
    /// Why it can't be understood.
    reason: String,
}

impl Schema {
    /// Parses a text. `dependencies` are all schemas that it references, directly or indirectly. Each one follows its own dependencies.
    pub fn parse(format: SchemaFormat, text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let parsed = match format {
            SchemaFormat::Avro => AvroSchema::parse(text, dependencies).map(Self::Avro),
            SchemaFormat::Json => JsonSchema::parse(text, dependencies).map(Self::Json),
            SchemaFormat::Protobuf => ProtobufSchema::parse(text, dependencies).map(Self::Protobuf),
        };
        parsed.map_err(note_budget)
    }

    /// Parses the text of a schema that was registered elsewhere or long ago, which today's rules need not accept. Data with it exists, so
    /// as little as possible is refused: in Avro, namespaces and defaults are not checked. A JSON Schema has to be JSON, and a Protobuf
    /// schema needs a valid syntax; if they are wrong in another way, the schema is [`Self::Unchecked`].
    pub fn parse_registered(format: SchemaFormat, text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let invalid = match Self::parse(format, text, dependencies) {
            Ok(schema) => return Ok(schema),
            // What takes too long to be understood is refused, even if it was registered before.
            Err(invalid) if invalid.exceeds_budget => return Err(invalid),
            Err(invalid) => invalid,
        };
        match format {
            SchemaFormat::Avro => return AvroSchema::parse_registered(text, dependencies).map(Self::Avro).map_err(note_budget),
            SchemaFormat::Json => json::check_registered(text, dependencies).map_err(note_budget)?,
            SchemaFormat::Protobuf => protobuf::check_registered(text).map_err(note_budget)?,
        }
        Ok(Self::Unchecked(UncheckedSchema { format, text: text.to_owned(), reason: invalid.message }))
    }

    /// Returns the names of the top-level fields: of an Avro record, of `properties` in JSON Schema, of the first Protobuf message.
    pub fn field_names(&self) -> Vec<String> {
        match self {
            Self::Avro(schema) => schema.field_names(),
            Self::Json(schema) => schema.field_names(),
            Self::Protobuf(schema) => schema.field_names(),
            Self::Unchecked(_) => Vec::new(),
        }
    }

    /// Whether the text was a Protobuf descriptor in base64, and not source.
    pub fn is_descriptor(&self) -> bool {
        matches!(self, Self::Protobuf(schema) if schema.from_descriptor)
    }

    /// Returns the format.
    pub fn format(&self) -> SchemaFormat {
        match self {
            Self::Avro(_) => SchemaFormat::Avro,
            Self::Json(_) => SchemaFormat::Json,
            Self::Protobuf(_) => SchemaFormat::Protobuf,
            Self::Unchecked(schema) => schema.format,
        }
    }

    /// Returns the text as it is stored, without parts that have no meaning, such as whitespace. Two texts with the same canonical text
    /// are the same schema.
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.canonical(),
            Self::Unchecked(schema) => schema.canonical(),
        }
    }

    /// Returns the canonical text with everything sorted whose order has no meaning.
    pub fn normalized(&self) -> String {
        match self {
            Self::Avro(schema) => schema.normalized(),
            Self::Json(schema) => schema.normalized(),
            Self::Protobuf(schema) => schema.normalized(),
            Self::Unchecked(schema) => schema.canonical(),
        }
    }

    /// Returns the text in another shape, or `None` if the format doesn't have this shape: `resolved` (Avro: referenced types in place),
    /// `ignore_extensions` (Protobuf: without custom options) and `serialized` (Protobuf: the descriptor in base64).
    pub fn render_as(&self, shape: &str) -> Option<String> {
        match self {
            Self::Avro(schema) => schema.render_as(shape),
            Self::Json(schema) => schema.render_as(shape),
            Self::Protobuf(schema) => schema.render_as(shape),
            Self::Unchecked(_) => None,
        }
    }

    /// Returns the reasons why `reader` can't read data of `writer`, in the order of the reader's text. Empty if it can read all data. Two
    /// schemas of different formats have one difference: the format.
    pub fn differences(reader: &Self, writer: &Self, policy: CompatibilityPolicy) -> Vec<Difference> {
        let differences = match (reader, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => avro::differences(reader, writer),
            (Self::Json(reader), Self::Json(writer)) => json::differences(reader, writer, policy),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => protobuf::differences(reader, writer),
            (reader, writer) if reader.format() != writer.format() => {
                vec![difference::format_difference(reader.format(), writer.format())]
            }
            // Equal texts describe the same data, whatever they mean.
            (reader, writer) if reader.canonical() == writer.canonical() => Vec::new(),
            (Self::Unchecked(schema), _) | (_, Self::Unchecked(schema)) => vec![difference::unchecked_difference(&schema.reason)],
            _ => Vec::new(),
        };
        differences.into_iter().map(Difference::shortened).collect()
    }

    /// Returns the estimated size in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Avro(schema) => schema.bytes(),
            Self::Json(schema) => schema.bytes(),
            Self::Protobuf(schema) => schema.bytes(),
            Self::Unchecked(schema) => (schema.text.len() + schema.reason.len()) as u64,
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
            Self::Unchecked(_) => {}
        }
        tagged
    }

    /// Returns the canonical text with changed tags. `dependencies` are those of [`Self::parse`].
    pub fn change_tags(&self, changes: &[TagChange], dependencies: &[Dependency]) -> Result<String, TagError> {
        // In JSON Schema, a path means one part, whatever its kind.
        let package = if let Self::Protobuf(schema) = self { schema.package() } else { "" };
        let mut plan = TagPlan::new(changes, matches!(self, Self::Json(_)), package);
        let mut visit = |part: &SchemaPart, tags: &mut Vec<String>| plan.apply(part, tags);
        let text = match self {
            Self::Avro(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Json(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Protobuf(schema) => schema.change_tags(&mut visit, dependencies),
            Self::Unchecked(schema) => Err(InvalidSchema::new(schema.reason.clone())),
        };
        // A missing part is reported first, because the caller can correct it.
        match plan.first_missing() {
            Some(index) if !matches!(self, Self::Unchecked(_)) => Err(TagError::Missing(index)),
            _ => text.map_err(TagError::Invalid),
        }
    }
}

/// Notes whether the operation that returned the error exceeded its budget.
fn note_budget(invalid: InvalidSchema) -> InvalidSchema {
    InvalidSchema { exceeds_budget: budget::was_exceeded(), ..invalid }
}

impl UncheckedSchema {
    /// Returns the text without whitespace, or as it is in a format in which that needs understanding.
    fn canonical(&self) -> String {
        match self.format {
            SchemaFormat::Json => json::minify(&self.text),
            SchemaFormat::Avro | SchemaFormat::Protobuf => self.text.clone(),
        }
    }
}
