//! What even a schema that was registered long ago must be: JSON, without references to the web.

use std::collections::HashSet;

use serde_json::Value;

use super::{text::parse_json, uri};
use crate::{
    Dependency, InvalidSchema,
    budget::{self, MAX_PARSED_BYTES},
};

/// Where the meta-schemas are.
const META_SCHEMAS: &str = "json-schema.org/";

/// Checks a text as far as [`crate::Schema::parse_registered`] does. Nothing is fetched from a network, so a reference to the web has no
/// meaning, unless a document with that URI is at hand.
pub fn check_registered(text: &str, dependencies: &[Dependency]) -> Result<(), InvalidSchema> {
    let value = parse(text)?;
    if !value.is_object() && !value.is_boolean() {
        return Err(InvalidSchema::new("a JSON Schema is an object, or `true` or `false`; this is something else"));
    }
    let (mut ids, mut references) = (HashSet::new(), Vec::new());
    collect(&value, &mut ids, &mut references);
    for dependency in dependencies {
        ids.insert(uri::split(&dependency.name).0.to_owned());
        if let Ok(value) = parse(&dependency.text) {
            collect(&value, &mut ids, &mut Vec::new());
        }
    }
    for reference in &references {
        let uri = uri::split(reference).0;
        let Some(rest) = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://")) else { continue };
        if !rest.starts_with(META_SCHEMAS) && !ids.contains(uri) {
            return Err(InvalidSchema::new(format!("`$ref` leads to {uri}, which is not among the references, and nothing is fetched")));
        }
    }
    Ok(())
}

/// Parses one text. Each is an operation of its own, because only one at a time is in memory.
fn parse(text: &str) -> Result<Value, InvalidSchema> {
    budget::run_operation(MAX_PARSED_BYTES, || parse_json(text))
}

/// Collects the ids and the references in a value. Recursion is limited by the depth of JSON.
fn collect(value: &Value, ids: &mut HashSet<String>, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("$id" | "id", Value::String(id)) => {
                        ids.insert(uri::split(id).0.to_owned());
                    }
                    ("$ref", Value::String(reference)) => references.push(reference.clone()),
                    (_, value) => collect(value, ids, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids, references)),
        _ => {}
    }
}
