//! The JSON Schema of `prism.yaml`, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    model::{Binding, Config, Slot},
    source::{Known, Pattern},
};
use prism_settings::{ByteSize, HumanDuration};

/// Returns the JSON Schema of the file, with the settings of the drivers and patterns.
pub fn schema(known: &Known<'_>) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    generator.subschema_for::<(HumanDuration, ByteSize)>();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    schema["title"] = "Prism".into();
    let mut definitions = Map::new();
    let kinds = known.drivers.iter().map(|driver| kind_of(&driver.kind, &driver.schema, &mut definitions)).collect::<Vec<_>>();
    let authenticators = known.authenticators.iter().map(|known| kind_of(&known.name, &known.schema, &mut definitions)).collect::<Vec<_>>();
    let decision_point = settings_of(&known.decision_point.schema, "decision_point", &mut definitions);
    let settings = known.patterns.iter().map(|pattern| pattern_settings(pattern, &mut definitions)).collect::<Vec<_>>();
    if let Some(all) = schema["definitions"].as_object_mut() {
        all.append(&mut definitions);
        if let Some(namespace) = all.get_mut("Namespace") {
            namespace["allOf"] = settings.into();
        }
        if let Some(authenticator) = all.get_mut("Authenticator") {
            authenticator["oneOf"] = authenticators.into();
        }
        if let Some(known) = all.get_mut("DecisionPoint") {
            *known = decision_point;
        }
        if let Some(backend) = all.get_mut("Backend") {
            backend["oneOf"] = kinds.into();
        }
    }
    allow_references(&mut schema);
    schema
}

/// Returns the schema of one kind of backend or authenticator: `type` and its settings.
fn kind_of(kind: &str, schema: &Value, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = settings_of(schema, kind, definitions);
    let Some(object) = schema.as_object_mut() else { return json!({"properties": {"type": {"const": kind}}}) };
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    properties["type"] = json!({"const": kind});
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        required.insert(0, "type".into());
    }
    schema
}

/// Returns the schema of a namespace with a pattern: which settings it has.
fn pattern_settings(pattern: &Pattern, definitions: &mut Map<String, Value>) -> Value {
    let settings = settings_of(&pattern.schema, &pattern.name, definitions);
    json!({"if": {"properties": {"pattern": {"const": pattern.name}}}, "then": {"properties": {"settings": settings}}})
}

/// Returns the schema of the settings of a driver or a pattern, and moves its definitions to `definitions`.
fn settings_of(schema: &Value, name: &str, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    rename(&mut schema, name);
    if let Some(object) = schema.as_object_mut() {
        for key in ["$defs", "definitions"] {
            if let Some(Value::Object(all)) = object.remove(key) {
                let own = all.into_iter().filter(|(definition, _)| !SHARED.contains(&definition.as_str()));
                definitions.extend(own.map(|(definition, schema)| (format!("{name}-{definition}"), schema)));
            }
        }
        object.remove("$schema");
        object.insert("title".to_owned(), name.into());
        object.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

/// Definitions that are the same for all drivers and patterns, and for the rest of the file.
const SHARED: [&str; 2] = ["Duration", "Size"];

/// Changes references to definitions of a driver or a pattern. All definitions are in one mapping, so their names get the name of the driver
/// or pattern as a prefix.
fn rename(schema: &mut Value, owner: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some((_, name)) = reference.rsplit_once('/')
            {
                let prefix = if SHARED.contains(&name) { String::new() } else { format!("{owner}-") };
                *reference = format!("#/definitions/{prefix}{name}");
            }
            object.values_mut().for_each(|value| rename(value, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, owner)),
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

/// An authenticator of any kind. [`schema`] adds the kinds.
pub(super) struct AnyAuthenticator;

impl JsonSchema for AnyAuthenticator {
    fn schema_name() -> Cow<'static, str> {
        "Authenticator".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A way to authenticate callers: its kind, and the settings of this kind",
            "type": "object",
            "required": ["type"],
        })
    }
}

/// An external decision point. [`schema`] adds its settings.
pub(super) struct AnyDecisionPoint;

impl JsonSchema for AnyDecisionPoint {
    fn schema_name() -> Cow<'static, str> {
        "DecisionPoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// The settings of a pattern. [`schema`] adds those of each pattern.
pub(super) struct AnySettings;

impl JsonSchema for AnySettings {
    fn schema_name() -> Cow<'static, str> {
        "PatternSettings".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
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
