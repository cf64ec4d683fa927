//! Converts the schemas of an OpenAPI document to static types, as far as the type check of expressions needs them.

use std::{cell::RefCell, collections::HashMap};

use serde_json::Value as Json;

use crate::{
    expression::{Member, Object, Type},
    mapping::TextType,
};

/// Maximum nesting. Deeper schemas, for example recursive ones, are [`Type::Dyn`].
const MAX_DEPTH: usize = 6;
/// Maximum number of references that lead to each other.
const MAX_CHAIN: usize = 64;

/// In which direction a value is sent. Members that are read-only are not required in requests, and those that are write-only are not
/// required in responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the server.
    Request,
    /// To the client.
    Response,
}

/// The schemas of a document.
#[derive(Debug)]
pub struct Schemas<'d> {
    root: &'d Json,
    /// The types of schemas to which references lead, by their address and depth. Most types of a large document are used many times.
    known: RefCell<HashMap<(*const Json, usize, Direction), Type>>,
    /// What texts become by these schemas.
    pub(super) texts: RefCell<HashMap<(*const Json, usize), TextType>>,
}

impl<'d> Schemas<'d> {
    /// Creates the schemas of a document.
    pub fn new(root: &'d Json) -> Self {
        Self { root, known: RefCell::default(), texts: RefCell::default() }
    }

