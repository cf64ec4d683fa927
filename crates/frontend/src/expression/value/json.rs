//! Converts between expression values and JSON.

use std::{collections::HashMap, io::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cel::{Value, objects::Key};

use crate::json::put_string;

/// Converts a JSON document. Whole numbers become ints, or uints if they exceed the greatest int. Others become doubles.
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN))),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(from_json).collect())),
        serde_json::Value::Object(members) => {
            let members: HashMap<Key, Value> = members.iter().map(|(name, value)| (Key::from(name.as_str()), from_json(value))).collect();
            Value::from(members)
        }
    }
}

/// Appends a value as JSON. Keys are sorted, bytes are base64, and numbers that JSON lacks (such as NaN) are strings.
pub fn to_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(number) => number_to(out, format_args!("{number}")),
        Value::UInt(number) => number_to(out, format_args!("{number}")),
        Value::Float(number) if number.is_finite() => number_to(out, format_args!("{number:?}")),
        Value::Float(number) if number.is_nan() => put_string("NaN", out),
        Value::Float(number) => put_string(if *number > 0.0 { "Infinity" } else { "-Infinity" }, out),
        Value::String(text) => put_string(text, out),
        Value::Bytes(bytes) => put_string(&STANDARD.encode(bytes.as_slice()), out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                to_json(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (name, member)) in sorted(map).into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_string(&name, out);
                out.push(b':');
                to_json(member, out);
            }
            out.push(b'}');
        }
        // The other types of values cannot be made by an expression.
        _ => out.extend_from_slice(b"null"),
    }
}

/// Returns the members of a map, sorted by the text of their keys, so that equal values give equal output.
pub fn sorted(map: &cel::objects::Map) -> Vec<(String, &Value)> {
    let mut members: Vec<(String, &Value)> = map.map.iter().map(|(key, value)| (key.to_string(), value)).collect();
    members.sort_by(|(left, _), (right, _)| left.cmp(right));
    members
}

fn number_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}
