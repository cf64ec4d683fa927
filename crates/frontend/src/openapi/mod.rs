//! OpenAPI 3.1: what an API looks like from outside.
//!
//! [`generate`] makes the document of a service from its routes, its descriptors and their comments. [`tailor`] makes the one
//! of a namespace from it: without the operations that its backends can't do, with those marked that are emulated. The first
//! step is for APIs whose routes are annotations; APIs with a document of their own begin with the second. Between the two,
//! each operation says in [`RPC`] which RPCs it leads to, and each bound that a namespace may tighten says so in [`LIMIT`].

mod conditions;
mod examples;
mod operation;
mod options;
mod path;
mod problems;
mod query;
mod schemas;
mod tailor;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashSet;

use http::Method;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::{
    rule::HttpRule,
    template::{PathTemplate, Segment},
};
use prism_call::proto;
use schemas::ComponentSchemas;

pub use tailor::{ServedAt, tailor};

/// The extension that names the RPCs of an operation, in the order in which they matter.
pub const RPC: &str = "x-prism-rpc";
/// The extension that tells what an operation is in a namespace, if it is not native.
pub const SUPPORT: &str = "x-prism-support";
/// The extension of a schema whose bound may be tightened: keyword → field of the namespace's limits. Not in served documents.
pub const LIMIT: &str = "x-prism-limit";

/// The methods that OpenAPI has a place for.
const METHODS: [Method; 8] =
    [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD, Method::PATCH, Method::TRACE];

/// The document of a service's annotated routes; `None`: the pool has no such service.
///
/// What can't be said in OpenAPI, such as a method of one's own, is left out.
pub fn generate(pool: &DescriptorPool, service: &str) -> Option<Value> {
    let service = pool.get_service_by_name(service)?;
    let comment = proto::comment(service.full_name()).unwrap_or_default();
    let tag = service.name().strip_suffix("Service").unwrap_or(service.name());
    let mut schemas = ComponentSchemas::default();
    let (mut paths, mut ids) = (Map::new(), HashSet::new());
    for method in service.methods() {
        for rule in HttpRule::of(&method).unwrap_or_default() {
            let methods = match &rule.method {
                Some(method) => vec![method.clone()],
                None => vec![Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH],
            };
            for http in methods.into_iter().filter(|method| METHODS.contains(method)) {
                let item = paths.entry(path::template(&rule.template)).or_insert_with(|| json!({}));
                let name = http.as_str().to_ascii_lowercase();
                if item.get(&name).is_none() {
                    let id = id(&method, &rule, &http, &mut ids);
                    let rule = HttpRule { method: Some(http), ..rule.clone() };
                    item[name] = operation::operation(&mut schemas, tag, &id, &method, &rule);
                }
            }
        }
    }
    let (mut found, renamed) = schemas.finish();
    found["Problem"] = problems::schema();
    let mut responses = problems::components();
    responses["NotModified"] = json!({
        "description": "The client has it already: a tag in `If-None-Match` is that of the current revision.",
        "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
    });
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": tag,
            "version": version(service.full_name()),
            "description": comment,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "tags": [{"name": tag, "description": first_paragraph(comment)}],
        "paths": paths,
        "components": {"schemas": found, "responses": responses, "parameters": parameters(), "headers": headers()},
    });
    schemas::rename(&mut document, &renamed);
    Some(document)
}

/// The RPC's name; for further ways to it, the fixed parts of the path behind it; for what is still not unique, the method.
fn id(method: &MethodDescriptor, rule: &HttpRule, http: &Method, taken: &mut HashSet<String>) -> String {
    let place = format!("{}At{}", method.name(), fixed(&rule.template));
    let names = [method.name().to_owned(), place.clone(), format!("{place}By{}", pascal(&http.as_str().to_ascii_lowercase()))];
    let free = names.into_iter().find(|name| !taken.contains(name));
    let name = free.unwrap_or_else(|| format!("{place}{}", taken.len()));
    taken.insert(name.clone());
    name
}

/// `/v1/keys/{key=**}` → `Keys`
fn fixed(template: &PathTemplate) -> String {
    let literals = template.segments().iter().filter_map(|segment| if let Segment::Literal(text) = segment { Some(text) } else { None });
    let is_version = |text: &str| text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    literals.map(String::as_str).filter(|text| !is_version(text)).chain(template.verb()).map(pascal).collect()
}

/// `compare-and-store` → `CompareAndStore`
fn pascal(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// `prism.patterns.keyvalue.v1.KeyValueService` → `v1`
fn version(service: &str) -> &str {
    service.rsplit('.').nth(1).unwrap_or("v1")
}

fn first_paragraph(text: &str) -> &str {
    text.split("\n\n").next().unwrap_or_default()
}

fn parameters() -> Value {
    json!({
        "LastEventId": {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "For server-sent events: continue behind the event with this id. Browsers send it by themselves.",
            "schema": {"type": "string", "format": "cursor"},
            "example": "",
        },
    })
}

fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "Names this call in logs: the client's own, or a new one.",
            "schema": {"type": "string"},
            "example": "5f0c9a1be2d74c6f8a3b9d0e1c2f4a5b",
        },
        "ETag": {
            "description": "The revision in quotes, for `If-Match` and `If-None-Match`.",
            "schema": {"type": "string"},
            "example": "\"1\"",
        },
        "RetryAfter": {
            "description": "Seconds to wait before trying again.",
            "schema": {"type": "integer", "minimum": 1},
            "example": 1,
        },
    })
}
