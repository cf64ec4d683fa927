//! JSON Schemas of messages, as components with the full names of the messages.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{
    options,
    values::{self, Direction},
};
use prism_call::proto::{self, options::v1::FieldSchema};

/// Suffix of the request schema of a message, if it differs from the reply schema.
const INPUT: &str = "-Input";

/// Where components are in a document.
const COMPONENTS: &str = "#/components/schemas/";

fn reference(name: &str) -> String {
    format!("{COMPONENTS}{name}")
}

/// Moves the references to components to another place, as `#/$defs/`.
pub fn move_references(value: &mut Value, place: &str) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(name) = text.strip_prefix(COMPONENTS) {
                            *text = format!("{place}{name}");
                        }
                    }
                    other => move_references(other, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        _ => {}
    }
}

/// Replaces the `$ref` values that are keys of `renamed`.
pub fn rename(value: &mut Value, renamed: &BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(other) = renamed.get(text) {
                            text.clone_from(other);
                        }
                    }
                    other => rename(other, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        _ => {}
    }
}

/// Component schemas that a document refers to.
#[derive(Default)]
pub struct ComponentSchemas {
    found: BTreeMap<String, Value>,
    /// Messages whose schema is complete or in progress. This ends the recursion of recursive types.
    known: BTreeSet<(Direction, String)>,
}

impl ComponentSchemas {
    /// Returns all schemas by name, and the references to rename. A schema that only requests use loses its suffix.
    pub fn finish(self) -> (Value, BTreeMap<String, String>) {
        let mut renamed = BTreeMap::new();
        for name in self.found.keys() {
            if let Some(plain) = name.strip_suffix(INPUT)
                && !self.found.contains_key(plain)
            {
                renamed.insert(reference(name), reference(plain));
            }
        }
        let plain = |name: String| if renamed.contains_key(&reference(&name)) { name.trim_end_matches(INPUT).to_owned() } else { name };
        let mut schemas: Vec<(String, Value)> = self.found.into_iter().map(|(name, schema)| (plain(name), schema)).collect();
        schemas.sort_by(|one, other| one.0.cmp(&other.0));
        (Value::Object(schemas.into_iter().collect()), renamed)
    }

    /// Returns the schema of a message, normally as a reference to a component.
    pub fn message(&mut self, message: &MessageDescriptor, direction: Direction) -> Value {
        if let Some(schema) = values::well_known(message, false, direction) {
            return schema;
        }
        let name = match direction {
            Direction::Request => format!("{}{INPUT}", message.full_name()),
            _ => message.full_name().to_owned(),
        };
        if self.known.insert((direction, message.full_name().to_owned())) {
            let schema = self.object(message, direction, &|_| true);
            self.found.insert(name.clone(), schema);
        }
        json!({"$ref": reference(&name)})
    }

    /// Returns the object schema of a message, with only the `wanted` fields.
    pub fn object(&mut self, message: &MessageDescriptor, direction: Direction, wanted: &dyn Fn(&FieldDescriptor) -> bool) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        let choices = options::choices(message);
        for field in message.fields().filter(|field| !field.is_group() && wanted(field)) {
            let name = field.json_name().to_owned();
            let must = match direction {
                Direction::Reply => !field.supports_presence(),
                _ => options::is_required(&field),
            };
            let mut schema = self.field(&field, direction);
            if direction == Direction::Request && !must {
                schema = values::nullable(schema);
            }
            describe(&mut schema, field.full_name());
            if must {
                required.push(Value::String(name.clone()));
            }
            properties.insert(name, schema);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        describe(&mut schema, message.full_name());
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if direction == Direction::Request {
            schema["additionalProperties"] = false.into();
        }
        let choices: Vec<Value> = choices
            .iter()
            .filter_map(|one| {
                let members = one.fields.iter().filter_map(|name| message.get_field_by_name(name)).filter(|field| wanted(field));
                choice(&members.collect::<Vec<_>>(), one.required, direction)
            })
            .collect();
        match choices.as_slice() {
            [] => {}
            [Value::Object(one)] => {
                for (key, value) in one {
                    schema[key.as_str()] = value.clone();
                }
            }
            _ => schema["allOf"] = choices.into(),
        }
        schema
    }

