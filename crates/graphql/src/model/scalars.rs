//! The scalars: how values of protobuf that are no objects look in GraphQL.

use async_graphql::Value;

use prism_frontend::{
    message_types::{FieldKind, MessageTypes, WellKnownType},
    scalar, wire,
};

/// A scalar of the schema that GraphQL does not have itself.
pub struct ScalarType {
    /// Its name.
    pub name: &'static str,
    /// Its description.
    pub description: &'static str,
    /// Whether a value can be read.
    pub accepts: fn(&Value) -> bool,
}

/// The scalars that GraphQL does not have itself.
pub const SCALARS: &[ScalarType] = &[
    ScalarType {
        name: "Int64",
        description: "A signed integer of 64 bits. It is written as text, because numbers of JavaScript are exact only up to 2^53; text and numbers are read.",
        accepts: |value| is_text_of(value, FieldKind::Int64),
    },
    ScalarType {
        name: "UInt64",
        description: "An unsigned integer of 64 bits. It is written as text, because numbers of JavaScript are exact only up to 2^53; text and numbers are read.",
        accepts: |value| is_text_of(value, FieldKind::Uint64),
    },
    ScalarType {
        name: "UInt32",
        description: "An unsigned integer of 32 bits, from 0 to 4294967295.",
        accepts: |value| is_text_of(value, FieldKind::Uint32),
    },
    ScalarType {
        name: "Bytes",
        description: "Bytes. They are written as base64; base64 and base64url are read, with or without padding.",
        accepts: |value| matches!(value, Value::String(text) if scalar::put_base64(text, &mut Vec::new()).is_ok()),
    },
    ScalarType {
        name: "Timestamp",
        description: "A point in time in the format of RFC 3339, as `2026-05-01T12:00:00Z`.",
        accepts: |value| is_well_known(value, "google.protobuf.Timestamp"),
    },
    ScalarType {
        name: "Duration",
        description: "A duration in seconds with the unit, as `1.5s`.",
        accepts: |value| is_well_known(value, "google.protobuf.Duration"),
    },
    ScalarType {
        name: "FieldMask",
        description: "Paths of fields in camel case, separated by commas, as `displayName,address.city`.",
        accepts: |value| matches!(value, Value::String(_)),
    },
    ScalarType { name: "JSON", description: "Any JSON value.", accepts: |_| true },
    ScalarType {
        name: "Empty",
        description: "A message without fields. It is written as `{}`.",
        accepts: |value| matches!(value, Value::Object(members) if members.is_empty()),
    },
];

/// Returns the scalar of a type, or `None` if it is an enum or an object.
pub fn scalar_of(types: &MessageTypes, kind: FieldKind) -> Option<&'static str> {
    Some(match kind {
        FieldKind::Double | FieldKind::Float => "Float",
        FieldKind::Int32 | FieldKind::Sint32 | FieldKind::Sfixed32 => "Int",
        FieldKind::Int64 | FieldKind::Sint64 | FieldKind::Sfixed64 => "Int64",
        FieldKind::Uint32 | FieldKind::Fixed32 => "UInt32",
        FieldKind::Uint64 | FieldKind::Fixed64 => "UInt64",
        FieldKind::Bool => "Boolean",
        FieldKind::String => "String",
        FieldKind::Bytes => "Bytes",
        FieldKind::Enum(id) if types.enumeration(id).null => "JSON",
        FieldKind::Enum(_) => return None,
        FieldKind::Message(id) => {
            let message = types.message(id);
            match message.special {
                Some(WellKnownType::Timestamp) => "Timestamp",
                Some(WellKnownType::Duration) => "Duration",
                Some(WellKnownType::FieldMask) => "FieldMask",
                Some(WellKnownType::Empty) => "Empty",
                Some(WellKnownType::Wrapper) => return scalar_of(types, message.fields.first()?.kind),
                Some(WellKnownType::Any | WellKnownType::ListValue | WellKnownType::Struct | WellKnownType::Value) => "JSON",
                None if message.fields.is_empty() => "Empty",
                None => return None,
            }
        }
    })
}

/// Tells whether a well-known type has a value that is `null` in JSON.
pub const fn has_null(special: WellKnownType) -> bool {
    matches!(special, WellKnownType::Value | WellKnownType::Wrapper)
}

/// Returns the text of a number or a text.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Returns the value of a whole number that is not negative, in any form that arguments may have: `10`, `"10"`, `1e1`.
pub fn uint64_of(value: &Value) -> Option<u64> {
    let mut encoded = Vec::new();
    scalar::put(MessageTypes::all(), FieldKind::Uint64, &text_of(value)?, &mut encoded).ok()?;
    wire::varint(&mut encoded.as_slice()).ok()
}

fn is_text_of(value: &Value, kind: FieldKind) -> bool {
    text_of(value).is_some_and(|text| scalar::put(MessageTypes::all(), kind, &text, &mut Vec::new()).is_ok())
}

fn is_well_known(value: &Value, name: &str) -> bool {
    let types = MessageTypes::all();
    match (value, types.find(name)) {
        (Value::String(text), Some(id)) => scalar::put(types, FieldKind::Message(id), text, &mut Vec::new()).is_ok(),
        _ => false,
    }
}
