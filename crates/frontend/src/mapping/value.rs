//! Converts values between text, JSON and expressions.

use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value as Json;

use super::{
    parameter::{Parameter, ParameterFormat},
    raw_parameter::RawParameter,
    scalar_text::{bool_of_text, float_of_text, int_of_text, uint_of_text},
    text_type::TextType,
};
use crate::{
    expression::{self, Type, Value},
    scalar,
};

/// Converts a parameter to the type that the document declares.
pub fn of_parameter(parameter: &Parameter, given: &RawParameter<'_>) -> Result<Value, String> {
    Ok(match given {
        RawParameter::Text(_) | RawParameter::Header(_) => {
            let text = given.text().unwrap_or_default();
            match &parameter.format {
                ParameterFormat::Text(kind) if parameter.value == Type::Dyn || matches!(kind, TextType::Choice(_)) => {
                    from_json(&kind.json(text)?)
                }
                _ => of_text(&parameter.value, text)?,
            }
        }
        RawParameter::Value(value) => value.clone(),
        RawParameter::Empty if parameter.value == Type::Bool => Value::Bool(true),
        RawParameter::Empty => Value::String(Arc::default()),
    })
}

/// Parses a text as a value of a type.
fn of_text(kind: &Type, text: &str) -> Result<Value, String> {
    Ok(match kind {
        Type::Int => Value::Int(int_of_text(text)?),
        Type::Uint => Value::UInt(uint_of_text(text)?),
        Type::Double => Value::Float(float_of_text(text)?),
        Type::Bool => Value::Bool(bool_of_text(text)?),
        Type::Bytes => Value::Bytes(text.as_bytes().to_vec().into()),
        _ => Value::String(text.to_owned().into()),
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
        current = member(current, name)?;
    }
    Some(current.clone())
}

/// Returns the member of a map with this name.
pub fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(map) = value else { return None };
    map.map.get(&Key::from(name))
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
