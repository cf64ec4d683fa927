//! The JSON Schema of `prism.yaml`, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    model::{Binding, Config, Slot},
    source::{Driver, Known},
};
use prism_settings::{ByteSize, HumanDuration};

/// Returns the JSON Schema of the file, with the settings of the drivers.
pub fn schema(known: &Known<'_>) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<(HumanDuration, ByteSize)>();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    schema["title"] = "Prism".into();
    let mut definitions = Map::new();
    let kinds = known.drivers.iter().map(|driver| backend(driver, &mut definitions)).collect::<Vec<_>>();
    if let Some(all) = schema["definitions"].as_object_mut() {
        all.append(&mut definitions);
        if let Some(backend) = all.get_mut("Backend") {
            backend["oneOf"] = kinds.into();
        }
    }
    allow_references(&mut schema);
    schema
}

/// Returns the schema of one kind of backend: `type` and the settings of its driver.
fn backend(driver: &Driver, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = driver.schema.clone();
    rename(&mut schema, &driver.kind);
    let Some(object) = schema.as_object_mut() else { return json!({"properties": {"type": {"const": driver.kind}}}) };
    for key in ["$defs", "definitions"] {
        if let Some(Value::Object(all)) = object.remove(key) {
            let own = all.into_iter().filter(|(name, _)| !SHARED.contains(&name.as_str()));
            definitions.extend(own.map(|(name, schema)| (format!("{}-{name}", driver.kind), schema)));
        }
    }
    object.remove("$schema");
    object.insert("title".to_owned(), driver.kind.as_str().into());
    object.insert("additionalProperties".to_owned(), false.into());
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    properties["type"] = json!({"const": driver.kind});
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        required.insert(0, "type".into());
    }
    schema
}

/// Definitions that are the same for all drivers and for the rest of the file.
const SHARED: [&str; 2] = ["Duration", "Size"];

/// Changes references to definitions of a driver. The definitions of all drivers are in one mapping, so their names get the kind as a
/// prefix.
fn rename(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some((_, name)) = reference.rsplit_once('/')
            {
                let prefix = if SHARED.contains(&name) { String::new() } else { format!("{kind}-") };
                *reference = format!("#/definitions/{prefix}{name}");
            }
            object.values_mut().for_each(|value| rename(value, kind));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, kind)),
        _ => {}
    }
}

/// Allows references such as `${env:SIZE}` for numbers and booleans.
fn allow_references(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let types = match object.get("type") {
                Some(Value::String(one)) => vec![Value::from(one.as_str())],
                Some(Value::Array(types)) => types.clone(),
                _ => Vec::new(),
            };
            let single = ["integer", "number", "boolean"].iter().any(|kind| types.contains(&(*kind).into()));
            if single && !types.contains(&"string".into()) {
                object.insert("type".to_owned(), types.into_iter().chain(["string".into()]).collect());
                object.insert("pattern".to_owned(), r"^\$\{(env|file):.+\}$".into());
            }
            object.values_mut().for_each(allow_references);
        }
        Value::Array(items) => items.iter_mut().for_each(allow_references),
        _ => {}
    }
}

/// A backend of any kind. [`schema`] adds the kinds.
pub(super) struct AnyBackend;

impl JsonSchema for AnyBackend {
    fn schema_name() -> Cow<'static, str> {
        "Backend".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A system that stores data: its kind, and the settings of the driver for this kind",
            "type": "object",
            "required": ["type"],
        })
    }
}

/// The backend of a slot: its name, or a mapping with its name and required interfaces.
pub(super) struct AnySlot;

impl JsonSchema for AnySlot {
    fn schema_name() -> Cow<'static, str> {
        "SlotBackend".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let slot = generator.subschema_for::<Slot>();
        json_schema!({"anyOf": [{"type": "string", "description": "Name of a backend"}, slot]})
    }
}

/// A frontend of a namespace: its name, or a mapping with its name and settings.
pub(super) struct AnyBinding;

impl JsonSchema for AnyBinding {
    fn schema_name() -> Cow<'static, str> {
        "FrontendBinding".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let binding = generator.subschema_for::<Binding>();
        json_schema!({"anyOf": [{"type": "string", "description": "Name of a frontend"}, binding]})
    }
}
