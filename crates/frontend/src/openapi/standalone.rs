//! JSON Schemas of single messages that stand alone: the types that they refer to are in their `$defs`.

use prost_reflect::MessageDescriptor;
use serde_json::Value;

use super::{
    schemas::{self, ComponentSchemas},
    tailor,
    values::Direction,
};
use prism_call::proto::patterns::slots::v1::Limits;

/// Returns the schema of a request in JSON. The limits of a namespace tighten its bounds.
pub fn request_schema(message: &MessageDescriptor, limits: Option<&Limits>) -> Value {
    let mut schema = standalone(message, Direction::Request);
    tailor::tighten(&mut schema, limits);
    schema
}

/// Returns the schema of a reply in JSON.
pub fn reply_schema(message: &MessageDescriptor) -> Value {
    standalone(message, Direction::Reply)
}

fn standalone(message: &MessageDescriptor, direction: Direction) -> Value {
    let mut components = ComponentSchemas::default();
    let mut schema = components.object(message, direction, &|_| true);
    let (found, renamed) = components.finish();
    if found.as_object().is_some_and(|found| !found.is_empty()) {
        schema["$defs"] = found;
    }
    schemas::rename(&mut schema, &renamed);
    schemas::move_references(&mut schema, "#/$defs/");
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use prism_call::proto;

    fn message(name: &str) -> MessageDescriptor {
        proto::descriptors().get_message_by_name(name).unwrap()
    }

    #[test]
    fn schemas_stand_alone_and_have_the_limits_of_the_namespace() {
        let request = message("prism.patterns.keyvalue.v1.TransactRequest");
        let schema = request_schema(&request, Some(&Limits { max_transaction_operations: 7, ..Limits::default() }));
        let text = schema.to_string();
        assert!(!text.contains("#/components/") && !text.contains(super::super::LIMIT), "{text}");
        assert_eq!(schema["properties"]["thenOperations"]["maxItems"], json!(7), "{text}");
        let reference = schema["properties"]["thenOperations"]["items"]["$ref"].as_str().unwrap();
        assert!(schema.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        let reply = reply_schema(&message("prism.patterns.keyvalue.v1.StoreResponse"));
        assert_eq!((&reply["required"], reply.get("$defs")), (&json!(["revision"]), None));
    }
}
