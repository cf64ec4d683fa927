//! Validates requests against the JSON schemas in the OpenAPI document.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value as Json, json};

use super::{ecma_pattern, input::BodyFormat, subschemas};
use prism_call::Error;

/// Maximum length of a description in bytes, because it may quote the request.
const MAX_DESCRIPTION: usize = 300;
/// Prefix of references to schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The schemas of an operation. They are compiled for the first request, so that a gateway starts quickly. Until then they are text, which
/// takes a tenth of the memory of a tree.
#[derive(Debug, Default)]
pub struct RequestSchemas {
    components: Arc<SchemaComponents>,
    /// Schemas of JSON bodies and forms. That of [`BodyFormat::Lines`] is the one of an item.
    bodies: Vec<(BodyFormat, Arc<str>)>,
    /// Schemas of the parameters, in their order; `None`: no check.
    parameters: Vec<Option<Arc<str>>>,
    compiled: OnceLock<Compiled>,
}

/// The schemas in the components of a document as JSON, by name.
#[derive(Debug, Default)]
pub struct SchemaComponents(BTreeMap<String, Box<str>>);

#[derive(Debug)]
struct Compiled {
    bodies: Vec<(BodyFormat, Validator)>,
    parameters: Vec<Option<Validator>>,
}

impl SchemaComponents {
    /// Collects the schemas in the components of a document.
    pub fn new(schemas: impl IntoIterator<Item = (String, Json)>) -> Self {
        Self(schemas.into_iter().map(|(name, schema)| (name, schema.to_string().into())).collect())
    }

    /// Returns a schema together with the components that it refers to.
    fn around(&self, schema: &Json) -> Result<Json, serde_json::Error> {
        let mut needed: BTreeMap<&str, Json> = BTreeMap::new();
        let mut wanted = Vec::new();
        references(schema, &mut wanted);
        while let Some(reference) = wanted.pop() {
            let Some((name, text)) = self.at(&reference) else { continue };
            if !needed.contains_key(name) {
                let value = serde_json::from_str(text)?;
                references(&value, &mut wanted);
                needed.insert(name, value);
            }
        }
        let schemas: Map<String, Json> = needed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(json!({"components": {"schemas": schemas}, "allOf": [schema]}))
    }

    /// Finds the schema that a reference leads to, or into.
    fn at(&self, reference: &str) -> Option<(&str, &str)> {
        let step = reference.strip_prefix(SCHEMAS)?.split('/').next()?;
        self.0.get_key_value(&step.replace("~1", "/").replace("~0", "~")).map(|(name, text)| (name.as_str(), &**text))
    }
}

/// Collects the references in a schema and its subschemas.
fn references(schema: &Json, found: &mut Vec<String>) {
    subschemas::each(schema, &mut |members| {
        if let Some(Json::String(reference)) = members.get("$ref") {
            found.push(reference.clone());
        }
    });
}

/// Rewrites the patterns of a schema for the validator. Leaves out those that it can't run, if `all` is false.
fn rewrite_patterns(schema: &mut Json, all: bool) {
    subschemas::each_mut(schema, &mut |members| {
        if let Some(Json::String(pattern)) = members.get("pattern") {
            if all || ecma_pattern::is_usable(pattern) {
                let rewritten = ecma_pattern::rewrite(pattern).into_owned();
                members.insert("pattern".to_owned(), rewritten.into());
            } else {
                members.shift_remove("pattern");
            }
        }
        if let Some(Json::Object(patterns)) = members.get_mut("patternProperties") {
            let usable = std::mem::take(patterns).into_iter().filter(|(pattern, _)| all || ecma_pattern::is_usable(pattern));
            *patterns = usable.map(|(pattern, schema)| (ecma_pattern::rewrite(&pattern).into_owned(), schema)).collect();
        }
    });
}

impl RequestSchemas {
    /// Creates the schemas of an operation from JSON texts.
    pub fn new(components: Arc<SchemaComponents>, bodies: Vec<(BodyFormat, Arc<str>)>, parameters: Vec<Option<Arc<str>>>) -> Self {
        Self { components, bodies, parameters, compiled: OnceLock::new() }
    }

