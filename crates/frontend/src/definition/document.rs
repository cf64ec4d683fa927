//! Reads the OpenAPI document of an API: its operations, parameters, bodies and responses.

use http::Method;

use super::{
    reader::SourceFile,
    types::{self, resolve},
};
use crate::{
    bind::ContentType,
    expression::Type,
    mapping::{BodyContent, BodyFormat, Parameter, ParameterLocation, ParameterStyle, RequestBody},
};
use prism_yaml::{Node, Position, Value};

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    /// Its operations, in their order.
    pub operations: Vec<Operation>,
    /// The document as it is served.
    pub value: serde_json::Value,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: Option<String>,
    /// Its method.
    pub method: Method,
    /// Its path, such as `/notes/{id}`.
    pub path: String,
    /// Its position in the file.
    pub position: Position,
    /// Its parameters, including those of the path item.
    pub parameters: Vec<Parameter>,
    /// Its request body, if it has one.
    pub body: Option<RequestBody>,
    /// Its responses.
    pub responses: Vec<Response>,
}

/// A response of an operation.
#[derive(Clone, Debug)]
pub struct Response {
    /// `200`, `4XX` or `default`.
    pub status: String,
    /// Its media types, each with the type of the body.
    pub contents: Vec<(String, Type)>,
}

impl Operation {
    /// Returns its id, or its method and path.
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{} {}", self.method, self.path))
    }

    /// Finds the response for a status.
    pub fn response(&self, status: u16) -> Option<&Response> {
        let by = |wanted: &str| self.responses.iter().find(|response| response.status.eq_ignore_ascii_case(wanted));
        by(&status.to_string()).or_else(|| by(&format!("{}XX", status / 100))).or_else(|| by("default"))
    }

    /// Returns the first 2xx status.
    pub fn success(&self) -> u16 {
        let mut statuses = self.responses.iter().filter_map(|response| response.status.parse().ok());
        statuses.find(|status| (200..300).contains(status)).unwrap_or(200)
    }
}

impl Document {
    /// Reads the tree of a document.
    pub fn read(file: &SourceFile, root: &Node) -> Self {
        let version = root.get("openapi").and_then(Node::text).unwrap_or_default();
        if !(version.starts_with("3.0.") || version.starts_with("3.1.")) {
            file.problem(&root.position, "this is no OpenAPI document of version 3.0 or 3.1: `openapi: 3.1.0` is missing");
        }
        let mut operations = Vec::new();
        let paths = root.get("paths").map_or(&[][..], |paths| file.entries("`paths`", paths));
        for (path, item) in paths {
            let Some(item) = found(file, root, item) else { continue };
            let shared = item.get("parameters").map_or(&[][..], |list| file.items("`parameters`", list));
            for (key, node) in file.entries("the path", item) {
                let Some(method) = method(&key.name) else { continue };
                operations.push(operation(file, root, method, &path.name, shared, &key.position, node));
            }
        }
        if operations.is_empty() && file.is_fine() {
            file.problem(&root.position, "the document has no operations");
        }
        let mut value = root.to_json();
        if version.starts_with("3.0.") {
            upgrade(&mut value);
            value["openapi"] = "3.1.0".into();
        }
        Self { operations, value }
    }
}

