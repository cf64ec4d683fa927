//! Protobuf schemas: texts, their canonical form, and what may change between two versions of one, held against what really
//! happens to data.

mod cases;
mod evolve;
mod texts;
mod verdicts;
mod wire;

use prism_schema::{Dependency, Difference, Policy, Schema, protobuf};

/// Reads a text that is a schema.
fn schema(text: &str) -> protobuf::Schema {
    with(text, &[])
}

/// Reads a text with what it imports.
fn with(text: &str, dependencies: &[(&str, &str)]) -> protobuf::Schema {
    match protobuf::Schema::parse(text, &given(dependencies)) {
        Ok(schema) => schema,
        Err(invalid) => panic!("{}\n{text}", invalid.message),
    }
}

/// Reads a text that is none; what it is told.
fn refused(text: &str, dependencies: &[(&str, &str)]) -> String {
    match protobuf::Schema::parse(text, &given(dependencies)) {
        Ok(schema) => panic!("is a schema:\n{}", schema.canonical()),
        Err(invalid) => invalid.message,
    }
}

fn given(dependencies: &[(&str, &str)]) -> Vec<Dependency> {
    dependencies.iter().map(|(name, text)| Dependency { name: (*name).into(), text: (*text).into() }).collect()
}

fn differences(reader: protobuf::Schema, writer: protobuf::Schema) -> Vec<Difference> {
    Schema::differences(&Schema::Protobuf(reader), &Schema::Protobuf(writer), Policy::Strict)
}
