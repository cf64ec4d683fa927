//! Checks whether a value of a static type can be put into a field.

use crate::{
    expression::{
        suggestion::suggest,
        types::{Type, short},
    },
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes, WellKnownType},
};

/// Refuses a type if [`put`](super::put) refuses every value of it. A string is accepted wherever the field has a text form.
pub fn assignable(types: &MessageTypes, value: &Type, field: &Field) -> Result<(), String> {
    at(types, value, field, &field.name)
}

fn at(types: &MessageTypes, value: &Type, field: &Field, path: &str) -> Result<(), String> {
    let refused = |found: &Type, to: &str| {
        Err(format!("{} can't be put into `{to}`, which is {}", found.describe(types), of(types, field, path == to)))
    };
    match (field.shape, value) {
        (_, Type::Dyn | Type::Null) | (FieldShape::Map(_), Type::Message(_)) => Ok(()),
        (FieldShape::Singular { .. }, value) => one(types, value, field.kind, path).or_else(|inner| match inner {
            Some(inner) => Err(inner),
            None => refused(value, path),
        }),
        (FieldShape::Repeated, Type::List(item)) | (FieldShape::Map(_), Type::Map(item)) => {
            element(types, item, field, &format!("{path}[…]"))
        }
        (FieldShape::Map(_), Type::Object(object)) => {
            object.members.iter().try_for_each(|member| element(types, &member.value, field, &format!("{path}[{:?}]", member.name)))
        }
        (_, value) => refused(value, path),
    }
}

fn element(types: &MessageTypes, value: &Type, field: &Field, path: &str) -> Result<(), String> {
    one(types, value, field.kind, path).map_err(|inner| {
        inner.unwrap_or_else(|| format!("{} can't be put into `{path}`, which is {}", value.describe(types), named(types, field.kind)))
    })
}

/// Checks whether a type fits a field kind. The error holds a message if the problem is inside the value, and `None` if the
/// value itself does not fit.
fn one(types: &MessageTypes, value: &Type, kind: FieldKind, path: &str) -> Result<(), Option<String>> {
    let fits = match (kind, value) {
        (_, Type::Dyn | Type::Null) => true,
        (FieldKind::Message(id), _) => return message(types, value, id, path),
        (FieldKind::String, _) => value.is_text() || *value == Type::Bytes,
        (FieldKind::Bytes, _) => matches!(value, Type::String | Type::Bytes),
        (FieldKind::Bool, _) => matches!(value, Type::String | Type::Bool),
        (FieldKind::Enum(id), Type::Enum(other)) => id == *other,
        (FieldKind::Enum(_), _) => matches!(value, Type::String | Type::Int | Type::Uint),
        _ => value.is_number() || *value == Type::String,
    };
    if fits { Ok(()) } else { Err(None) }
}

fn message(types: &MessageTypes, value: &Type, id: MessageId, path: &str) -> Result<(), Option<String>> {
    let known = types.message(id);
    let map = matches!(value, Type::Map(_) | Type::Object(_) | Type::Message(_));
    let fits = match known.special {
        Some(WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask) => *value == Type::String,
        Some(WellKnownType::Wrapper) => return known.fields.first().map_or(Ok(()), |field| one(types, value, field.kind, path)),
        Some(WellKnownType::Struct | WellKnownType::Any) => map,
        Some(WellKnownType::ListValue) => matches!(value, Type::List(_)),
        Some(WellKnownType::Value) => true,
        Some(WellKnownType::Empty) | None => match value {
            Type::Object(object) => {
                for member in &object.members {
                    let field = known.by_name(&member.name).map(|index| &known.fields[index]);
                    let field = field.ok_or_else(|| Some(no_field(types, id, path, &member.name)))?;
                    at(types, &member.value, field, &format!("{path}.{}", member.name)).map_err(Some)?;
                }
                true
            }
            Type::Message(other) => {
                let fields = if *other == id { &[][..] } else { &types.message(*other).fields };
                match fields.iter().find(|field| known.by_name(&field.name).is_none()) {
                    Some(missing) => return Err(Some(no_field(types, id, path, &missing.name))),
                    None => true,
                }
            }
            value => matches!(value, Type::Map(_)),
        },
    };
    if fits { Ok(()) } else { Err(None) }
}

fn no_field(types: &MessageTypes, id: MessageId, path: &str, name: &str) -> String {
    let message = types.message(id);
    let names: Vec<&str> = message.fields.iter().take(30).map(|field| field.name.as_str()).collect();
    let near = suggest(name, &names);
    format!("`{path}` has no field `{name}`{near}; the fields of {} are {}", short(&message.name), names.join(", "))
}

fn of(types: &MessageTypes, field: &Field, whole: bool) -> String {
    let kind = named(types, field.kind);
    match field.shape {
        FieldShape::Repeated if whole => format!("a list, each item {kind}"),
        FieldShape::Map(_) if whole => format!("a map, each value {kind}"),
        _ => kind,
    }
}

fn named(types: &MessageTypes, kind: FieldKind) -> String {
    match kind {
        FieldKind::Double | FieldKind::Float => "a number".to_owned(),
        FieldKind::String => "one string".to_owned(),
        FieldKind::Bytes => "bytes".to_owned(),
        FieldKind::Bool => "a bool".to_owned(),
        FieldKind::Enum(id) => format!("an enum {}", short(&types.enumeration(id).name)),
        FieldKind::Message(id) => match types.message(id).special {
            Some(WellKnownType::Timestamp) => "a time".to_owned(),
            Some(WellKnownType::Duration) => "a duration".to_owned(),
            Some(WellKnownType::FieldMask) => "a field mask".to_owned(),
            Some(WellKnownType::Wrapper) => {
                types.message(id).fields.first().map_or_else(|| "a value".to_owned(), |field| named(types, field.kind))
            }
            Some(WellKnownType::ListValue) => "a list".to_owned(),
            _ => format!("a message {}", short(&types.message(id).name)),
        },
        _ => "a whole number".to_owned(),
    }
}