/// Converts schemas of OpenAPI 3.0 to the JSON Schema of 3.1: `nullable`, and exclusive bounds.
fn upgrade(value: &mut serde_json::Value) {
    use serde_json::Value as Json;
    match value {
        Json::Object(members) => {
            members.values_mut().for_each(upgrade);
            if members.get("nullable") == Some(&Json::Bool(true)) && members.get("type").is_some_and(Json::is_string) {
                let kind = members.get("type").cloned().unwrap_or_default();
                members.insert("type".to_owned(), vec![kind, "null".into()].into());
            }
            if members.get("nullable").is_some_and(Json::is_boolean) {
                members.shift_remove("nullable");
            }
            for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
                match members.get(exclusive) {
                    Some(Json::Bool(true)) => {
                        let value = members.shift_remove(bound).unwrap_or_default();
                        members.insert(exclusive.to_owned(), value);
                    }
                    Some(Json::Bool(false)) => drop(members.shift_remove(exclusive)),
                    _ => {}
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(upgrade),
        _ => {}
    }
}

/// Whether a key of a path item is a method.
pub fn is_method(key: &str) -> bool {
    method(key).is_some()
}

fn method(key: &str) -> Option<Method> {
    Some(match key {
        "get" => Method::GET,
        "put" => Method::PUT,
        "post" => Method::POST,
        "delete" => Method::DELETE,
        "options" => Method::OPTIONS,
        "head" => Method::HEAD,
        "patch" => Method::PATCH,
        "trace" => Method::TRACE,
        _ => return None,
    })
}

fn found<'n>(file: &SourceFile, root: &'n Node, node: &'n Node) -> Option<&'n Node> {
    let found = resolve(root, node);
    if found.is_none() {
        let reference = node.get("$ref").and_then(Node::text).unwrap_or_default();
        file.problem(&node.position, format!("`{reference}` does not exist in this document; references must be within it"));
    }
    found
}

fn operation(file: &SourceFile, root: &Node, method: Method, path: &str, shared: &[Node], position: &Position, node: &Node) -> Operation {
    let mut parameters: Vec<Parameter> = Vec::new();
    let own = node.get("parameters").map_or(&[][..], |list| file.items("`parameters`", list));
    for parameter in shared.iter().chain(own).filter_map(|node| parameter(file, root, found(file, root, node)?)) {
        // The operation's own parameters override those of the path.
        parameters.retain(|known| known.name != parameter.name || known.location != parameter.location);
        parameters.push(parameter);
    }
    let contents = |node: &Node| {
        let contents = node.get("content").map_or(&[][..], |node| file.entries("`content`", node));
        contents.iter().map(|(media, node)| content(root, &media.name, node)).collect::<Vec<_>>()
    };
    let body = node.get("requestBody").and_then(|node| found(file, root, node)).map(|node| RequestBody {
        required: node.get("required").is_some_and(|node| matches!(node.value, Value::Bool(true))),
        contents: contents(node),
        any_type: false,
    });
    let responses = node.get("responses").map_or(&[][..], |node| file.entries("`responses`", node));
    let responses = responses.iter().filter_map(|(status, node)| {
        let contents = contents(found(file, root, node)?).into_iter().map(|content| (content.media, content.value));
        Some(Response { status: status.name.clone(), contents: contents.collect() })
    });
    Operation {
        id: node.get("operationId").and_then(Node::text).map(str::to_owned),
        method,
        path: path.to_owned(),
        position: position.clone(),
        parameters,
        body,
        responses: responses.collect(),
    }
}

fn parameter(file: &SourceFile, root: &Node, node: &Node) -> Option<Parameter> {
    let location = match node.get("in").and_then(Node::text) {
        Some("path") => ParameterLocation::Path,
        Some("query") => ParameterLocation::Query,
        Some("header") => ParameterLocation::Header,
        Some("cookie") => ParameterLocation::Cookie,
        _ => {
            file.problem(&node.position, "the parameter needs `in`: path, query, header or cookie");
            return None;
        }
    };
    let Some(name) = node.get("name").and_then(Node::text) else {
        file.problem(&node.position, "the parameter needs `name`");
        return None;
    };
    let flag = |key: &str| node.get(key).and_then(|node| if let Value::Bool(value) = node.value { Some(value) } else { None });
    let schema = node.get("schema").and_then(|schema| resolve(root, schema));
    let value = schema.map_or(Type::String, |schema| types::of(root, schema));
    let style = match (&value, node.get("style").and_then(Node::text)) {
        (_, Some("deepObject")) => ParameterStyle::Deep,
        (Type::List(_), _) if location == ParameterLocation::Query && flag("explode") != Some(false) => ParameterStyle::Repeated,
        (Type::List(_), _) => ParameterStyle::Commas,
        _ => ParameterStyle::Plain,
    };
    Some(Parameter {
        name: if location == ParameterLocation::Header { name.to_ascii_lowercase() } else { name.to_owned() },
        location,
        required: location == ParameterLocation::Path || flag("required") == Some(true),
        value,
        style,
        default: schema.and_then(|schema| schema.get("default")).map(Node::to_json),
        allow_empty: flag("allowEmptyValue") == Some(true),
        schema: schema.map(Node::to_json).filter(asks_for_more).map(|schema| schema.to_string().into()),
    })
}

/// Whether a schema contains more than a type. The type is checked when a value is read.
fn asks_for_more(schema: &serde_json::Value) -> bool {
    const PLAIN: [&str; 6] = ["type", "description", "default", "example", "examples", "format"];
    schema.as_object().is_some_and(|members| members.keys().any(|key| !PLAIN.contains(&key.as_str())))
}

fn content(root: &Node, media: &str, node: &Node) -> BodyContent {
    let media = media.to_ascii_lowercase();
    let schema = node.get("schema");
    let value = schema.map_or(Type::Dyn, |schema| types::of(root, schema));
    let essence = media.split(';').next().unwrap_or_default().trim();
    let reading = if essence == "application/json" || essence.ends_with("+json") {
        BodyFormat::Json
    } else if ContentType::of(essence).is_lines() {
        BodyFormat::Lines
    } else if essence == "application/x-www-form-urlencoded" {
        BodyFormat::Form
    } else if essence.starts_with("text/") {
        BodyFormat::Text
    } else {
        BodyFormat::Bytes
    };
    // The schema of one line: `itemSchema` of OpenAPI 3.2, the items of a list, or the schema itself.
    let items = schema.and_then(|schema| resolve(root, schema)?.get("items"));
    let item = match reading {
        BodyFormat::Lines => node.get("itemSchema").or(items).or(schema),
        BodyFormat::Json => items,
        _ => None,
    };
    let value = match reading {
        BodyFormat::Json | BodyFormat::Form => value,
        BodyFormat::Lines => Type::list(item.map_or(Type::Dyn, |item| types::of(root, item))),
        BodyFormat::Text => Type::String,
        BodyFormat::Bytes => Type::Bytes,
    };
    let text = |schema: &Node| schema.to_json().to_string().into();
    let schema = schema.filter(|_| matches!(reading, BodyFormat::Json | BodyFormat::Form)).map(text);
    BodyContent { media: essence.to_owned(), reading, value, schema, item_schema: item.map(text) }
}
