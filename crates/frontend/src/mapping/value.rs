//! Values between texts, JSON and expressions.

use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value as Json;

use super::request::Given;
use crate::{
    definition::Parameter,
    expression::{self, Type, Value},
    scalar,
};
use prism_call::{Code, Error};

/// The value of a parameter, of the type that its document says.
pub fn of_parameter(parameter: &Parameter, given: &Given<'_>) -> Result<Value, String> {
    Ok(match given {
        Given::Text(_) | Given::Header(_) => of_text(&parameter.value, given.text().unwrap_or_default())?,
        Given::List(texts) => {
            let element = if let Type::List(element) = &parameter.value { element } else { &Type::Dyn };
            Value::List(Arc::new(texts.iter().map(|text| of_text(element, text)).collect::<Result<_, _>>()?))
        }
        Given::Members(members) => {
            let kind = |name: &str| match &parameter.value {
                Type::Object(object) => object.member(name).map_or(&Type::Dyn, |member| &member.value),
                Type::Map(value) => value,
                _ => &Type::Dyn,
            };
            let entry = |name: &str, text: &str| of_text(kind(name), text).map(|value| (name.to_owned(), value));
            map(members.iter().map(|(name, text)| entry(name, text)).collect::<Result<Vec<_>, _>>()?)
        }
        Given::Empty if parameter.value == Type::Bool => Value::Bool(true),
        Given::Empty => Value::String(Arc::default()),
    })
}

/// The value that a text is, as its type reads it.
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

/// The same as JSON.
pub fn json_of_text(kind: &Type, text: &str) -> Result<Json, String> {
    Ok(match of_text(kind, text)? {
        Value::Int(number) => number.into(),
        Value::UInt(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Bool(value) => value.into(),
        _ => text.into(),
    })
}

/// A JSON text, or the refusal with line and column.
pub fn parse_json(bytes: &[u8]) -> Result<Json, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        let message = format!("the body is not valid JSON: {reason} at line {line}, column {column}");
        Error::new(Code::InvalidArgument, "MALFORMED_JSON", message).with("line", line.to_string()).with("column", column.to_string())
    })
}

/// JSON as a value.
pub fn from_json(json: &Json) -> Value {
    expression::value::from_json(json)
}

/// JSON as a value of a type: what is bytes there is base64 in JSON. The refusal names the member.
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

/// A map with text keys.
pub fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
    Value::Map(Map { map: Arc::new(entries.collect()) })
}

/// The value that a path of names leads to; none if it leads to nothing.
pub fn walk(value: &Value, names: &[String]) -> Option<Value> {
    let mut current = value;
    for name in names {
        let Value::Map(map) = current else { return None };
        current = map.map.get(&Key::from(name.as_str()))?;
    }
    Some(current.clone())
}

/// A value as the text of a header or of a plain response; none if it has none.
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
