//! The bytes that JSON values take in memory.

use prost_types::{ListValue, Struct, Value, value::Kind};

/// Bytes that an element of a list counts in addition to its content.
const VALUE_BYTES: u64 = 32;
/// Bytes that each object counts at least: those of a node of a map.
const OBJECT_BYTES: u64 = 640;
/// Bytes that a field of an object counts in addition to its name and its value.
const FIELD_BYTES: u64 = 96;

/// Bytes that an object counts.
pub fn object_bytes(object: &Struct) -> u64 {
    if object.fields.is_empty() {
        return 0;
    }
    let fields: u64 = object.fields.iter().map(|(name, value)| name.len() as u64 + FIELD_BYTES + value_bytes(value)).sum();
    fields.max(OBJECT_BYTES)
}

/// Bytes that a value counts in addition to its place.
pub fn value_bytes(value: &Value) -> u64 {
    match &value.kind {
        Some(Kind::StringValue(text)) => text.len() as u64,
        Some(Kind::ListValue(ListValue { values })) => values.iter().map(|value| VALUE_BYTES + value_bytes(value)).sum(),
        Some(Kind::StructValue(object)) => object_bytes(object),
        _ => 0,
    }
}
