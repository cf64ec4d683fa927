//! Converts the schemas of parameters and form fields to what their texts become.

use serde_json::Value as Json;

use super::types::Schemas;
use crate::mapping::{TextObject, TextType};

/// Maximum nesting. Deeper schemas may be anything.
const MAX_DEPTH: usize = 8;

impl<'d> Schemas<'d> {
    /// Returns what a text becomes.
    pub fn text_type(&self, schema: &'d Json) -> TextType {
        self.text_at(schema, 0)
    }

    /// Each schema is converted once for each depth, because many schemas refer to it.
    fn text_at(&self, schema: &'d Json, depth: usize) -> TextType {
        let Some(schema) = self.resolve(schema).filter(|_| depth <= MAX_DEPTH) else { return TextType::Any };
        let key = (std::ptr::from_ref(schema), depth);
        if let Some(known) = self.texts.borrow().get(&key) {
            return known.clone();
        }
        let computed = self.compute_text(schema, depth);
        self.texts.borrow_mut().insert(key, computed.clone());
        computed
    }

    fn compute_text(&self, schema: &'d Json, depth: usize) -> TextType {
        if let Some(Json::Array(choices)) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
            let mut kinds = Vec::new();
            for choice in choices {
                add(&mut kinds, self.text_at(choice, depth + 1));
            }
            return join(kinds);
        }
        if let Some(Json::Array(parts)) = schema.get("allOf") {
            return self.text_of_parts(schema, parts, depth);
        }
        match schema.get("type") {
            Some(Json::String(kind)) => self.text_of_kind(kind, schema, depth),
            Some(Json::Array(kinds)) => {
                let mut list = Vec::new();
                kinds.iter().filter_map(Json::as_str).for_each(|kind| add(&mut list, self.text_of_kind(kind, schema, depth)));
                // An empty text is a string, where it may be one.
                if list.len() > 1 && list.contains(&TextType::Text) {
                    list.retain(|kind| *kind != TextType::Null);
                }
                join(list)
            }
            _ => self.text_without_type(schema, depth),
        }
    }

    fn text_of_kind(&self, kind: &str, schema: &'d Json, depth: usize) -> TextType {
        match kind {
            "string" => match values(schema) {
                Some(values) => TextType::Listed(values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()),
                None if schema.get("pattern").is_some() || schema.get("format").is_some() => TextType::Formatted,
                None => TextType::Text,
            },
            "boolean" => TextType::Bool,
            "integer" if schema.get("format").and_then(Json::as_str) == Some("uint64") => TextType::Uint,
            "integer" => TextType::Int,
            "number" => TextType::Number,
            "null" => TextType::Null,
            "array" => TextType::List(schema.get("items").map_or(TextType::Any, |items| self.text_at(items, depth + 1)).into()),
            "object" => TextType::Object(self.text_object(schema, depth).into()),
            _ => TextType::Any,
        }
    }

    /// Guesses the type by the other keywords.
    fn text_without_type(&self, schema: &'d Json, depth: usize) -> TextType {
        if let Some(values) = values(schema) {
            let mut kinds = Vec::new();
            for value in values {
                add(
                    &mut kinds,
                    match value {
                        Json::String(_) => TextType::Listed(values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()),
                        Json::Bool(_) => TextType::Bool,
                        Json::Number(number) if number.is_f64() => TextType::Number,
                        Json::Number(_) => TextType::Int,
                        Json::Null => TextType::Null,
                        _ => TextType::Any,
                    },
                );
            }
            return join(kinds);
        }
        if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() {
            return TextType::Object(self.text_object(schema, depth).into());
        }
        match schema.get("items") {
            Some(items) => TextType::List(self.text_at(items, depth + 1).into()),
            None => TextType::Any,
        }
    }

    fn text_object(&self, schema: &'d Json, depth: usize) -> TextObject {
        let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
        let others = schema.get("additionalProperties");
        TextObject {
            members: properties.map(|(name, property)| (name.clone(), self.text_at(property, depth + 1))).collect(),
            others: match others {
                Some(Json::Bool(false)) => None,
                Some(others @ Json::Object(_)) => Some(self.text_at(others, depth + 1)),
                _ => Some(TextType::Any),
            },
            takes_any: others.is_some_and(|others| *others != Json::Bool(false)),
        }
    }

    /// Joins the parts of `allOf`: the members of objects, or the first part that has a type.
    fn text_of_parts(&self, schema: &'d Json, parts: &'d [Json], depth: usize) -> TextType {
        let own = schema.get("properties").is_some().then(|| TextType::Object(self.text_object(schema, depth).into()));
        let mut whole = TextType::Any;
        for part in parts.iter().map(|part| self.text_at(part, depth + 1)).chain(own) {
            whole = match (whole, part) {
                (TextType::Object(one), TextType::Object(other)) => {
                    let mut members = one.members.clone();
                    for (name, kind) in &other.members {
                        match members.iter_mut().find(|(known, _)| known == name) {
                            Some((_, known)) if *known == TextType::Any => *known = kind.clone(),
                            Some(_) => {}
                            None => members.push((name.clone(), kind.clone())),
                        }
                    }
                    let others = one.others.clone().filter(|kind| *kind != TextType::Any).or_else(|| other.others.clone());
                    TextType::Object(TextObject { members, others, takes_any: one.takes_any || other.takes_any }.into())
                }
                (TextType::Any, part) => part,
                (whole, _) => whole,
            };
        }
        whole
    }
}

/// Returns the values that a schema lists.
fn values(schema: &Json) -> Option<&[Json]> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Json::Array(values)), _) => Some(values),
        (_, Some(value)) => Some(std::slice::from_ref(value)),
        _ => None,
    }
}

/// Adds a type to a list of choices, if it is not there.
fn add(kinds: &mut Vec<TextType>, kind: TextType) {
    match kind {
        TextType::Choice(choices) => choices.iter().cloned().for_each(|choice| add(kinds, choice)),
        kind @ (TextType::Object(_) | TextType::List(_)) => kinds.push(kind),
        kind if kinds.contains(&kind) => {}
        kind => kinds.push(kind),
    }
}

fn join(mut kinds: Vec<TextType>) -> TextType {
    match kinds.len() {
        0 => TextType::Any,
        1 => kinds.remove(0),
        _ => TextType::Choice(kinds.into()),
    }
}
