//! Converts the schemas of an OpenAPI document to static types, as far as the type check of expressions needs them.

use crate::expression::{Member, Object, Type};
use prism_yaml::{Node, Value};

/// Maximum nesting. Deeper schemas, for example recursive ones, are [`Type::Dyn`].
const MAX_DEPTH: usize = 6;

/// Follows `$ref` within the document. Returns `None` for references to other documents or to nothing.
pub fn resolve<'n>(root: &'n Node, node: &'n Node) -> Option<&'n Node> {
    let mut current = node;
    // A reference may refer to another reference. The limit ends cycles.
    for _ in 0..8 {
        let Some(reference) = current.get("$ref").and_then(Node::text) else { return Some(current) };
        current = follow(root, reference)?;
    }
    None
}

fn follow<'n>(root: &'n Node, reference: &str) -> Option<&'n Node> {
    let path = reference.strip_prefix("#/")?;
    path.split('/').try_fold(root, |node, step| {
        let name = step.replace("~1", "/").replace("~0", "~");
        node.get(&name)
    })
}

/// Returns the type that a schema describes.
pub fn of(root: &Node, schema: &Node) -> Type {
    at(root, schema, 0)
}

fn at(root: &Node, schema: &Node, depth: usize) -> Type {
    if depth > MAX_DEPTH {
        return Type::Dyn;
    }
    let Some(schema) = resolve(root, schema) else { return Type::Dyn };
    if let Some(all) = schema.get("allOf") {
        return all_of(root, all, depth);
    }
    if let Some(some) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
        let Value::List(choices) = &some.value else { return Type::Dyn };
        let types = choices.iter().map(|choice| at(root, choice, depth + 1));
        return types.reduce(|one, other| one.join(&other)).unwrap_or(Type::Dyn);
    }
    let format = schema.get("format").and_then(Node::text).unwrap_or_default();
    match kind(schema).as_deref() {
        Some("string") if format == "binary" => Type::Bytes,
        // Base64 in JSON; bytes in expressions and fields.
        Some("string") if format == "byte" || schema.get("contentEncoding").and_then(Node::text) == Some("base64") => Type::Bytes,
        Some("string") => Type::String,
        Some("boolean") => Type::Bool,
        Some("integer") if format == "uint64" => Type::Uint,
        Some("integer") => Type::Int,
        Some("number") => Type::Double,
        Some("null") => Type::Null,
        Some("array") => Type::list(schema.get("items").map_or(Type::Dyn, |items| at(root, items, depth + 1))),
        Some("object") => object(root, schema, depth),
        None if schema.get("properties").is_some() => object(root, schema, depth),
        _ => Type::Dyn,
    }
}

/// Returns the only type of a schema, not counting `null`.
fn kind(schema: &Node) -> Option<String> {
    match &schema.get("type")?.value {
        Value::Text(kind) => Some(kind.clone()),
        Value::List(kinds) => {
            let mut kinds = kinds.iter().filter_map(Node::text).filter(|kind| *kind != "null");
            let first = kinds.next()?;
            kinds.next().is_none().then(|| first.to_owned())
        }
        _ => None,
    }
}

fn object(root: &Node, schema: &Node, depth: usize) -> Type {
    let Some(Value::Map(properties)) = schema.get("properties").map(|node| &node.value) else {
        return match schema.get("additionalProperties") {
            Some(values) if matches!(values.value, Value::Map(_)) => Type::map(at(root, values, depth + 1)),
            _ => Type::map(Type::Dyn),
        };
    };
    let required = |name: &str| {
        let Some(Value::List(names)) = schema.get("required").map(|node| &node.value) else { return false };
        names.iter().any(|known| known.text() == Some(name))
    };
    let members = properties.iter().map(|(key, property)| Member {
        name: key.name.clone(),
        value: at(root, property, depth + 1),
        required: required(&key.name),
    });
    let closed = schema.get("additionalProperties").is_some_and(|node| matches!(node.value, Value::Bool(false)));
    Type::Object(Object { members: members.collect(), open: !closed }.into())
}

/// Joins the members of all parts. If a part is not an object, the type is known only at run time.
fn all_of(root: &Node, all: &Node, depth: usize) -> Type {
    let Value::List(parts) = &all.value else { return Type::Dyn };
    let mut whole = Object { members: Vec::new(), open: true };
    for part in parts {
        let Type::Object(object) = at(root, part, depth + 1) else { return Type::Dyn };
        whole.members.extend(object.members.iter().cloned());
        whole.open &= object.open;
    }
    Type::Object(whole.into())
}
