//! JSON Schemas of arguments and results. They are those of the OpenAPI documents, in a form that models understand well and that all
//! clients take: without formats that only Prism knows, without the second spelling of numbers, and with bytes as text.

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use prism_call::proto::patterns::slots::v1::Limits;
use prism_frontend::openapi;

/// The largest integer that JSON numbers keep in every client.
const MAX_EXACT: u64 = 1 << 53;
/// Keywords that APIs of models refuse at the top level. Prism checks these rules itself.
const COMBINATIONS: [&str; 4] = ["allOf", "anyOf", "oneOf", "not"];

const TEXT_OR_BYTES: &str = "As text. Bytes that are no text: {\"base64\": \"…\"}.";

/// Returns the schema of the arguments of a tool.
pub fn arguments(message: &MessageDescriptor, limits: Option<&Limits>) -> Map<String, Value> {
    let mut schema = into_object(openapi::request_schema(message, limits));
    for keyword in COMBINATIONS {
        schema.remove(keyword);
    }
    simplify_all(schema)
}

/// Returns the schema of a result that is one message.
pub fn message(message: &MessageDescriptor) -> Map<String, Value> {
    simplify_all(into_object(openapi::reply_schema(message)))
}

/// Returns the schema of a result that has the items of a stream.
pub fn items(message: &MessageDescriptor, is_resumable: bool) -> Map<String, Value> {
    let mut item = self::message(message);
    let definitions = item.shift_remove("$defs");
    let mut properties = json!({
        "items": {"type": "array", "items": item},
        "truncated": {"type": "boolean", "description": "Whether there are more items than these, or the stream has not ended yet."},
    });
    if is_resumable {
        properties["nextCursor"] = json!({"type": "string", "description": "Call again with this as `cursor`, and otherwise equal arguments, for the items after these."});
    }
    let mut schema = json!({"type": "object", "properties": properties, "required": ["items", "truncated"]});
    if let Some(definitions) = definitions {
        schema["$defs"] = definitions;
    }
    into_object(schema)
}

fn into_object(schema: Value) -> Map<String, Value> {
    if let Value::Object(schema) = schema { schema } else { Map::new() }
}

fn simplify_all(schema: Map<String, Value>) -> Map<String, Value> {
    let mut schema = Value::Object(schema);
    simplify(&mut schema);
    into_object(schema)
}

fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("contentEncoding") == Some(&json!("base64")) {
                bytes(object);
                return;
            }
            if object.get("format").and_then(Value::as_str).is_some_and(|format| format != "date-time") {
                object.shift_remove("format");
            }
            if object.get("maximum").is_some_and(|most| most.as_u64().is_some_and(|most| most > MAX_EXACT)) {
                object.shift_remove("maximum");
            }
            if object.get("minimum").is_some_and(|least| least.as_i64().is_some_and(|least| least.unsigned_abs() > MAX_EXACT)) {
                object.shift_remove("minimum");
            }
            if object.get("type").and_then(Value::as_array).is_some_and(|types| types.contains(&json!("integer"))) {
                object.shift_remove("pattern");
            }
            // The values are schemas, also those of members that are called `format`.
            for (_, value) in object.iter_mut() {
                simplify(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

/// Replaces the schema of base64 by that of text or bytes.
fn bytes(object: &mut Map<String, Value>) {
    let is_nullable = object.get("type").and_then(Value::as_array).is_some_and(|types| types.contains(&json!("null")));
    let description = match object.get("description").and_then(Value::as_str) {
        Some(known) => format!("{known}\n\n{TEXT_OR_BYTES}"),
        None => TEXT_OR_BYTES.to_owned(),
    };
    let types = if is_nullable { json!(["string", "object", "null"]) } else { json!(["string", "object"]) };
    let schema = json!({
        "type": types,
        "description": description,
        "properties": {"base64": {"type": "string"}},
        "required": ["base64"],
        "additionalProperties": false,
    });
    *object = into_object(schema);
}
