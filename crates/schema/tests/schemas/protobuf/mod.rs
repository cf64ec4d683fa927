//! Protobuf schemas: texts, canonical forms, and changes between versions, compared with what happens to real data.

mod budgets;
mod cases;
mod corpus;
mod evolve;
mod texts;
mod verdicts;
mod wire;

use prism_schema::{CompatibilityPolicy, Dependency, Difference, Schema, protobuf};

/// Parses a valid schema.
fn schema(text: &str) -> protobuf::ProtobufSchema {
    with(text, &[])
}

/// Parses a valid schema with its imports.
fn with(text: &str, dependencies: &[(&str, &str)]) -> protobuf::ProtobufSchema {
    match protobuf::ProtobufSchema::parse(text, &given(dependencies)) {
        Ok(schema) => schema,
        Err(invalid) => panic!("{}\n{text}", invalid.message),
    }
}

/// Returns the error of an invalid schema.
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
