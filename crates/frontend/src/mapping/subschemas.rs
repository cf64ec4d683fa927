//! Finds the schemas in a schema (JSON Schema 2020-12, core 10). Everything else in it is data.

use serde_json::{Map, Value as Json};

/// What a keyword contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicator {
    /// A schema.
    One,
    /// A list of schemas.
    List,
    /// Schemas by name.
    Named,
}

/// Returns what a keyword contains, or `None` if it contains no schemas.
pub fn applicator(keyword: &str) -> Option<Applicator> {
    Some(match keyword {
        "items"
        | "additionalProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Applicator::One,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Applicator::List,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Applicator::Named,
        _ => return None,
    })
}

/// Calls a function for a schema and all schemas in it, the inner ones first.
pub fn each_mut(schema: &mut Json, change: &mut impl FnMut(&mut Map<String, Json>)) {
    let Json::Object(members) = schema else { return };
    for (keyword, value) in members.iter_mut() {
        match (applicator(keyword), value) {
            (Some(Applicator::One), value) => each_mut(value, change),
            (Some(Applicator::List), Json::Array(items)) => items.iter_mut().for_each(|item| each_mut(item, change)),
            (Some(Applicator::Named), Json::Object(named)) => named.values_mut().for_each(|item| each_mut(item, change)),
            _ => {}
        }
    }
    change(members);
}

/// Calls a function for a schema and all schemas in it.
pub fn each<'j>(schema: &'j Json, visit: &mut impl FnMut(&'j Map<String, Json>)) {
    let Json::Object(members) = schema else { return };
    visit(members);
    for (keyword, value) in members {
        match (applicator(keyword), value) {
            (Some(Applicator::One), value) => each(value, visit),
            (Some(Applicator::List), Json::Array(items)) => items.iter().for_each(|item| each(item, visit)),
            (Some(Applicator::Named), Json::Object(named)) => named.values().for_each(|item| each(item, visit)),
            _ => {}
        }
    }
}
