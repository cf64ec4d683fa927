//! Validates requests against the JSON schemas in the OpenAPI document.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value as Json, json};

use super::input::BodyFormat;
use prism_call::Error;

/// Maximum length of a description in bytes, because it may quote the request.
const MAX_DESCRIPTION: usize = 300;
/// Prefix of references to components.
const COMPONENTS: &str = "#/components/";

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

/// The components of a document as JSON, by section and name, such as `schemas/Note`.
#[derive(Debug, Default)]
pub struct SchemaComponents(BTreeMap<String, Box<str>>);

#[derive(Debug)]
struct Compiled {
    bodies: Vec<(BodyFormat, Validator)>,
    parameters: Vec<Option<Validator>>,
}

impl SchemaComponents {
    /// Collects the components of a document.
    pub fn of(document: &Json) -> Self {
        let sections = document.get("components").and_then(Json::as_object).into_iter().flatten();
        let named = sections.flat_map(|(section, members)| members.as_object().into_iter().flatten().map(move |member| (section, member)));
        Self(named.map(|(section, (name, value))| (format!("{section}/{name}"), value.to_string().into())).collect())
    }

    /// Returns a schema together with the components that it refers to.
    fn around(&self, schema: &Json) -> Result<Json, serde_json::Error> {
        let mut needed: BTreeMap<&str, Json> = BTreeMap::new();
        let mut wanted = Vec::new();
        references(schema, &mut wanted);
        while let Some(reference) = wanted.pop() {
            let component = reference.strip_prefix(COMPONENTS).and_then(|path| self.at(path));
            // A reference in another form may need any component.
            let more = component.map_or_else(|| self.all().collect(), |one| vec![one]);
            for (name, text) in more {
                if !needed.contains_key(name) {
                    let value = serde_json::from_str(text)?;
                    references(&value, &mut wanted);
                    needed.insert(name, value);
                }
            }
        }
        let mut sections = Map::new();
        for (name, value) in needed {
            let (section, name) = name.split_once('/').unwrap_or((name, ""));
            sections.entry(section).or_insert_with(|| json!({}))[name] = value;
        }
        Ok(json!({"components": sections, "allOf": [schema]}))
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), &**text))
    }

    /// Finds the component that a path refers to, or into.
    fn at(&self, path: &str) -> Option<(&str, &str)> {
        let end = path.match_indices('/').nth(1).map_or(path.len(), |(end, _)| end);
        self.0.get_key_value(path.get(..end)?).map(|(name, text)| (name.as_str(), &**text))
    }
}

/// Collects the references in a schema and its subschemas.
fn references(schema: &Json, found: &mut Vec<String>) {
    match schema {
        Json::Object(members) => members.iter().for_each(|(name, value)| match value {
            Json::String(reference) if name == "$ref" || name == "$dynamicRef" => found.push(reference.clone()),
            value => references(value, found),
        }),
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

impl RequestSchemas {
    /// Creates the schemas of an operation from JSON texts.
    pub fn new(components: Arc<SchemaComponents>, bodies: Vec<(BodyFormat, Arc<str>)>, parameters: Vec<Option<Arc<str>>>) -> Self {
        Self { components, bodies, parameters, compiled: OnceLock::new() }
    }

    /// Returns the errors in the schemas.
    pub fn problems(&self) -> Vec<String> {
        let schemas = self.bodies.iter().map(|(_, schema)| schema).chain(self.parameters.iter().flatten());
        schemas.filter_map(|schema| self.compile(schema).err()).collect()
    }

    fn compile(&self, schema: &str) -> Result<Validator, String> {
        let whole = serde_json::from_str(schema).and_then(|schema| self.components.around(&schema)).map_err(|error| error.to_string())?;
        jsonschema::options().with_draft(Draft::Draft202012).offline().build(&whole).map_err(|error| error.to_string())
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            // Invalid schemas were reported when the definition was loaded. Those that refer to another document check nothing.
            let bodies = self.bodies.iter().filter_map(|(reading, schema)| Some((*reading, self.compile(schema).ok()?)));
            let parameter = |schema: &Option<Arc<str>>| self.compile(schema.as_ref()?).ok();
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
        SchemaComponents::of(&json!({"components": {
            "schemas": {
                "Note": {"type": "object", "properties": {"text": {"$ref": "#/components/schemas/Text"}, "next": {"$ref": "#/components/schemas/Note"}}},
                "Text": {"type": "string", "maxLength": 3},
                "a/b": {"type": "integer"},
                "Other": {"type": "boolean"},
            },
            "parameters": {"Limit": {"name": "limit", "schema": {"minimum": 1}}},
        }}))
    }

    #[test]
    fn a_schema_includes_the_components_that_it_refers_to() {
        let components = components();
        let brought = |reference: &str| {
            let whole = components.around(&json!({"items": [{"$ref": reference}]})).unwrap();
            let sections = whole["components"].as_object().unwrap().values();
            sections.flat_map(|section| section.as_object().unwrap().keys().cloned()).collect::<Vec<_>>()
        };
        assert_eq!(brought("#/components/schemas/Note"), ["Note", "Text"]);
        assert_eq!(brought("#/components/schemas/Note/properties/text"), ["Note", "Text"]);
        assert_eq!(brought("#/components/parameters/Limit/schema"), ["Limit"]);
        assert_eq!(components.around(&json!({"type": "string"})).unwrap()["components"], json!({}));
        // A reference in another form includes all components.
        assert_eq!(brought("#/components/schemas/a~1b").len(), 5);
    }

    #[test]
    fn references_resolve_in_all_forms() {
        for (reference, good, bad) in [
            ("#/components/schemas/Note", json!({"next": {"text": "abc"}}), json!({"next": {"text": "abcd"}})),
            ("#/components/schemas/a~1b", json!(1), json!("a")),
            ("#/components/parameters/Limit/schema", json!(1), json!(0)),
        ] {
            let body = json!({"$ref": reference}).to_string().into();
            let checks = RequestSchemas::new(Arc::new(components()), vec![(BodyFormat::Json, body)], Vec::new());
            assert!(checks.problems().is_empty());
            assert!(checks.body(BodyFormat::Json, &good).is_ok(), "{reference}");
            assert!(checks.body(BodyFormat::Json, &bad).is_err(), "{reference}");
        }
    }
}
