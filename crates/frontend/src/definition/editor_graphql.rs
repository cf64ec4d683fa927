//! The JSON Schema of definitions of the type `graphql`.

use serde_json::{Value, json};

use super::editor_parts::{head, join, reference, section, text};

/// Returns the schema of a definition.
pub fn api() -> Value {
    let fields = |kind: &str| {
        json!({
            "description": format!("The fields of `{kind}`, each with its call."),
            "type": "object", "additionalProperties": {"$ref": "#/definitions/Field"},
        })
    };
    let own = json!({
        "schema": text("The schema in the schema definition language of GraphQL, relative to this file."),
        "queries": fields("Query"),
        "mutations": fields("Mutation"),
        "subscriptions": fields("Subscription"),
    });
    section(
        "A GraphQL API",
        "Maps the fields of a GraphQL schema onto the RPCs of a pattern.",
        &["frontend", "type", "schema", "pattern"],
        join(head("graphql"), own),
    )
}

/// Returns the schema of the mapping of a field.
pub fn field() -> Value {
    section(
        "A field",
        "The call of a field, and its result.",
        &["rpc", "result"],
        json!({
            "let": {
                "description": "Named values, which `request` and `result` can use.",
                "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"},
            },
            "rpc": text("Name of the RPC."),
            "request": reference("Value", "The request message. Without it, no field is set."),
            "when": reference("Expression", "Only for subscriptions: the messages for which this is true are results."),
            "result": reference("Value", "The value of the field."),
            "null_if": {
                "description": "Reasons of errors for which the field is null, such as KEY_NOT_FOUND.",
                "type": "array", "items": {"type": "string"},
            },
        }),
    )
}
