//! Path templates and path parameters in OpenAPI.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Value, json};

use super::{
    examples,
    schemas::{ComponentSchemas, describe},
    values::Direction,
};
use crate::{
    percent::{self, Slash},
    template::{PathTemplate, Segment, Variable},
};

/// Renders a template for OpenAPI: `/v1/keys/{key=**}` → `/v1/keys/{key}`. A wildcard outside a variable gets its own name.
pub fn template(template: &PathTemplate) -> String {
    let mut out = String::new();
    let mut index = 0;
    while index < template.segments().len() {
        // Writing to a string cannot fail.
        let _ = match (variable_at(template, index), &template.segments()[index]) {
            (Some(variable), _) => {
                index = variable.end - 1;
                write!(out, "/{{{}}}", variable.field.join("."))
            }
            (None, Segment::Literal(literal)) => write!(out, "/{}", percent::encode(literal, Slash::Decoded)),
            (None, Segment::One | Segment::Rest | Segment::Mixed(_)) => write!(out, "/{{{}}}", wildcard(index)),
        };
        index += 1;
    }
    if out.is_empty() {
        out.push('/');
    }
    if let Some(verb) = template.verb() {
        let _ = write!(out, ":{verb}");
    }
    out
}

fn variable_at(template: &PathTemplate, index: usize) -> Option<&Variable> {
    template.variables().iter().find(|variable| variable.start == index)
}

fn wildcard(index: usize) -> String {
    format!("segment{}", index + 1)
}

/// Returns the parameters of a template.
pub fn parameters(schemas: &mut ComponentSchemas, input: &MessageDescriptor, template: &PathTemplate) -> Vec<Value> {
    let mut parameters = Vec::new();
    for variable in template.variables() {
        let Some(field) = resolve(input, &variable.field) else { continue };
        let mut schema = schemas.field(&field, Direction::Text);
        let segments = &template.segments()[variable.start..variable.end];
        if let Some(pattern) = pattern(segments) {
            schema["pattern"] = pattern.into();
        }
        // An empty value would leave the path without this segment.
        if schema["type"] == "string" && schema.get("minLength").is_none() {
            schema["minLength"] = 1.into();
        }
        let mut parameter = json!({"name": variable.field.join("."), "in": "path", "required": true});
        describe(&mut parameter, field.full_name());
        if segments.contains(&Segment::Rest) || segments.len() > 1 {
            let comment = parameter["description"].as_str().unwrap_or_default();
            let more = "A `/` in it is written as it is, not as `%2F`.";
            parameter["description"] = format!("{comment}\n\n{more}").trim_start().into();
        }
        parameter["schema"] = schema;
        parameter["example"] = example(&field, segments);
        parameters.push(parameter);
    }
    let taken = |index: usize| template.variables().iter().any(|variable| (variable.start..variable.end).contains(&index));
    for (index, segment) in template.segments().iter().enumerate() {
        if !taken(index) && !matches!(segment, Segment::Literal(_)) {
            parameters.push(json!({
                "name": wildcard(index),
                "in": "path",
                "required": true,
                "description": "Anything; it makes no difference.",
                "schema": {"type": "string", "minLength": 1},
                "example": "any",
            }));
        }
    }
    parameters
}

/// Returns the pattern for a variable of several segments, or `None` if it contains no literals.
fn pattern(segments: &[Segment]) -> Option<String> {
    if !segments.iter().any(|segment| matches!(segment, Segment::Literal(_))) {
        return None;
    }
    let parts: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(literal) => regex::escape(literal),
            Segment::One | Segment::Mixed(_) => "[^/]+".to_owned(),
            Segment::Rest => ".*".to_owned(),
        })
        .collect();
    Some(format!("^{}$", parts.join("/")))
}

fn example(field: &FieldDescriptor, segments: &[Segment]) -> Value {
    if segments.len() == 1 {
        return examples::field(field);
    }
    let parts: Vec<&str> = segments.iter().map(|segment| if let Segment::Literal(literal) = segment { literal } else { "1" }).collect();
    parts.join("/").into()
}

/// Returns the field for a path of names that begins at the request message.
pub fn resolve(message: &MessageDescriptor, names: &[String]) -> Option<FieldDescriptor> {
    let (first, rest) = names.split_first()?;
    let field = message.get_field_by_name(first).or_else(|| message.get_field_by_json_name(first))?;
    if rest.is_empty() {
        return Some(field);
    }
    resolve(field.kind().as_message()?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_rendered_for_openapi() {
        for (ours, theirs) in [
            ("/v1/keys/{key=**}", "/v1/keys/{key}"),
            ("/v1/{name=shelves/*}/books/{book.id}:read", "/v1/{name}/books/{book.id}:read"),
            ("/v1/*/x/**", "/v1/{segment2}/x/{segment4}"),
            ("/", "/"),
        ] {
            assert_eq!(template(&PathTemplate::parse(ours).unwrap()), theirs);
        }
    }
}