    /// Follows `$ref`. Returns `None` for references that lead to nothing.
    pub fn resolve(&self, schema: &'d Json) -> Option<&'d Json> {
        let mut current = schema;
        for _ in 0..MAX_CHAIN {
            let Some(reference) = current.get("$ref").and_then(Json::as_str) else { return Some(current) };
            current = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }

    /// Returns the type that a schema describes.
    pub fn type_of(&self, schema: &'d Json, direction: Direction) -> Type {
        self.at(schema, direction, 0)
    }

    fn at(&self, schema: &'d Json, direction: Direction, depth: usize) -> Type {
        if depth > MAX_DEPTH {
            return Type::Dyn;
        }
        let Some(resolved) = self.resolve(schema) else { return Type::Dyn };
        if std::ptr::eq(resolved, schema) {
            return self.compute(resolved, direction, depth);
        }
        let key = (std::ptr::from_ref(resolved), depth, direction);
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let computed = self.compute(resolved, direction, depth);
        self.known.borrow_mut().insert(key, computed.clone());
        computed
    }

    fn compute(&self, schema: &'d Json, direction: Direction, depth: usize) -> Type {
        if let Some(Json::Array(parts)) = schema.get("allOf") {
            return self.all_of(schema, parts, direction, depth);
        }
        if let Some(Json::Array(choices)) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
            let types = choices.iter().map(|choice| self.at(choice, direction, depth + 1));
            return types.reduce(|one, other| one.join(&other)).unwrap_or(Type::Dyn);
        }
        let format = schema.get("format").and_then(Json::as_str).unwrap_or_default();
        match kind(schema) {
            Some("string") if format == "binary" => Type::Bytes,
            // Base64 in JSON; bytes in expressions and fields.
            Some("string") if format == "byte" || schema.get("contentEncoding").and_then(Json::as_str) == Some("base64") => Type::Bytes,
            Some("string") => Type::String,
            Some("boolean") => Type::Bool,
            Some("integer") if format == "uint64" => Type::Uint,
            Some("integer") => Type::Int,
            Some("number") => Type::Double,
            Some("null") => Type::Null,
            Some("array") => Type::list(schema.get("items").map_or(Type::Dyn, |items| self.at(items, direction, depth + 1))),
            Some("object") => self.object(schema, direction, depth),
            None if schema.get("properties").is_some() => self.object(schema, direction, depth),
            _ => Type::Dyn,
        }
    }

    fn object(&self, schema: &'d Json, direction: Direction, depth: usize) -> Type {
        let Some(Json::Object(properties)) = schema.get("properties") else {
            return match schema.get("additionalProperties") {
                Some(values @ Json::Object(_)) => Type::map(self.at(values, direction, depth + 1)),
                _ => Type::map(Type::Dyn),
            };
        };
        let required = required(schema);
        let members = properties.iter().map(|(name, property)| Member {
            name: name.clone(),
            value: self.at(property, direction, depth + 1),
            required: required.contains(&name.as_str()) && !self.is_of_other_direction(property, direction),
        });
        let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
        Type::Object(Object { members: members.collect(), open: !closed }.into())
    }

    /// Joins the members of all parts. If a part is not an object, the type is known only at run time, unless it is the only part.
    fn all_of(&self, schema: &'d Json, parts: &'d [Json], direction: Direction, depth: usize) -> Type {
        // The schema itself is a part, too, if it says more than its parts.
        let own = schema.get("properties").is_some().then(|| self.object(schema, direction, depth));
        let mut types = parts.iter().filter(|part| self.describes(part)).map(|part| self.at(part, direction, depth + 1)).chain(own);
        let Some(mut whole) = types.next() else { return Type::Dyn };
        for part in types {
            whole = match (whole, part) {
                (Type::Object(one), Type::Object(other)) => {
                    let mut joined = Object { members: one.members.clone(), open: one.open && other.open };
                    for member in &other.members {
                        match joined.members.iter_mut().find(|known| known.name == member.name) {
                            // Both parts apply, so a member has both types.
                            Some(known) => {
                                known.required |= member.required;
                                if known.value == Type::Dyn {
                                    known.value = member.value.clone();
                                }
                            }
                            None => joined.members.push(member.clone()),
                        }
                    }
                    Type::Object(joined.into())
                }
                (one, other) if one == other => one,
                // What is known of one part holds for the whole.
                (Type::Object(object), Type::Dyn) | (Type::Dyn, Type::Object(object)) => {
                    Type::Object(Object { members: object.members.clone(), open: true }.into())
                }
                (known, Type::Dyn) | (Type::Dyn, known) => known,
                _ => return Type::Dyn,
            };
        }
        let required = required(schema);
        match whole {
            Type::Object(object) if object.members.iter().any(|member| !member.required && required.contains(&member.name.as_str())) => {
                let members = object.members.iter().cloned().map(|mut member| {
                    member.required |= required.contains(&member.name.as_str());
                    member
                });
                Type::Object(Object { members: members.collect(), open: object.open }.into())
            }
            whole => whole,
        }
    }

    /// Whether a part of `allOf` describes a type, and not only an annotation such as a description.
    fn describes(&self, part: &'d Json) -> bool {
        const ANNOTATIONS: [&str; 10] =
            ["description", "title", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "nullable", "required"];
        self.resolve(part).and_then(Json::as_object).is_some_and(|members| members.keys().any(|key| !ANNOTATIONS.contains(&key.as_str())))
    }

    /// Whether a member is sent in the other direction only. The schema may say it, what it refers to, or a part of it.
    pub fn is_of_other_direction(&self, property: &'d Json, direction: Direction) -> bool {
        let keyword = if direction == Direction::Request { "readOnly" } else { "writeOnly" };
        let own = |schema: &Json| schema.get(keyword) == Some(&Json::Bool(true));
        let resolved = self.resolve(property);
        own(property)
            || resolved.is_some_and(own)
            || resolved
                .and_then(|schema| schema.get("allOf"))
                .and_then(Json::as_array)
                .is_some_and(|parts| parts.iter().any(|part| own(part) || self.resolve(part).is_some_and(own)))
    }
}

/// Returns the names that a schema requires.
fn required(schema: &Json) -> Vec<&str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Returns the only type of a schema, not counting `null`.
pub fn kind(schema: &Json) -> Option<&str> {
    match schema.get("type")? {
        Json::String(kind) => Some(kind),
        Json::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Json::as_str).filter(|kind| *kind != "null");
            let first = kinds.next()?;
            kinds.next().is_none().then_some(first)
        }
        _ => None,
    }
}
