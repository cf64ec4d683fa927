//! Query parameters: every field that neither the path nor the body provides.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::{
    examples, options,
    schemas::{ComponentSchemas, describe},
    values::{self, Direction},
};

/// Maximum depth of nested messages: `a.b.c.d`.
const MAX_DEPTH: usize = 4;

/// Returns the parameters of all fields that are not `bound`.
pub fn parameters(schemas: &mut ComponentSchemas, input: &MessageDescriptor, bound: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    collect(schemas, input, "", 0, bound, &mut parameters);
    parameters
}

/// Collects the parameters. `bound` returns whether another source provides a field. The field is a path of proto names, such
/// as `book.name`.
fn collect(
    schemas: &mut ComponentSchemas,
    message: &MessageDescriptor,
    prefix: &str,
    depth: usize,
    bound: &dyn Fn(&str) -> bool,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields().filter(|field| !field.is_group()) {
        let path = format!("{prefix}{}", field.name());
        if bound(&path) {
            continue;
        }
        match nested(&field) {
            Some(inner) if depth < MAX_DEPTH && !field.is_list() => {
                collect(schemas, &inner, &format!("{path}."), depth + 1, bound, parameters);
            }
            Some(_) => {}
            None => parameters.extend(parameter(schemas, &field, prefix)),
        }
    }
}

/// Returns the message of a field that has no text form, so its inner fields become separate parameters.
fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_map() && !has_text_form(&message) => Some(message),
        _ => None,
    }
}

fn has_text_form(message: &MessageDescriptor) -> bool {
    message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| {
        matches!(name, "Timestamp" | "Duration" | "FieldMask") || (name.ends_with("Value") && !matches!(name, "Value" | "ListValue"))
    })
}

fn parameter(schemas: &mut ComponentSchemas, field: &FieldDescriptor, prefix: &str) -> Option<Value> {
    let mut parameter = json!({"name": format!("{}{}", camel(prefix), field.json_name()), "in": "query"});
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return None };
        values::scalar(&entry.map_entry_value_field().kind(), false, Direction::Text)?;
        // For example `labels[env]=prod`.
        parameter["style"] = "deepObject".into();
        parameter["explode"] = true.into();
    }
    if prefix.is_empty() && options::is_required(field) {
        parameter["required"] = true.into();
    }
    describe(&mut parameter, field.full_name());
    parameter["schema"] = schemas.field(field, Direction::Text);
    parameter["example"] = examples::field(field);
    Some(parameter)
}

/// Converts a path to camel case: `book_info.main_author.` → `bookInfo.mainAuthor.`
fn camel(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut upper = false;
    for letter in path.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                out.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => out.push(letter),
        }
    }
    out
}
