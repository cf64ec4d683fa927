//! Protobuf schemas: texts, their canonical form, and what may change between two versions of one, held against what really
//! happens to data.

mod cases;
mod evolve;
mod texts;
mod verdicts;
mod wire;

use prism_schema::{CompatibilityPolicy, Dependency, Difference, Schema, protobuf};

/// Reads a text that is a schema.
fn schema(text: &str) -> protobuf::ProtobufSchema {
    with(text, &[])
}

/// Reads a text with what it imports.
fn with(text: &str, dependencies: &[(&str, &str)]) -> protobuf::ProtobufSchema {
    match protobuf::ProtobufSchema::parse(text, &given(dependencies)) {
        Ok(schema) => schema,
        Err(invalid) => panic!("{}\n{text}", invalid.message),
    }
}

/// Reads a text that is none; what it is told.
fn refused(text: &str, dependencies: &[(&str, &str)]) -> String {
    match protobuf::ProtobufSchema::parse(text, &given(dependencies)) {
        Ok(schema) => panic!("is a schema:\n{}", schema.canonical()),
        Err(invalid) => invalid.message,
    }
}

fn given(dependencies: &[(&str, &str)]) -> Vec<Dependency> {
    dependencies.iter().map(|(name, text)| Dependency { name: (*name).into(), text: (*text).into() }).collect()
}

fn differences(reader: protobuf::ProtobufSchema, writer: protobuf::ProtobufSchema) -> Vec<Difference> {
    Schema::differences(&Schema::Protobuf(reader), &Schema::Protobuf(writer), CompatibilityPolicy::Strict)
}
