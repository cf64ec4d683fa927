//! The JSON Schema of `prism.yaml`, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::model::{Binding, Slot};

/// A backend of any kind.
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