    /// Returns the schema of a field with its bounds, but without its comment.
    pub fn field(&mut self, field: &FieldDescriptor, direction: Direction) -> Value {
        let options = options::field(field);
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({}) };
            let value = self.value(&entry.map_entry_value_field(), false, direction);
            let mut schema = json!({"type": "object", "additionalProperties": value});
            let keys = entry.map_entry_key_field().kind();
            if let (Some(names), false) = (values::scalar(&keys, false, Direction::Text), matches!(keys, Kind::String)) {
                schema["propertyNames"] = key_names(&keys, names);
            }
            return schema;
        }
        if field.is_list() {
            let mut item = self.value(field, options.positive, direction);
            if let (Some(options), Kind::String) = (&options.items, field.kind()) {
                bound(&mut item, options, ("minLength", "maxLength"), direction);
            }
            let mut schema = json!({"type": "array", "items": item});
            bound(&mut schema, &options, ("minItems", "maxItems"), direction);
            if options.unique && direction != Direction::Reply {
                schema["uniqueItems"] = true.into();
            }
            return schema;
        }
        let mut schema = self.value(field, options.positive, direction);
        if matches!(field.kind(), Kind::String) {
            bound(&mut schema, &options, ("minLength", "maxLength"), direction);
        }
        if !options.format.is_empty() {
            schema["format"] = options.format.into();
        }
        schema
    }

    fn value(&mut self, field: &FieldDescriptor, positive: bool, direction: Direction) -> Value {
        match field.kind() {
            Kind::Message(message) => {
                values::well_known(&message, positive, direction).unwrap_or_else(|| self.message(&message, direction))
            }
            kind => values::scalar(&kind, positive, direction).unwrap_or_default(),
        }
    }
}

/// Adds the bounds of a string or a list, and the limit that can tighten them. Replies get no bounds, because stored data was
/// accepted once.
fn bound(schema: &mut Value, options: &FieldSchema, (least, most): (&str, &str), direction: Direction) {
    if direction == Direction::Reply {
        return;
    }
    if options.min_length > 0 {
        schema[least] = options.min_length.into();
    }
    if options.max_length > 0 {
        schema[most] = options.max_length.into();
    }
    if !options.limit.is_empty() {
        schema[super::LIMIT] = json!({most: options.limit});
    }
}

/// Returns the schema of a map's keys. JSON member names are strings, whatever the key type is.
fn key_names(kind: &Kind, text: Value) -> Value {
    match kind {
        Kind::Bool => json!({"enum": ["true", "false"]}),
        _ if text.get("type") == Some(&json!("integer")) => json!({"pattern": "^(?:0|-?[1-9][0-9]{0,8})$"}),
        _ => text,
    }
}

/// Returns a schema that allows exactly one of these fields, or at most one.
fn choice(members: &[FieldDescriptor], required: bool, direction: Direction) -> Option<Value> {
    if members.is_empty() || (members.len() == 1 && !required) {
        return None;
    }
    let all_absent = || members.iter().map(|field| (field.json_name().to_owned(), absent(field, direction))).collect::<Map<_, _>>();
    let branch = |chosen: &FieldDescriptor| {
        let mut properties = all_absent();
        match absent(chosen, direction) {
            // The chosen field must be present, which `required` already states.
            Value::Bool(false) => drop(properties.remove(chosen.json_name())),
            absent => drop(properties.insert(chosen.json_name().to_owned(), json!({"not": absent}))),
        }
        json!({"required": [chosen.json_name()], "properties": properties})
    };
    let mut branches: Vec<Value> = members.iter().map(branch).collect();
    if !required || direction == Direction::Reply {
        branches.push(json!({"properties": all_absent()}));
    }
    // Each branch excludes the others, so `anyOf` is equivalent to `oneOf` here. Linters that cannot see this report `oneOf`
    // as a mistake.
    Some(json!({"anyOf": branches}))
}

/// Returns the schema of values that count as absent. In a request these are `null`, and the zero value of a field without
/// presence.
fn absent(field: &FieldDescriptor, direction: Direction) -> Value {
    match field.kind() {
        _ if direction == Direction::Reply => false.into(),
        _ if field.is_list() => json!({"type": ["array", "null"], "maxItems": 0}),
        _ if field.supports_presence() => json!({"type": "null"}),
        Kind::Bool => json!({"enum": [null, false]}),
        Kind::String | Kind::Bytes => json!({"enum": [null, ""]}),
        Kind::Message(_) | Kind::Enum(_) => json!({"type": "null"}),
        _ => json!({"enum": [null, 0, "0"]}),
    }
}

/// Adds the comment of a contract element as the description, before the description that the schema already has.
pub fn describe(schema: &mut Value, name: &str) {
    let Some(comment) = proto::comment(name) else { return };
    let described = match schema.get("description").and_then(Value::as_str) {
        Some(more) => format!("{comment}\n\n{more}"),
        None => comment.to_owned(),
    };
    schema["description"] = described.into();
}
