//! The JSON Schema of `prism.yaml`, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    model::{Binding, Config, Slot},
    read::shape::Unit,
    source::{Driver, Known},
    unit::{DurationText, SizeText},
};

/// The schema of the file, with the settings of the drivers.
pub fn schema(known: &Known<'_>) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<(DurationText, SizeText)>();
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

/// One kind of backend: the settings of its driver, and `type`.
fn backend(driver: &Driver, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = driver.schema.clone();
    rename(&mut schema, &driver.kind);
    measure("", &mut schema);
    let Some(object) = schema.as_object_mut() else { return json!({"properties": {"type": {"const": driver.kind}}}) };
    for key in ["$defs", "definitions"] {
        if let Some(Value::Object(all)) = object.remove(key) {
            definitions.extend(all.into_iter().map(|(name, schema)| (format!("{}-{name}", driver.kind), schema)));
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

/// Durations and sizes are written alike everywhere, whatever the driver takes.
fn measure(name: &str, schema: &mut Value) {
    let unit = match Unit::of(schema, name) {
        Some(Unit::Duration) => "Duration",
        Some(Unit::Bytes) => "Size",
        None => {
            match schema {
                Value::Object(object) => object.iter_mut().for_each(|(name, schema)| measure(name, schema)),
                Value::Array(items) => items.iter_mut().for_each(|schema| measure(name, schema)),
                _ => {}
            }
            return;
        }
    };
    let mut measured = json!({"allOf": [{"$ref": format!("#/definitions/{unit}")}]});
    for key in ["description", "default"] {
        if let Some(value) = schema.get(key) {
            measured[key] = value.clone();
        }
    }
    *schema = measured;
}

/// The definitions of all drivers come together in one place, so their names need the kind.
fn rename(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some((_, name)) = reference.rsplit_once('/')
            {
                *reference = format!("#/definitions/{kind}-{name}");
            }
            object.values_mut().for_each(|value| rename(value, kind));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, kind)),
        _ => {}
    }
}

/// A number or a boolean may be a reference such as `${env:SIZE}` too.
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

/// A backend of any kind. [`schema`] puts the kinds into it.
pub(super) struct AnyBackend;

impl JsonSchema for AnyBackend {
    fn schema_name() -> Cow<'static, str> {
        "Backend".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A running system that holds data: its kind, and the settings of that kind's driver",
            "type": "object",
            "required": ["type"],
        })
    }
}

/// The backend of a slot, alone or with what is wanted of it.
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

/// A way to reach a namespace, alone or with what is different.
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
