//! The OpenAPI document of an API: its operations, with what a frontend has to know of them.

use std::sync::Arc;

use http::Method;

use super::{
    reader::File,
    types::{self, resolve},
};
use crate::expression::Type;
use prism_yaml::{Node, Position, Value};

/// An OpenAPI document, read.
#[derive(Debug)]
pub struct Document {
    /// Its operations, in their order.
    pub operations: Vec<Operation>,
    /// All of it, as it is to be served.
    pub value: serde_json::Value,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: Option<String>,
    /// Its method.
    pub method: Method,
    /// Its path, as `/notes/{id}`.
    pub path: String,
    /// Where it stands.
    pub position: Position,
    /// Those of the path item and its own.
    pub parameters: Vec<Parameter>,
    /// The body that it takes.
    pub body: Option<Body>,
    /// What it answers.
    pub responses: Vec<Response>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
}

impl Location {
    /// As the document says it, and the variable of expressions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How a parameter of several values is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One value.
    Plain,
    /// `a=1&a=2`
    Repeated,
    /// `a=1,2`
    Commas,
    /// `a[key]=1`
    Deep,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name; of a header in lower case.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// Whether a request without it is refused.
    pub required: bool,
    /// The type of its value.
    pub value: Type,
    /// How it is written.
    pub style: Style,
    /// What counts if it isn't there.
    pub default: Option<serde_json::Value>,
    /// Whether it may stand without a value.
    pub allow_empty: bool,
    /// Its schema as JSON, if that asks for more than the type.
    pub schema: Option<Arc<str>>,
}

impl Parameter {
    /// A parameter of where all paths are served too; not there where they are served as they are.
    pub fn of_prefix(name: String) -> Self {
        let (location, value, style) = (Location::Path, Type::String, Style::Plain);
        Self { name, location, required: false, value, style, default: None, allow_empty: false, schema: None }
    }
}

/// A body that is taken.
#[derive(Clone, Debug)]
pub struct Body {
    /// Whether a request without one is refused.
    pub required: bool,
    /// What it may be.
    pub contents: Vec<Content>,
    /// Whether it is read as the first of them, whatever its content type is.
    pub any_type: bool,
}

/// How a body of some media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As JSON.
    Json,
    /// As fields of a form.
    Form,
    /// As text in UTF-8.
    Text,
    /// As bytes.
    Bytes,
}

/// A media type and what is behind it.
#[derive(Clone, Debug)]
pub struct Content {
    /// As `application/json`, or a range as `text/*`.
    pub media: String,
    /// How it is read.
    pub reading: Reading,
    /// The type of the whole.
    pub value: Type,
    /// Its schema as JSON, if the body is that or a form.
    pub schema: Option<Arc<str>>,
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub struct Response {
    /// `200`, `4XX` or `default`.
    pub status: String,
    /// Its media types, with the type of the whole.
    pub contents: Vec<(String, Type)>,
}

impl Operation {
    /// As it is called: by its id, or by method and path.
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{} {}", self.method, self.path))
    }

    /// The answer that the document has for a status.
    pub fn response(&self, status: u16) -> Option<&Response> {
        let by = |wanted: &str| self.responses.iter().find(|response| response.status.eq_ignore_ascii_case(wanted));
        by(&status.to_string()).or_else(|| by(&format!("{}XX", status / 100))).or_else(|| by("default"))
    }

    /// The first status of success.
    pub fn success(&self) -> u16 {
        let mut statuses = self.responses.iter().filter_map(|response| response.status.parse().ok());
        statuses.find(|status| (200..300).contains(status)).unwrap_or(200)
    }
}

impl Document {
    /// Reads the tree of a document.
    pub fn read(file: &File, root: &Node) -> Self {
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
            file.problem(&root.position, "the document has no operation");
        }
        let mut value = root.to_json();
        if version.starts_with("3.0.") {
            upgrade(&mut value);
            value["openapi"] = "3.1.0".into();
        }
        Self { operations, value }
    }
}

/// What OpenAPI 3.0 says otherwise than the JSON Schema of 3.1: `nullable`, and bounds that are exclusive.
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

fn found<'n>(file: &File, root: &'n Node, node: &'n Node) -> Option<&'n Node> {
    let found = resolve(root, node);
    if found.is_none() {
        let reference = node.get("$ref").and_then(Node::text).unwrap_or_default();
        file.problem(&node.position, format!("`{reference}` leads to nothing in this document; references have to stay inside of it"));
    }
    found
}

fn operation(file: &File, root: &Node, method: Method, path: &str, shared: &[Node], position: &Position, node: &Node) -> Operation {
    let mut parameters: Vec<Parameter> = Vec::new();
    let own = node.get("parameters").map_or(&[][..], |list| file.items("`parameters`", list));
    for parameter in shared.iter().chain(own).filter_map(|node| parameter(file, root, found(file, root, node)?)) {
        // The operation's own ones count before those of the path.
        parameters.retain(|known| known.name != parameter.name || known.location != parameter.location);
        parameters.push(parameter);
    }
    let contents = |node: &Node| {
        let contents = node.get("content").map_or(&[][..], |node| file.entries("`content`", node));
        contents.iter().map(|(media, node)| content(root, &media.name, node)).collect::<Vec<_>>()
    };
    let body = node.get("requestBody").and_then(|node| found(file, root, node)).map(|node| Body {
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

fn parameter(file: &File, root: &Node, node: &Node) -> Option<Parameter> {
    let location = match node.get("in").and_then(Node::text) {
        Some("path") => Location::Path,
        Some("query") => Location::Query,
        Some("header") => Location::Header,
        Some("cookie") => Location::Cookie,
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
        (_, Some("deepObject")) => Style::Deep,
        (Type::List(_), _) if location == Location::Query && flag("explode") != Some(false) => Style::Repeated,
        (Type::List(_), _) => Style::Commas,
        _ => Style::Plain,
    };
    Some(Parameter {
        name: if location == Location::Header { name.to_ascii_lowercase() } else { name.to_owned() },
        location,
        required: location == Location::Path || flag("required") == Some(true),
        value,
        style,
        default: schema.and_then(|schema| schema.get("default")).map(Node::to_json),
        allow_empty: flag("allowEmptyValue") == Some(true),
        schema: schema.map(Node::to_json).filter(asks_for_more).map(|schema| schema.to_string().into()),
    })
}

/// Whether a schema asks for more than a type, which is checked when a value is read.
fn asks_for_more(schema: &serde_json::Value) -> bool {
    const PLAIN: [&str; 6] = ["type", "description", "default", "example", "examples", "format"];
    schema.as_object().is_some_and(|members| members.keys().any(|key| !PLAIN.contains(&key.as_str())))
}

fn content(root: &Node, media: &str, node: &Node) -> Content {
    let media = media.to_ascii_lowercase();
    let value = node.get("schema").map_or(Type::Dyn, |schema| types::of(root, schema));
    let essence = media.split(';').next().unwrap_or_default().trim();
    let reading = if essence == "application/json" || essence.ends_with("+json") {
        Reading::Json
    } else if essence == "application/x-www-form-urlencoded" {
        Reading::Form
    } else if essence.starts_with("text/") {
        Reading::Text
    } else {
        Reading::Bytes
    };
    let value = match reading {
        Reading::Json | Reading::Form => value,
        Reading::Text => Type::String,
        Reading::Bytes => Type::Bytes,
    };
    let schema = node.get("schema").filter(|_| matches!(reading, Reading::Json | Reading::Form));
    let schema = schema.map(|schema| schema.to_json().to_string().into());
    Content { media: essence.to_owned(), reading, value, schema }
}
