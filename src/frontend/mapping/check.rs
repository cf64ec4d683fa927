//! Holds requests against the schemas of their document.

use std::sync::{Arc, OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::{Value as Json, json};

use crate::{call::Error, frontend::definition::Reading};

/// Longest description of what doesn't fit: it may quote what was sent.
const MAX_DESCRIPTION: usize = 300;

/// The schemas of an operation. They are compiled when the first request comes, so that a gateway starts quickly.
#[derive(Debug, Default)]
pub struct Checks {
    /// The document's components, which schemas refer to.
    pub components: Arc<Json>,
    /// Of the bodies that are JSON or forms.
    pub bodies: Vec<(Reading, Json)>,
    /// Of the parameters, in their order; none: anything goes.
    pub parameters: Vec<Option<Json>>,
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    bodies: Vec<(Reading, Validator)>,
    parameters: Vec<Option<Validator>>,
}

impl Checks {
    /// Of these schemas.
    pub fn new(components: Arc<Json>, bodies: Vec<(Reading, Json)>, parameters: Vec<Option<Json>>) -> Self {
        Self { components, bodies, parameters, compiled: OnceLock::new() }
    }

    /// What is wrong with the schemas themselves.
    pub fn problems(&self) -> Vec<String> {
        let schemas = self.bodies.iter().map(|(_, schema)| schema).chain(self.parameters.iter().flatten());
        schemas.filter_map(|schema| self.compile(schema).err()).collect()
    }

    fn compile(&self, schema: &Json) -> Result<Validator, String> {
        let whole = json!({"components": &*self.components, "allOf": [schema]});
        jsonschema::options().with_draft(Draft::Draft202012).offline().build(&whole).map_err(|error| error.to_string())
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            // A schema that can't be compiled was a problem when the definition was loaded with its checks, or refers to
            // outside of the document; it refuses nothing.
            let bodies = self.bodies.iter().filter_map(|(reading, schema)| Some((*reading, self.compile(schema).ok()?)));
            let parameter = |schema: &Option<Json>| self.compile(schema.as_ref()?).ok();
            Compiled { bodies: bodies.collect(), parameters: self.parameters.iter().map(parameter).collect() }
        })
    }

    /// Whether a body is as its schema says. The error names the member.
    pub fn body(&self, reading: Reading, tree: &Json) -> Result<(), Error> {
        if self.bodies.is_empty() {
            return Ok(());
        }
        let Some((_, validator)) = self.compiled().bodies.iter().find(|(known, _)| *known == reading) else { return Ok(()) };
        match first(validator, tree) {
            None => Ok(()),
            Some((path, description)) => Err(Error::invalid(path, description)),
        }
    }

    /// Whether a parameter is as its schema says, or what is wrong with it.
    pub fn parameter(&self, place: usize, value: &Json) -> Result<(), String> {
        if self.parameters.get(place).is_none_or(Option::is_none) {
            return Ok(());
        }
        let Some(Some(validator)) = self.compiled().parameters.get(place) else { return Ok(()) };
        first(validator, value).map_or(Ok(()), |(_, description)| Err(description))
    }
}

/// The first thing that is wrong: the path of the member, as `items[0].key`, and what it is.
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
        // What it should be counts more than what it is, which stands first.
        description = error.masked_with("it").to_string();
    }
    if description.len() > MAX_DESCRIPTION {
        let end = (0..=MAX_DESCRIPTION).rev().find(|end| description.is_char_boundary(*end)).unwrap_or_default();
        description.truncate(end);
        description.push('…');
    }
    Some((path, description))
}
