//! Adapts a document to one namespace: the operations that its backends support, its URL and its limits.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{LIMIT, RPC, SUPPORT};
use crate::json_pointer::escape_token;
use prism_call::proto::patterns::slots::v1::{Capabilities, Limits, Operation, Support};

/// Namespace and base path of a served API.
#[derive(Clone, Copy, Debug)]
pub struct ServedAt<'a> {
    /// Base path. It begins with `/` and does not end with it. Empty means the root.
    pub base_path: &'a str,
    /// Name of the namespace.
    pub namespace: &'a str,
}

/// Extension with the path prefix under which a definition serves its paths a second time.
const ALSO_UNDER: &str = "x-prism-also-under";

/// The sections of `components` that lose their unused entries.
const DROPPED: [&str; 6] = ["schemas", "responses", "parameters", "headers", "requestBodies", "examples"];

/// Removes the operations that the namespace does not support, marks the emulated ones, and sets the servers.
#[must_use]
pub fn tailor(mut document: Value, capabilities: &Capabilities, served_at: ServedAt<'_>) -> Value {
    let title = document["info"]["title"].as_str().unwrap_or("API").to_owned();
    document["info"]["title"] = format!("{title}: {}", served_at.namespace).into();
    let url = if served_at.base_path.is_empty() { "/" } else { served_at.base_path };
    let mut servers = vec![serde_json::json!({"url": url, "description": format!("The namespace {}.", served_at.namespace)})];
    if let Some(prefix) = document.as_object_mut().and_then(|document| document.shift_remove(ALSO_UNDER)) {
        servers.push(server_under(served_at.base_path, prefix.as_str().unwrap_or_default()));
    }
    document["servers"] = servers.into();
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        for (_, item) in paths.iter_mut() {
            let Value::Object(item) = item else { continue };
            item.retain(|_, operation| keep(operation, capabilities));
        }
        paths.retain(|_, item| item.as_object().is_some_and(|item| item.values().any(|value| value.get("responses").is_some())));
    }
    tighten(&mut document, capabilities.limits.as_ref());
    drop_unused(&mut document);
    document
}

/// Returns the server for the second prefix. The parameters in the prefix become server variables.
fn server_under(base_path: &str, prefix: &str) -> Value {
    let names = prefix.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let variables: Map<String, Value> = names.map(|name| (name.to_owned(), serde_json::json!({"default": name}))).collect();
    serde_json::json!({"url": format!("{base_path}{prefix}"), "description": "The same operations, under a part of it.", "variables": variables})
}

/// Returns the operations of the namespace that the [`RPC`] extension of a value names. Returns `None` if it names no known
/// one.
fn rpcs<'c>(value: &Value, capabilities: &'c Capabilities) -> Option<Vec<&'c Operation>> {
    let names = value.get(RPC)?.as_array()?.iter().filter_map(Value::as_str);
    let found: Vec<_> = names.filter_map(|name| capabilities.operations.iter().find(|known| known.rpc == name)).collect();
    (!found.is_empty()).then_some(found)
}

fn is_available(operation: &Operation) -> bool {
    operation.support() != Support::Unavailable
}

/// Returns whether an operation is kept, and marks it if it is emulated. Values without a known RPC are kept, operations or
/// not.
fn keep(operation: &mut Value, capabilities: &Capabilities) -> bool {
    let Some(mut rpcs) = rpcs(operation, capabilities) else { return true };
    rpcs.retain(|rpc| is_available(rpc));
    if rpcs.is_empty() {
        return false;
    }
    parts(operation, capabilities);
    if rpcs.iter().any(|rpc| rpc.support() == Support::Emulated) {
        operation[SUPPORT] = "emulated".into();
    }
    let mut comment = operation["description"].as_str().unwrap_or_default().to_owned();
    for rpc in rpcs.iter().filter(|rpc| !rpc.interface.is_empty() && !rpc.note.is_empty()) {
        let how = if rpc.support() == Support::Emulated { "Emulated in this namespace" } else { "In this namespace" };
        comment = format!("{comment}\n\n{how}: {}.", rpc.note);
    }
    if !comment.is_empty() {
        operation["description"] = comment.trim_start().into();
    }
    true
}

/// Removes the parameters and responses that depend on an unavailable RPC.
fn parts(operation: &mut Value, capabilities: &Capabilities) {
    let mut stays = |part: &mut Value| {
        let stays = rpcs(part, capabilities).is_none_or(|rpcs| rpcs.into_iter().any(is_available));
        if let Some(part) = part.as_object_mut() {
            part.remove(RPC);
        }
        stays
    };
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        parameters.retain_mut(&mut stays);
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        responses.retain(|_, response| stays(response));
    }
}

/// Replaces bounds that are wider than the limits of the namespace, and removes the [`LIMIT`] extension.
pub fn tighten(value: &mut Value, limits: Option<&Limits>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(bounds)) = object.remove(LIMIT) {
                for (keyword, name) in bounds {
                    let limit = limits.zip(name.as_str()).map_or(0, |(limits, name)| limit(limits, name));
                    let wider = object.get(&keyword).and_then(Value::as_u64).is_none_or(|bound| bound > limit);
                    if limit > 0 && wider {
                        object.insert(keyword, limit.into());
                    }
                }
            }
            object.values_mut().for_each(|value| tighten(value, limits));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| tighten(value, limits)),
        _ => {}
    }
}

fn limit(limits: &Limits, name: &str) -> u64 {
    match name {
        "max_key_bytes" => limits.max_key_bytes,
        "max_value_bytes" => limits.max_value_bytes,
        "max_batch_items" => limits.max_batch_items.into(),
        "max_transaction_operations" => limits.max_transaction_operations.into(),
        _ => 0,
    }
}

/// Removes components and tags that are no longer referenced.
fn drop_unused(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut pending = Vec::new();
    references(&document["paths"], &mut pending);
    while let Some(reference) = pending.pop() {
        if let Some(found) = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer))
            && used.insert(reference.clone())
        {
            references(found, &mut pending);
        }
    }
    for section in DROPPED {
        let Some(Value::Object(components)) = document.get_mut("components").and_then(|all| all.get_mut(section)) else { continue };
        components.retain(|name, _| used.contains(&format!("#/components/{section}/{}", escape_token(name))));
    }
    let mut tags = BTreeSet::new();
    for operation in document["paths"].as_object().into_iter().flat_map(Map::values).filter_map(Value::as_object).flat_map(Map::values) {
        let names = operation.get("tags").and_then(Value::as_array).into_iter().flatten();
        tags.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    if let Some(Value::Array(known)) = document.get_mut("tags") {
        known.retain(|tag| tag["name"].as_str().is_some_and(|name| tags.contains(name)));
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
