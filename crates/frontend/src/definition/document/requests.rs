//! The schemas of a document as requests have to match them.

use serde_json::Value as Json;

use crate::{
    definition::types::{Direction, Schemas},
    mapping::{SchemaComponents, subschemas},
};

/// Converts schemas for requests: members that are read-only are not required there (OpenAPI 3.0.3, Schema Object).
#[derive(Debug)]
pub struct RequestView<'d> {
    schemas: &'d Schemas<'d>,
    /// Whether the document has members of one direction.
    has_directions: bool,
}

impl<'d> RequestView<'d> {
    /// Creates the view.
    pub fn new(schemas: &'d Schemas<'d>, has_directions: bool) -> Self {
        Self { schemas, has_directions }
    }

    /// Returns the schemas in the components of a document.
    pub fn components(&self, document: &'d Json) -> SchemaComponents {
        let schemas = document.pointer("/components/schemas").and_then(Json::as_object).into_iter().flatten();
        SchemaComponents::new(schemas.map(|(name, schema)| (name.clone(), self.schema(schema))))
    }

    /// Returns a schema.
    pub fn schema(&self, schema: &'d Json) -> Json {
        let mut converted = schema.clone();
        if self.has_directions {
            self.relax(schema, &mut converted, &[]);
        }
        converted
    }

    /// Removes what is read-only from `required`. `outer` are the names that are read-only in the schema around `allOf`.
    fn relax(&self, schema: &'d Json, converted: &mut Json, outer: &[&str]) {
        let (Json::Object(members), Json::Object(changed)) = (schema, converted) else { return };
        let mut names = outer.to_vec();
        self.collect(schema, 0, &mut names);
        if let Some(Json::Array(required)) = changed.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(|name| names.contains(&name)));
        }
        for (keyword, value) in members {
            let Some(changed) = changed.get_mut(keyword) else { continue };
            // The parts of a schema apply to the same value.
            let inner: &[&str] =
                if matches!(keyword.as_str(), "allOf" | "anyOf" | "oneOf" | "if" | "then" | "else") { &names } else { &[] };
            match (subschemas::applicator(keyword), value, changed) {
                (Some(subschemas::Applicator::One), value, changed) => self.relax(value, changed, inner),
                (Some(subschemas::Applicator::List), Json::Array(items), Json::Array(changed)) => {
                    items.iter().zip(changed).for_each(|(item, changed)| self.relax(item, changed, inner));
                }
                (Some(subschemas::Applicator::Named), Json::Object(named), Json::Object(changed)) => {
                    named.values().zip(changed.values_mut()).for_each(|(item, changed)| self.relax(item, changed, inner));
                }
                _ => {}
            }
        }
    }

    /// Collects the names of read-only members of a schema and of its parts.
    fn collect(&self, schema: &'d Json, depth: usize, names: &mut Vec<&'d str>) {
        const MAX_DEPTH: usize = 16;
        let Some(schema) = self.schemas.resolve(schema).filter(|_| depth < MAX_DEPTH) else { return };
        for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            if self.schemas.is_of_other_direction(property, Direction::Request) && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
            self.collect(part, depth + 1, names);
        }
    }
}
