//! Parts of the JSON Schemas of definitions.

use serde_json::{Value, json};

/// Returns the schema of a mapping with fixed keys. `x-` extensions are also allowed.
#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
pub fn section(title: &str, description: &str, required: &[&str], properties: Value) -> Value {
    let mut schema = json!({
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "patternProperties": {"^x-": {"description": "Ignored. Use it for anchors or notes."}},
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// Returns a schema that refers to a definition.
pub fn reference(name: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [{"$ref": format!("#/definitions/{name}")}]})
}

/// Returns the schema of a text.
pub fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

/// Returns the schema of one of several texts, of which the first is the default.
pub fn choice(description: &str, choices: &[&str]) -> Value {
    json!({"description": description, "enum": choices, "default": choices.first()})
}

/// Returns the properties that all definitions have.
pub fn head(kind: &str) -> Value {
    json!({
        "frontend": {"description": "The name of the frontend, which namespaces use to bind it.", "type": "string", "pattern": "^[a-z0-9-]{1,63}$"},
        "title": text("A title for people."),
        "description": text("A description for people."),
        "type": choice("The protocol.", &[kind]),
        "pattern": text("The pattern whose RPCs are called; `prism registry patterns list` shows all."),
        "base_path": {
            "description": "The base path if the binding has none. `{namespace}` is replaced by the name of the namespace.",
            "type": "string", "pattern": "^/", "default": "/{namespace}",
        },
    })
}

/// Joins the properties of two schemas.
pub fn join(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
