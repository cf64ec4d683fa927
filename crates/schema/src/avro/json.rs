//! Writes JSON in the form that Avro's Java implementation prints.

use std::fmt::Write;

use serde_json::{Number, Value};

/// Returns the strings of a list; empty if the value is not a list.
pub(super) fn string_items(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Appends a JSON string.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => push(out, format_args!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends a value. `sorted` orders the members of objects by name.
pub(super) fn write_value(out: &mut String, json: &Value, sorted: bool) {
    match json {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => write_number(out, number),
        Value::String(string) => write_string(out, string),
        Value::Array(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item, sorted);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut attributes: Vec<_> = object.iter().collect();
            if sorted {
                attributes.sort_unstable_by(|a, b| a.0.cmp(b.0));
            }
            out.push('{');
            for (index, (key, item)) in attributes.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, item, sorted);
            }
            out.push('}');
        }
    }
}

/// Appends a number: integers unchanged, others like Java's `Double.toString`. That has a fraction always, and an exponent below one
/// thousandth and from ten million on.
fn write_number(out: &mut String, number: &Number) {
    let double = match number.as_f64() {
        Some(double) if number.is_f64() => double,
        _ => return push(out, format_args!("{number}")),
    };
    let size = double.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return push(out, format_args!("{double:?}"));
    }
    let scientific = format!("{double:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => push(out, format_args!("{digits}E{exponent}")),
        Some((digits, exponent)) => push(out, format_args!("{digits}.0E{exponent}")),
        None => out.push_str(&scientific),
    }
}

fn push(out: &mut String, what: std::fmt::Arguments) {
    // Writing to a string can't fail.
    let _ = out.write_fmt(what);
}
