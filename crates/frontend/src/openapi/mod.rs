//! OpenAPI 3.1 documents for the APIs of services and namespaces.
//!
//! [`generate`] builds the document of a service from its routes, its descriptors and their comments. [`tailor`] adapts a
//! document to a namespace: it removes the operations that the backends do not support and marks the emulated ones. APIs
//! whose routes are annotations use both steps. APIs that come with their own document use only the second step. The steps
//! are connected by two extensions: [`RPC`] names the RPCs of each operation, and [`LIMIT`] marks each bound that the limits
//! of a namespace can tighten.

mod conditions;
mod examples;
mod headers;
mod operation;
mod options;
mod path;
mod problems;
mod query;
mod schemas;
mod standalone;
mod tailor;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::HashSet, sync::Arc};

use http::Method;
use prost_reflect::ServiceDescriptor;
use serde_json::{Map, Value, json};

use super::{
    rule::HttpRule,
    template::{PathTemplate, Segment},
};
use prism_call::{Method as RpcMethod, proto};
use schemas::ComponentSchemas;

pub use options::{is_required, must_choose};
pub use standalone::{reply_schema, request_schema};
pub use tailor::{ServedAt, tailor};

/// Extension that names the RPCs of an operation, the most important first.
pub const RPC: &str = "x-prism-rpc";
/// Extension that states how a namespace supports an operation, if the support is not native.
pub const SUPPORT: &str = "x-prism-support";
/// Extension of a schema whose bounds can be tightened. It maps a keyword to a field of the namespace's limits. Served
/// documents do not contain it.
pub const LIMIT: &str = "x-prism-limit";

/// The methods that a path item of OpenAPI can have.
const METHODS: [Method; 8] =
    [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD, Method::PATCH, Method::TRACE];

/// Generates the document of the routes of RPCs. The first RPC is of the service that gives the document its title; without any RPC, there
/// is no document.
///
/// Leaves out what OpenAPI cannot express, such as custom methods.
pub fn generate(methods: &[Arc<RpcMethod>]) -> Option<Value> {
    let service = methods.first()?.descriptor.parent_service();
    let comment = proto::comment(service.full_name()).unwrap_or_default();
    let title = tag(service);
    let mut schemas = ComponentSchemas::default();
    let (mut paths, mut ids, mut tags) = (Map::new(), HashSet::new(), Vec::<Value>::new());
    for method in methods {
        let service = method.descriptor.parent_service();
        let tag = tag(service);
        let described = tags.last().is_some_and(|last| last["name"] == *tag);
        if !described {
            let comment = proto::comment(service.full_name()).unwrap_or_default();
            tags.push(json!({"name": tag, "description": first_paragraph(comment)}));
        }
        for rule in HttpRule::of(method).unwrap_or_default() {
            let methods = match &rule.method {
                Some(method) => vec![method.clone()],
                None => vec![Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH],
            };
            for http in methods.into_iter().filter(|method| METHODS.contains(method)) {
                let item = paths.entry(path::template(&rule.template)).or_insert_with(|| json!({}));
                let name = http.as_str().to_ascii_lowercase();
                if item.get(&name).is_none() {
                    let id = id(method, &rule, &http, &mut ids);
                    let rule = HttpRule { method: Some(http), ..rule.clone() };
                    item[name] = operation::operation(&mut schemas, &tag, &id, method, &rule);
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
            "title": title,
            "version": version(service.full_name()),
            "description": comment,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": found, "responses": responses, "parameters": parameters(), "headers": headers()},
    });
    schemas::rename(&mut document, &renamed);
    Some(document)
}

/// Returns the tag of a service: `prism.patterns.keyvalue.v1.KeyValueService` → `KeyValue`
fn tag(service: &ServiceDescriptor) -> String {
    service.name().strip_suffix("Service").unwrap_or(service.name()).to_owned()
}

/// Returns a unique operation id. This is the name of the RPC. Further routes of the RPC add the literals of their path, and,
/// if that is still not unique, the HTTP method.
fn id(method: &RpcMethod, rule: &HttpRule, http: &Method, taken: &mut HashSet<String>) -> String {
    let by = format!("By{}", pascal(&http.as_str().to_ascii_lowercase()));
    let place = format!("{}At{}", method.name, fixed(&rule.template));
    let names = match method.interface {
        // The path of an RPC of an interface consists of both names.
        Some(_) => [fixed(&rule.template), format!("{}{by}", fixed(&rule.template)), format!("{place}{by}")],
        None => [method.name.clone(), place.clone(), format!("{place}{by}")],
    };
    let free = names.into_iter().find(|name| !taken.contains(name));
    let name = free.unwrap_or_else(|| format!("{place}{}", taken.len()));
    taken.insert(name.clone());
    name
}

/// Joins the literals and the verb of a template, without versions: `/v1/keys/{key=**}` → `Keys`
fn fixed(template: &PathTemplate) -> String {
    let literals = template.segments().iter().filter_map(|segment| if let Segment::Literal(text) = segment { Some(text) } else { None });
    let is_version = |text: &str| text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    literals.map(String::as_str).filter(|text| !is_version(text)).chain(template.verb()).map(pascal).collect()
}

/// Converts to Pascal case: `compare-and-store` → `CompareAndStore`
fn pascal(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// Returns the version in a service name: `prism.patterns.keyvalue.v1.KeyValueService` → `v1`
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
