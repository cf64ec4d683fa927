//! Example values: from the contract if it has one, else a typical value of the type.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::options;
use prism_call::proto::options::v1::ExclusiveFields;

/// Returns an example message with all its fields. Of exclusive fields, it has only the first.
pub fn message(descriptor: &MessageDescriptor, wanted: &dyn Fn(&FieldDescriptor) -> bool) -> Value {
    inside(descriptor, &mut Vec::new(), wanted)
}

/// Returns an example of a field.
pub fn field(descriptor: &FieldDescriptor) -> Value {
    of_field(descriptor, &mut Vec::new())
}

/// Returns an example message. `around` lists the enclosing messages, so that a recursive type is expanded only once.
fn inside(descriptor: &MessageDescriptor, around: &mut Vec<String>, wanted: &dyn Fn(&FieldDescriptor) -> bool) -> Value {
    if let Some(value) = well_known(descriptor) {
        return value;
    }
    around.push(descriptor.full_name().to_owned());
    let (mut fields, choices) = (Map::new(), options::choices(descriptor));
    for field in descriptor.fields().filter(|field| !field.is_group() && wanted(field)) {
        let index = |choice: &ExclusiveFields| choice.fields.iter().position(|known| known == field.name());
        let first = choices.iter().filter_map(index).all(|index| index == 0);
        let recursive = matches!(field.kind(), Kind::Message(inner) if around.iter().any(|name| name == inner.full_name()));
        if first && !(recursive && !field.is_list() && !field.is_map()) {
            let value = if recursive { if field.is_list() { json!([]) } else { json!({}) } } else { of_field(&field, around) };
            fields.insert(field.json_name().to_owned(), value);
        }
    }
    around.pop();
    fields.into()
}

fn of_field(descriptor: &FieldDescriptor, around: &mut Vec<String>) -> Value {
    if descriptor.is_map() {
        let Kind::Message(entry) = descriptor.kind() else { return json!({}) };
        let key = match entry.map_entry_key_field().kind() {
            Kind::String => "name".to_owned(),
            Kind::Bool => "true".to_owned(),
            _ => "1".to_owned(),
        };
        return json!({key: of_field(&entry.map_entry_value_field(), around)});
    }
    let given = options::field(descriptor).example;
    let has_example = !given.is_empty();
    let value = match descriptor.kind() {
        Kind::String if !given.is_empty() => given.into(),
        Kind::String if options::field(descriptor).format == "cursor" => "".into(),
        kind if given.is_empty() => of_kind(&kind, around),
        // An example that is not JSON, such as `3600s`, is used as a string.
        _ => serde_json::from_str(&given).unwrap_or_else(|_| given.into()),
    };
    if descriptor.is_list() && !(has_example && value.is_array()) { json!([value]) } else { value }
}

fn of_kind(kind: &Kind, around: &mut Vec<String>) -> Value {
    match kind {
        Kind::Double | Kind::Float => json!(1.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => json!(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => json!("1"),
        Kind::Bool => json!(true),
        Kind::String => json!("text"),
        Kind::Bytes => json!("aGVsbG8="),
        // The first value means "unspecified".
        Kind::Enum(descriptor) => {
            descriptor.values().nth(1).or_else(|| descriptor.values().next()).map_or(Value::Null, |value| value.name().into())
        }
        Kind::Message(message) => inside(message, around, &|_| true),
    }
}

fn well_known(descriptor: &MessageDescriptor) -> Option<Value> {
    Some(match descriptor.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" => json!("2026-05-01T12:00:00Z"),
        "Duration" => json!("3600s"),
        "FieldMask" => json!("name"),
        "Struct" => json!({"name": "value"}),
        "ListValue" => json!(["value"]),
        "Value" => json!("value"),
        "Any" => json!({}),
        name if name.ends_with("Value") => of_kind(&descriptor.fields().next()?.kind(), &mut Vec::new()),
        _ => return None,
    })
}