    /// Compiles a schema; `None`: it is not valid, which `prism frontend lint` reports.
    fn compile(&self, schema: &str) -> Option<Validator> {
        let schema = serde_json::from_str(schema).ok()?;
        let build = |all: bool| {
            let mut whole = self.components.around(&schema).ok()?;
            if let Some(Json::Object(components)) = whole.pointer_mut("/components/schemas") {
                components.values_mut().for_each(|schema| rewrite_patterns(schema, all));
            }
            rewrite_patterns(&mut whole, all);
            jsonschema::options().with_draft(Draft::Draft202012).offline().build(&whole).ok()
        };
        build(true).or_else(|| build(false))
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let bodies = self.bodies.iter().filter_map(|(reading, schema)| Some((*reading, self.compile(schema)?)));
            let parameter = |schema: &Option<Arc<str>>| self.compile(schema.as_ref()?);
            Compiled { bodies: bodies.collect(), parameters: self.parameters.iter().map(parameter).collect() }
        })
    }

    /// Validates a body. The error names the member.
    pub fn body(&self, reading: BodyFormat, tree: &Json) -> Result<(), Error> {
        self.body_at("", reading, tree)
    }

    /// Validates an item of a list.
    pub fn item(&self, place: &str, tree: &Json) -> Result<(), Error> {
        self.body_at(place, BodyFormat::Lines, tree)
    }

    fn body_at(&self, place: &str, reading: BodyFormat, tree: &Json) -> Result<(), Error> {
        if self.bodies.is_empty() {
            return Ok(());
        }
        let Some((_, validator)) = self.compiled().bodies.iter().find(|(known, _)| *known == reading) else { return Ok(()) };
        match first(validator, tree) {
            None => Ok(()),
            Some((path, description)) => Err(Error::invalid(within(place, &path), description)),
        }
    }

    /// Validates a parameter. The error describes what is wrong.
    pub fn parameter(&self, place: usize, value: &Json) -> Result<(), String> {
        if self.parameters.get(place).is_none_or(Option::is_none) {
            return Ok(());
        }
        let Some(Some(validator)) = self.compiled().parameters.get(place) else { return Ok(()) };
        first(validator, value).map_or(Ok(()), |(_, description)| Err(description))
    }
}

/// Returns the path of a member in an item.
pub fn within(place: &str, path: &str) -> String {
    let separator = if place.is_empty() || path.is_empty() || path.starts_with(['[', '.']) { "" } else { "." };
    format!("{place}{separator}{path}")
}

/// Returns the first violation: the path of the member, such as `items[0].key`, and a description.
fn first(validator: &Validator, value: &Json) -> Option<(String, String)> {
    let error = validator.iter_errors(value).next()?;
    let mut path = String::new();
    for step in error.instance_path().as_str().split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|byte| byte.is_ascii_digit()) && !step.is_empty() {
            path.extend(["[", &step, "]"]);
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        }
    }
    let mut description = error.to_string();
    if description.len() > MAX_DESCRIPTION {
        // Without the value, so that the expectation is not cut off.
        description = error.masked_with("it").to_string();
    }
    if description.len() > MAX_DESCRIPTION {
        let end = (0..=MAX_DESCRIPTION).rev().find(|end| description.is_char_boundary(*end)).unwrap_or_default();
        description.truncate(end);
        description.push('…');
    }
    Some((path, description))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> SchemaComponents {
        let schemas = json!({
            "Note": {"type": "object", "properties": {"text": {"$ref": "#/components/schemas/Text"}, "next": {"$ref": "#/components/schemas/Note"}}},
            "Text": {"type": "string", "maxLength": 3},
            "a/b": {"type": "integer", "default": {"$ref": "#/components/schemas/Other"}},
            "Other": {"type": "boolean"},
        });
        SchemaComponents::new(schemas.as_object().unwrap().clone())
    }

    #[test]
    fn a_schema_includes_the_components_that_it_refers_to() {
        let components = components();
        let brought = |reference: &str| {
            let whole = components.around(&json!({"items": {"$ref": reference}})).unwrap();
            whole["components"]["schemas"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(brought("#/components/schemas/Note"), ["Note", "Text"]);
        assert_eq!(brought("#/components/schemas/Note/properties/text"), ["Note", "Text"]);
        assert_eq!(components.around(&json!({"type": "string"})).unwrap()["components"]["schemas"], json!({}));
        assert_eq!(brought("#/components/schemas/a~1b"), ["a/b"], "a default is data");
    }

    #[test]
    fn references_resolve_and_patterns_that_cannot_run_check_nothing() {
        for (schema, good, bad) in [
            (json!({"$ref": "#/components/schemas/Note"}), json!({"next": {"text": "abc"}}), json!({"next": {"text": "abcd"}})),
            (json!({"$ref": "#/components/schemas/a~1b"}), json!(1), json!("a")),
            (json!({"pattern": "^[\\w-.]+$"}), json!("a-b"), json!("a b")),
            (json!({"pattern": "(", "minLength": 2}), json!("ab"), json!("a")),
            (json!({"patternProperties": {"^[\\w-.]$": {"type": "null"}}}), json!({"a": null}), json!({"a": 1})),
        ] {
            let checks = RequestSchemas::new(Arc::new(components()), vec![(BodyFormat::Json, schema.to_string().into())], Vec::new());
            assert!(checks.body(BodyFormat::Json, &good).is_ok(), "{schema}");
            assert!(checks.body(BodyFormat::Json, &bad).is_err(), "{schema}");
        }
    }
}
