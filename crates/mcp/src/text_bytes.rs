//! Bytes in arguments and results. In the ProtoJSON format they are base64, which models write badly and read not at all. Here they are text
//! if they are UTF-8, and otherwise `{"base64": "…"}`.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use prism_call::Error;
use prism_frontend::message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes};

/// Changes arguments to the ProtoJSON format.
pub fn to_proto_json(types: &MessageTypes, message: MessageId, arguments: &mut Map<String, Value>) -> Result<(), Error> {
    walk(types, message, arguments, &mut String::new(), &mut |path, value| match value {
        Value::String(text) => {
            *text = STANDARD.encode(&text);
            Ok(())
        }
        Value::Object(object) => match (object.len(), object.shift_remove("base64")) {
            (1, Some(Value::String(text))) => {
                *value = Value::String(text);
                Ok(())
            }
            _ => Err(Error::invalid(path, "must be text, or bytes as {\"base64\": \"…\"}")),
        },
        // The decoder says what is wrong.
        _ => Ok(()),
    })
}

/// Changes a result from the ProtoJSON format.
pub fn from_proto_json(types: &MessageTypes, message: MessageId, result: &mut Map<String, Value>) {
    let changed = walk(types, message, result, &mut String::new(), &mut |_, value| {
        if let Value::String(encoded) = value
            && let Ok(bytes) = STANDARD.decode(&encoded)
        {
            *value = match String::from_utf8(bytes) {
                Ok(text) => Value::String(text),
                Err(_) => json!({"base64": encoded}),
            };
        }
        Ok(())
    });
    debug_assert!(changed.is_ok(), "results are always changed");
}

type Change<'c> = dyn FnMut(&str, &mut Value) -> Result<(), Error> + 'c;

/// Changes the values of all fields of bytes in a message. Its depth is bounded by the parser of the JSON text. `path` is that of the message, as `items[2].`.
fn walk(
    types: &MessageTypes,
    message: MessageId,
    object: &mut Map<String, Value>,
    path: &mut String,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let described = types.message(message);
    for (name, value) in object.iter_mut() {
        let Some(field) = described.by_name(name).and_then(|index| described.fields.get(index)) else { continue };
        if !matches!(field.kind, FieldKind::Bytes | FieldKind::Message(_)) {
            continue;
        }
        let length = path.len();
        path.push_str(name);
        walk_field(types, field, value, path, change)?;
        path.truncate(length);
    }
    Ok(())
}

fn walk_field(types: &MessageTypes, field: &Field, value: &mut Value, path: &mut String, change: &mut Change<'_>) -> Result<(), Error> {
    let length = path.len();
    match (field.shape, value) {
        (FieldShape::Repeated, Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                let _ = write!(path, "[{index}]");
                walk_value(types, field.kind, item, path, change)?;
                path.truncate(length);
            }
            Ok(())
        }
        (FieldShape::Map(_), Value::Object(entries)) => {
            for (key, item) in entries.iter_mut() {
                let _ = write!(path, "[{key:?}]");
                walk_value(types, field.kind, item, path, change)?;
                path.truncate(length);
            }
            Ok(())
        }
        (FieldShape::Singular { .. }, value) => walk_value(types, field.kind, value, path, change),
        _ => Ok(()),
    }
}

fn walk_value(types: &MessageTypes, kind: FieldKind, value: &mut Value, path: &mut String, change: &mut Change<'_>) -> Result<(), Error> {
    match kind {
        FieldKind::Bytes => change(path, value),
        FieldKind::Message(id) => {
            let described = types.message(id);
            let is_wrapper = described.name == "google.protobuf.BytesValue";
            match value {
                value if is_wrapper => change(path, value),
                Value::Object(object) if described.special.is_none() => {
                    path.push('.');
                    walk(types, id, object, path, change)
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
