//! Builds the OpenAPI operation of one route.

use http::Method;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::{
    RPC, conditions, examples, headers, options, path, problems, query,
    schemas::{ComponentSchemas, describe},
    values::{self, Direction},
};
use crate::{
    headers::option,
    rule::{HttpRule, RuleBody},
};
use prism_call::{
    Method as RpcMethod,
    proto::{self, options::v1::HttpHeaders},
};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// Returns the operation of a rule. `id` is unique among all operations.
pub fn operation(schemas: &mut ComponentSchemas, tag: &str, id: &str, rpc: &RpcMethod, rule: &HttpRule) -> Value {
    let method = &rpc.descriptor;
    let comment = proto::comment(method.full_name()).unwrap_or_default();
    let (input, output) = (method.input(), method.output());
    let fields = option(method).unwrap_or_default();
    let by_revision = !method.is_server_streaming()
        && revision(&output)
        && [Method::GET, Method::PUT, Method::PATCH].iter().any(|tagged| rule.method.as_ref() == Some(tagged));
    let tagged = by_revision || headers::has_tag(&fields);
    let reads = rule.method == Some(Method::GET) || rule.method == Some(Method::HEAD);

    let mut parameters = path::parameters(schemas, &input, &rule.template);
    if rule.body != RuleBody::Whole {
        parameters.extend(query::parameters(schemas, &input, &|path| is_bound(&input, rule, path) || headers::sets(&fields, path)));
    }
    let (conditions, mut failed) = conditions::parameters(method, reads, tagged);
    parameters.extend(conditions);
    parameters.extend(headers::parameters(schemas, &input, &fields, reads));
    failed = failed.or_else(|| headers::precondition_failed(&fields));
    if method.is_server_streaming() && input.get_field_by_name("cursor").is_some() {
        parameters.push(json!({"$ref": "#/components/parameters/LastEventId"}));
    }
    let mut responses = Map::new();
    let success = success(schemas, method, rule, by_revision, &fields);
    if headers::has_range(&fields) {
        let mut part = success.clone();
        part["description"] = "A part of the content.".into();
        responses.insert("206".to_owned(), part);
    }
    responses.insert("200".to_owned(), success);
    if tagged && reads {
        responses.insert("304".to_owned(), json!({"$ref": "#/components/responses/NotModified"}));
    }
    responses.extend(problems::responses(comment, rule.body != RuleBody::None));
    responses.extend(failed.map(|failed| ("412".to_owned(), failed)));

    let mut operation = json!({
        "operationId": id,
        "summary": summary(comment, method.name()),
        "description": comment,
        "tags": [tag],
        RPC: [rpc.label],
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = request_body(schemas, method, rule) {
        operation["requestBody"] = body;
    }
    operation["responses"] = responses.into();
    operation
}

/// Returns the first sentence of a comment without its full stop.
fn summary(comment: &str, name: &str) -> String {
    let text = comment.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let first = text.split_once(". ").map_or(text.as_str(), |(first, _)| first);
    let first = first.trim_end_matches('.');
    if first.is_empty() { name.to_owned() } else { first.to_owned() }
}

/// Returns whether the path or the body provides a field. `field` is a path of proto names.
fn is_bound(input: &MessageDescriptor, rule: &HttpRule, field: &str) -> bool {
    let by_path = rule.template.variables().iter().any(|variable| variable.field.join(".") == field);
    let by_body = matches!(&rule.body, RuleBody::Field(body) if input.get_field_by_name(field).is_some_and(|found| is_named(&found, body)));
    by_path || by_body
}

fn is_named(field: &FieldDescriptor, name: &str) -> bool {
    field.name() == name || field.json_name() == name
}

/// Returns whether a reply carries the revision for an `ETag`.
fn revision(output: &MessageDescriptor) -> bool {
    output.get_field_by_name("revision").is_some_and(|field| matches!(field.kind(), Kind::Uint64) && is_single(&field))
}

fn is_single(field: &FieldDescriptor) -> bool {
    field.cardinality() != Cardinality::Repeated
}

fn is_raw(kind: &Kind) -> bool {
    matches!(kind, Kind::Message(message) if message.full_name() == "google.api.HttpBody")
}

/// Returns the schema of raw bytes.
fn raw(more: &str) -> Value {
    json!({"type": "string", "format": "binary", "description": format!("The bytes as they are{more}.")})
}

fn request_body(schemas: &mut ComponentSchemas, method: &MethodDescriptor, rule: &HttpRule) -> Option<Value> {
    let input = method.input();
    let bound = |field: &FieldDescriptor| rule.template.variables().iter().all(|variable| variable.field != [field.name()]);
    let mut required = false;
    let (schema, example) = match &rule.body {
        RuleBody::None => return None,
        RuleBody::Whole if is_raw(&Kind::Message(input.clone())) => return Some(raw_body()),
        RuleBody::Whole => {
            let fields = || input.fields().filter(|field| bound(field));
            required = fields().any(|field| options::is_required(&field)) || options::choices(&input).iter().any(|choice| choice.required);
            // The path provides the other fields, and it takes precedence.
            let whole = input.fields().all(|field| bound(&field));
            let schema =
                if whole { schemas.message(&input, Direction::Request) } else { schemas.object(&input, Direction::Request, &bound) };
            (schema, examples::message(&input, &bound))
        }
        RuleBody::Field(name) => {
            let field = input.fields().find(|field| is_named(field, name))?;
            if is_raw(&field.kind()) && is_single(&field) {
                return Some(raw_body());
            }
            let mut schema = schemas.field(&field, Direction::Request);
            if options::is_required(&field) {
                required = true;
            } else {
                schema = values::nullable(schema);
            }
            describe(&mut schema, field.full_name());
            if matches!(field.kind(), Kind::Bytes) && is_single(&field) && method.is_client_streaming() {
                return Some(raw_body());
            }
            if matches!(field.kind(), Kind::Bytes) && is_single(&field) {
                // Other types are taken as well, and change nothing.
                return Some(json!({"required": required, "content": {BYTES: {"schema": raw(""), "example": "hello"}}}));
            }
            (schema, examples::field(&field))
        }
    };
    let content = if method.is_client_streaming() {
        json!({
            LINES: {"schema": sequence(&schema, "One JSON text on each line."), "example": line(&example)},
            JSON: {"schema": {"type": "array", "items": schema}, "example": [example]},
        })
    } else {
        json!({JSON: {"schema": schema, "example": example}})
    };
    Some(json!({"required": required, "content": content}))
}

fn raw_body() -> Value {
    json!({"required": false, "content": {"*/*": {"schema": raw(", with their content type"), "example": "hello"}}})
}

/// Returns the schema of a body with many JSON texts.
fn sequence(item: &Value, description: &str) -> Value {
    json!({"type": "string", "description": description, "contentMediaType": JSON, "contentSchema": item})
}

fn line(example: &Value) -> String {
    format!("{example}\n")
}

fn success(schemas: &mut ComponentSchemas, method: &MethodDescriptor, rule: &HttpRule, tagged: bool, fields: &HttpHeaders) -> Value {
    let output = method.output();
    let (schema, example, bytes) = match rule.response_body.as_deref() {
        None if is_raw(&Kind::Message(output.clone())) => (raw(", with their content type"), json!("hello"), Some("*/*")),
        None => (schemas.message(&output, Direction::Reply), examples::message(&output, &|_| true), None),
        Some(name) => match output.fields().find(|field| is_named(field, name)) {
            Some(field) => {
                let mut schema = schemas.field(&field, Direction::Reply);
                describe(&mut schema, field.full_name());
                let bytes = match field.kind() {
                    Kind::Bytes if is_single(&field) => Some(BYTES),
                    kind if is_raw(&kind) && is_single(&field) => Some("*/*"),
                    _ => None,
                };
                (schema, examples::field(&field), bytes)
            }
            None => (json!({}), Value::Null, None),
        },
    };
    let content = if method.is_server_streaming() && bytes.is_some() {
        json!({"*/*": {"schema": raw(", with their content type"), "example": "hello"}})
    } else if method.is_server_streaming() {
        json!({
            LINES: {"schema": sequence(&schema, "One JSON text on each line."), "example": line(&example)},
            EVENTS: {
                "schema": sequence(&schema, "Server-sent events; the data of each is a JSON text, its id the cursor."),
                "example": format!("id: 1\ndata: {example}\n\n"),
            },
            JSON: {"schema": {"type": "array", "items": schema}, "example": [example]},
        })
    } else {
        match bytes {
            None => json!({JSON: {"schema": schema, "example": example}}),
            Some(BYTES) => json!({
                BYTES: {"schema": raw(""), "example": "hello"},
                JSON: {"schema": schema, "example": example},
            }),
            Some(any) => json!({any: {"schema": raw(", with their content type"), "example": "hello"}}),
        }
    };
    let head = rule.method == Some(Method::HEAD);
    let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/RequestId"}});
    if tagged {
        headers["ETag"] = json!({"$ref": "#/components/headers/ETag"});
    }
    headers::describe(&output, fields, head || bytes.is_some(), &mut headers);
    let description = proto::comment(output.full_name()).unwrap_or("It worked.");
    let mut response = json!({"description": description, "headers": headers});
    if !head {
        response["content"] = content;
    }
    response
}
