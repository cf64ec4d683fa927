//! JSON Schemas of single values.
//!
//! A value has two forms. In a *reply*, each value has exactly one spelling. In a *request*, everything that ProtoJSON
//! accepts is allowed: numbers as strings, 64-bit integers as numbers, enums as numbers, base64 in both alphabets.

use prost_reflect::{EnumDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use prism_call::proto;

/// Where a value appears, which decides its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// In a request body.
    Request,
    /// In the path or the query, where every value is text.
    Text,
    /// In a reply.
    Reply,
}

/// base64 or base64url, with or without padding.
const BASE64: &str = "^(?:(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}={0,2}|[A-Za-z0-9+/]{3}=?)?|(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}={0,2}|[A-Za-z0-9_-]{3}=?)?)$";
/// A duration of up to 3,000 years.
const DURATION: &str = r"^-?(?:0|[1-9][0-9]{0,10})(?:\.[0-9]{1,9})?s$";
/// A duration greater than zero, up to 31 years.
const POSITIVE_DURATION: &str = r"^(?:[1-9][0-9]{0,8}(?:\.[0-9]{1,9})?|0\.[0-9]{0,8}[1-9])s$";
const UNSIGNED: &str = "^(?:0|[1-9][0-9]{0,18})$";
const SIGNED: &str = "^(?:0|-?[1-9][0-9]{0,17})$";
const UNSIGNED_SMALL: &str = "^(?:0|[1-9][0-9]{0,8})$";
const SIGNED_SMALL: &str = "^(?:0|-?[1-9][0-9]{0,8})$";
const DECIMAL: &str = r"^(?:-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?|NaN|-?Infinity)$";

/// Returns the schema of a scalar or enum, or `None` for messages.
pub fn scalar(kind: &Kind, positive: bool, direction: Direction) -> Option<Value> {
    Some(match kind {
        Kind::Double => decimal("double", direction),
        Kind::Float => decimal("float", direction),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => small("int32", i64::from(i32::MIN), i64::from(i32::MAX), positive, direction),
        Kind::Uint32 | Kind::Fixed32 => small("uint32", 0, i64::from(u32::MAX), positive, direction),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => large("int64", SIGNED, json!(i64::MIN), &json!(i64::MAX), positive, direction),
        Kind::Uint64 | Kind::Fixed64 => large("uint64", UNSIGNED, json!(0), &json!(u64::MAX), positive, direction),
        Kind::Bool if positive && direction != Direction::Reply => json!({"type": "boolean", "const": true}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => bytes(direction),
        Kind::Enum(descriptor) => enumeration(descriptor, direction),
        Kind::Message(_) => return None,
    })
}

fn decimal(format: &str, direction: Direction) -> Value {
    match direction {
        Direction::Text => json!({"type": "number", "format": format}),
        // NaN and the infinities are strings.
        Direction::Reply | Direction::Request => json!({"type": ["number", "string"], "format": format, "pattern": DECIMAL}),
    }
}

fn small(format: &str, least: i64, most: i64, positive: bool, direction: Direction) -> Value {
    let least = if positive { 1 } else { least };
    match direction {
        Direction::Request => {
            let pattern = match (positive, least < 0) {
                (true, _) => "^[1-9][0-9]{0,8}$",
                (_, true) => SIGNED_SMALL,
                _ => UNSIGNED_SMALL,
            };
            json!({"type": ["integer", "string"], "format": format, "minimum": least, "maximum": most, "pattern": pattern})
        }
        _ => json!({"type": "integer", "format": format, "minimum": least, "maximum": most}),
    }
}

fn large(format: &str, pattern: &str, least: Value, most: &Value, positive: bool, direction: Direction) -> Value {
    let (pattern, least) = if positive { ("^[1-9][0-9]{0,18}$", json!(1)) } else { (pattern, least) };
    match direction {
        Direction::Reply | Direction::Text => json!({"type": "string", "format": format, "pattern": pattern}),
        Direction::Request => {
            json!({"type": ["string", "integer"], "format": format, "pattern": pattern, "minimum": least, "maximum": most})
        }
    }
}

fn bytes(direction: Direction) -> Value {
    match direction {
        Direction::Reply => json!({"type": "string", "contentEncoding": "base64"}),
        _ => json!({"type": "string", "contentEncoding": "base64", "pattern": BASE64}),
    }
}

fn enumeration(descriptor: &EnumDescriptor, direction: Direction) -> Value {
    if descriptor.full_name() == "google.protobuf.NullValue" {
        return json!({"type": "null"});
    }
    let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
    let mut lines = Vec::new();
    for name in &names {
        if let Some(comment) = proto::comment(&format!("{}.{name}", descriptor.full_name())) {
            lines.push(format!("- `{name}`: {}", comment.replace('\n', " ")));
        }
    }
    let mut schema = json!({"type": "string", "enum": names});
    if direction == Direction::Request {
        // Other numbers are also parsed, but most operations refuse them, as they refuse unknown names.
        let numbers: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
        schema = json!({"anyOf": [schema, {"type": "integer", "enum": numbers}]});
    }
    if !lines.is_empty() {
        schema["description"] = lines.join("\n").into();
    }
    schema
}

/// Returns the schema of a well-known type whose JSON is not an object of its fields, or `None` for ordinary messages.
pub fn well_known(message: &MessageDescriptor, positive: bool, direction: Direction) -> Option<Value> {
    let reply = direction == Direction::Reply;
    Some(match message.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" if reply => json!({"type": "string", "pattern": r"^-?[0-9]{1,12}(?:\.[0-9]{1,9})?s$"}),
        "Duration" => json!({"type": "string", "pattern": if positive { POSITIVE_DURATION } else { DURATION }}),
        "FieldMask" if reply => json!({"type": "string"}),
        "FieldMask" => json!({"type": "string", "pattern": "^(?:[A-Za-z0-9_.*]+(?:,[A-Za-z0-9_.*]+)*)?$"}),
        "Struct" => json!({"type": "object", "additionalProperties": true}),
        "ListValue" => json!({"type": "array", "items": {}}),
        "Value" => json!({}),
        "Any" => json!({"type": "object", "properties": {"@type": {"type": "string"}}, "additionalProperties": true}),
        "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value" | "Int64Value" | "StringValue" | "UInt32Value"
        | "UInt64Value" => scalar(&message.fields().next()?.kind(), positive, direction)?,
        _ => return None,
    })
}

/// Lets a schema also accept `null`. In a request this is the same as leaving the field out.
pub fn nullable(schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) => {
            let types = json!([kind, "null"]);
            with(schema, "type", types)
        }
        Some(Value::Array(kinds)) => {
            let mut types = kinds.clone();
            types.push("null".into());
            with(schema, "type", types.into())
        }
        _ if schema.as_object().is_some_and(serde_json::Map::is_empty) => schema,
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn with(mut schema: Value, name: &str, value: Value) -> Value {
    schema[name] = value;
    schema
}
