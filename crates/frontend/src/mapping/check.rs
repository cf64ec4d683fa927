//! Validates requests against the JSON schemas in the OpenAPI document.

use std::sync::{Arc, OnceLock};

use jsonschema::Validator;
use serde_json::Value as Json;

use super::{
    input::BodyFormat,
    shared_schemas::{SchemaComponents, violation},
};
use crate::json_pointer;
use prism_call::Error;

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

#[derive(Debug)]
struct Compiled {
    bodies: Vec<(BodyFormat, Validator)>,
    parameters: Vec<Option<Validator>>,
}

impl RequestSchemas {
    /// Creates the schemas of an operation from JSON texts.
    pub fn new(components: Arc<SchemaComponents>, bodies: Vec<(BodyFormat, Arc<str>)>, parameters: Vec<Option<Arc<str>>>) -> Self {
        Self { components, bodies, parameters, compiled: OnceLock::new() }
    }

    fn compile(&self, schema: &str) -> Option<Validator> {
        self.components.compile(&serde_json::from_str(schema).ok()?)
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
    // Most requests are valid. Finding that out costs much less than a description of what is wrong.
    if validator.is_valid(value) {
        return None;
    }
    let (pointer, description) = violation(validator, value)?;
    let mut path = String::new();
    for step in json_pointer::tokens(&pointer) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) && !step.is_empty() {
            path.extend(["[", &step, "]"]);
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        }
    }
    Some((path, description))
}
