//! Whether a value of a static type can ever be put into a field.

use crate::{
    expression::types::{Type, short},
    schema::{Field, Kind, MessageId, Schema, Shape, Special},
};

/// Refuses what [`put`](super::put) would refuse of every value of the type. A string passes wherever a text form may be
/// read from it.
pub fn assignable(schema: &Schema, value: &Type, field: &Field) -> Result<(), String> {
    at(schema, value, field, &field.name)
}

fn at(schema: &Schema, value: &Type, field: &Field, path: &str) -> Result<(), String> {
    let refused = |found: &Type, to: &str| {
        Err(format!("{} can't be put into `{to}`, which is {}", found.describe(schema), of(schema, field, path == to)))
    };
    match (field.shape, value) {
        (_, Type::Dyn | Type::Null) | (Shape::Map(_), Type::Message(_)) => Ok(()),
        (Shape::Singular { .. }, value) => one(schema, value, field.kind, path).or_else(|inner| match inner {
            Some(inner) => Err(inner),
            None => refused(value, path),
        }),
        (Shape::Repeated, Type::List(item)) | (Shape::Map(_), Type::Map(item)) => element(schema, item, field, &format!("{path}[…]")),
        (Shape::Map(_), Type::Object(object)) => {
            object.members.iter().try_for_each(|member| element(schema, &member.value, field, &format!("{path}[{:?}]", member.name)))
        }
        (_, value) => refused(value, path),
    }
}

fn element(schema: &Schema, value: &Type, field: &Field, path: &str) -> Result<(), String> {
    one(schema, value, field.kind, path).map_err(|inner| {
        inner.unwrap_or_else(|| format!("{} can't be put into `{path}`, which is {}", value.describe(schema), named(schema, field.kind)))
    })
}

/// Whether the value fits a kind; the inner problem if it is not the value itself that does not.
fn one(schema: &Schema, value: &Type, kind: Kind, path: &str) -> Result<(), Option<String>> {
    let fits = match (kind, value) {
        (_, Type::Dyn | Type::Null) => true,
        (Kind::Message(id), _) => return message(schema, value, id, path),
        (Kind::String, _) => value.is_text() || *value == Type::Bytes,
        (Kind::Bytes, _) => matches!(value, Type::String | Type::Bytes),
        (Kind::Bool, _) => matches!(value, Type::String | Type::Bool),
        (Kind::Enum(id), Type::Enum(other)) => id == *other,
        (Kind::Enum(_), _) => matches!(value, Type::String | Type::Int | Type::Uint),
        _ => value.is_number() || *value == Type::String,
    };
    if fits { Ok(()) } else { Err(None) }
}

fn message(schema: &Schema, value: &Type, id: MessageId, path: &str) -> Result<(), Option<String>> {
    let known = schema.message(id);
    let map = matches!(value, Type::Map(_) | Type::Object(_) | Type::Message(_));
    let fits = match known.special {
        Some(Special::Timestamp | Special::Duration | Special::FieldMask) => *value == Type::String,
        Some(Special::Wrapper) => return known.fields.first().map_or(Ok(()), |field| one(schema, value, field.kind, path)),
        Some(Special::Struct | Special::Any) => map,
        Some(Special::ListValue) => matches!(value, Type::List(_)),
        Some(Special::Value) => true,
        Some(Special::Empty) | None => match value {
            Type::Object(object) => {
                for member in &object.members {
                    let field = known.by_name(&member.name).map(|place| &known.fields[place]);
                    let field = field.ok_or_else(|| Some(no_field(schema, id, path, &member.name)))?;
                    at(schema, &member.value, field, &format!("{path}.{}", member.name)).map_err(Some)?;
                }
                true
            }
            Type::Message(other) => {
                let fields = if *other == id { &[][..] } else { &schema.message(*other).fields };
                match fields.iter().find(|field| known.by_name(&field.name).is_none()) {
                    Some(missing) => return Err(Some(no_field(schema, id, path, &missing.name))),
                    None => true,
                }
            }
            value => matches!(value, Type::Map(_)),
        },
    };
    if fits { Ok(()) } else { Err(None) }
}

fn no_field(schema: &Schema, id: MessageId, path: &str, name: &str) -> String {
    let message = schema.message(id);
    let names: Vec<&str> = message.fields.iter().take(30).map(|field| field.name.as_str()).collect();
    let near = crate::expression::check::meant(name, &names);
    format!("`{path}` has no field `{name}`{near}; the fields of {} are {}", short(&message.name), names.join(", "))
}

fn of(schema: &Schema, field: &Field, whole: bool) -> String {
    let kind = named(schema, field.kind);
    match field.shape {
        Shape::Repeated if whole => format!("a list, each item {kind}"),
        Shape::Map(_) if whole => format!("a map, each value {kind}"),
        _ => kind,
    }
}

fn named(schema: &Schema, kind: Kind) -> String {
    match kind {
        Kind::Double | Kind::Float => "a number".to_owned(),
        Kind::String => "one string".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
        Kind::Bool => "a bool".to_owned(),
        Kind::Enum(id) => format!("an enum {}", short(&schema.enumeration(id).name)),
        Kind::Message(id) => match schema.message(id).special {
            Some(Special::Timestamp) => "a time".to_owned(),
            Some(Special::Duration) => "a duration".to_owned(),
            Some(Special::FieldMask) => "a field mask".to_owned(),
            Some(Special::Wrapper) => {
                schema.message(id).fields.first().map_or_else(|| "a value".to_owned(), |field| named(schema, field.kind))
            }
            Some(Special::ListValue) => "a list".to_owned(),
            _ => format!("a message {}", short(&schema.message(id).name)),
        },
        _ => "a whole number".to_owned(),
    }
}
