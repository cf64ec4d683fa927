//! Tests of parsing and printing.

use super::AvroSchema;
use crate::Dependency;

mod invalid;
mod texts;

fn parse(text: &str) -> AvroSchema {
    AvroSchema::parse(text, &[]).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message))
}

fn refused(text: &str, dependencies: &[Dependency]) -> String {
    match AvroSchema::parse(text, dependencies) {
        Ok(schema) => panic!("{text} was read as {}", schema.canonical()),
        Err(wrong) => wrong.message,
    }
}

fn dependency(name: &str, text: &str) -> Dependency {
    Dependency { name: name.into(), text: text.into() }
}
