//! JSON Schemas: a table of cases, and properties of random schemas.

mod budgets;
mod cases;
mod evolution;
mod generate;
mod hostile;
mod references;
mod texts;

use prism_schema::{CompatibilityPolicy, Dependency, Schema, json};

/// Parses a valid schema.
fn schema(text: &str) -> json::JsonSchema {
    json::JsonSchema::parse(text, &[]).unwrap_or_else(|error| panic!("{}\n{text}", error.message))
}

/// Returns an independent validator of data.
fn validator(schema: &serde_json::Value) -> jsonschema::Validator {
    let options = jsonschema::options().offline();
    let options = if schema.get("$schema").is_some() { options } else { options.with_draft(jsonschema::Draft::Draft7) };
    options.should_validate_formats(true).build(schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

/// Returns the error of an invalid schema.
fn invalid(text: &str, dependencies: &[Dependency]) -> String {
    match json::JsonSchema::parse(text, dependencies) {
        Ok(_) => panic!("is valid: {text}"),
        Err(invalid) => invalid.message,
    }
}

/// Returns the differences as kind and path.
fn differences(new: &json::JsonSchema, old: &json::JsonSchema, policy: CompatibilityPolicy) -> Vec<String> {
    json::differences(new, old, policy).into_iter().map(|difference| format!("{} {}", difference.kind, difference.path)).collect()
}

/// A text of a format is read by that format.
#[test]
fn json_is_parsed_through_the_format_enum() {
    let schema = Schema::parse(prism_schema::SchemaFormat::Json, " { \"type\" : \"string\" } ", &[]).unwrap();
    assert_eq!(schema.canonical(), r#"{"type":"string"}"#);
    assert_eq!(schema.format().name(), "JSON");
}
