//! Converts values between text, JSON and expressions.

use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value as Json;

use super::{input::Parameter, raw_parameter::RawParameter};
use crate::{
    expression::{self, Type, Value},
    json::Position,
    scalar,
};
use prism_call::{Code, Error};

/// Converts a parameter to the type that the document declares.
pub fn of_parameter(parameter: &Parameter, given: &RawParameter<'_>) -> Result<Value, String> {
    Ok(match given {
        RawParameter::Text(_) | RawParameter::Header(_) => of_text(&parameter.value, given.text().unwrap_or_default())?,
        RawParameter::List(texts) => {
            let element = if let Type::List(element) = &parameter.value { element } else { &Type::Dyn };
            Value::List(Arc::new(texts.iter().map(|text| of_text(element, text)).collect::<Result<_, _>>()?))
        }
        RawParameter::Members(members) => {
            let kind = |name: &str| match &parameter.value {
                Type::Object(object) => object.member(name).map_or(&Type::Dyn, |member| &member.value),
                Type::Map(value) => value,
                _ => &Type::Dyn,
            };
            let entry = |name: &str, text: &str| of_text(kind(name), text).map(|value| (name.to_owned(), value));
            map(members.iter().map(|(name, text)| entry(name, text)).collect::<Result<Vec<_>, _>>()?)
        }
        RawParameter::Empty if parameter.value == Type::Bool => Value::Bool(true),
        RawParameter::Empty => Value::String(Arc::default()),
    })
}

/// Parses a text as a value of a type.
pub fn of_text(kind: &Type, text: &str) -> Result<Value, String> {
    Ok(match kind {
        Type::Int => Value::Int(text.parse().map_err(|_| format!("must be a whole number, not {text:?}"))?),
        Type::Uint => Value::UInt(text.parse().map_err(|_| format!("must be a whole number that is not negative, not {text:?}"))?),
        Type::Double => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            Value::Float(number.ok_or_else(|| format!("must be a number, not {text:?}"))?)
        }
        Type::Bool => match text {
            "true" | "True" | "TRUE" | "1" => Value::Bool(true),
            "false" | "False" | "FALSE" | "0" => Value::Bool(false),
            _ => return Err(format!("must be true or false, not {text:?}")),
        },
        Type::Bytes => Value::Bytes(text.as_bytes().to_vec().into()),
        _ => Value::String(text.to_owned().into()),
    })
}

/// Parses a text as a value of a type, and returns it as JSON.
pub fn json_of_text(kind: &Type, text: &str) -> Result<Json, String> {
    Ok(match of_text(kind, text)? {
        Value::Int(number) => number.into(),
        Value::UInt(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Bool(value) => value.into(),
        _ => text.into(),
    })
}

/// Parses a JSON text. The error has line and column.
pub fn parse_json(bytes: &[u8]) -> Result<Json, Error> {
    parse_json_at(bytes, Position::default())
}

/// Parses a JSON text that begins at a position of a larger one.
pub fn parse_json_at(bytes: &[u8], start: Position) -> Result<Json, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = start.line + error.line().saturating_sub(1);
        let column = error.column() + if error.line() <= 1 { start.column - 1 } else { 0 };
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        let message = format!("the body is not valid JSON: {reason} at line {line}, column {column}");
        Error::new(Code::InvalidArgument, "MALFORMED_JSON", message).with("line", line.to_string()).with("column", column.to_string())
    })
}

/// Converts JSON to a value.
pub fn from_json(json: &Json) -> Value {
    expression::value::from_json(json)
}

/// Converts JSON to a value of a type. Bytes are base64 in JSON. The error is the path of a member and a description.
pub fn typed(kind: &Type, json: &Json) -> Result<Value, (String, String)> {
    let inside = |step: String| move |(path, why): (String, String)| (format!("{step}{path}"), why);
    Ok(match (kind, json) {
        (Type::Bytes, Json::String(text)) => {
            let mut decoded = Vec::new();
            scalar::put_base64(text, &mut decoded).map_err(|_| (String::new(), "must be base64".to_owned()))?;
            Value::Bytes(decoded.into())
        }
        (Type::Uint, Json::Number(number)) if number.is_u64() => Value::UInt(number.as_u64().unwrap_or_default()),
        (Type::Double, Json::Number(number)) => Value::Float(number.as_f64().unwrap_or_default()),
        (Type::List(element), Json::Array(items)) => {
            let items = items.iter().enumerate().map(|(index, item)| typed(element, item).map_err(inside(format!("[{index}]"))));
            Value::List(items.collect::<Result<Vec<_>, _>>()?.into())
        }
        (Type::Map(_) | Type::Object(_), Json::Object(members)) => {
            let of = |name: &str| match kind {
                Type::Map(value) => value,
                Type::Object(object) => object.member(name).map_or(&Type::Dyn, |member| &member.value),
                _ => &Type::Dyn,
            };
            let entry = |(name, value): (&String, &Json)| {
                typed(of(name), value).map(|value| (name.clone(), value)).map_err(inside(format!(".{name}")))
            };
            map(members.iter().map(entry).collect::<Result<Vec<_>, _>>()?)
        }
        _ => from_json(json),
    })
}

/// Creates a map with string keys.
pub fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
    Value::Map(Map { map: Arc::new(entries.collect()) })
}

/// Returns the value at a path of names, or `None` if it does not exist.
pub fn walk(value: &Value, names: &[String]) -> Option<Value> {
    let mut current = value;
    for name in names {
        let Value::Map(map) = current else { return None };
        current = map.map.get(&Key::from(name.as_str()))?;
    }
    Some(current.clone())
}

/// Converts a value to text for a header or a plain response. Returns `None` for null and for bytes that are not UTF-8.
pub fn to_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
        Value::Null => return None,
        other => {
            let mut out = Vec::new();
            expression::value::to_json(other, &mut out);
            String::from_utf8(out).ok()?
        }
    })
}
