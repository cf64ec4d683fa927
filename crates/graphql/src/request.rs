//! A request of GraphQL, and the errors of requests and of fields.

use std::borrow::Cow;

use async_graphql::{Pos, ServerError};
use serde_json::{Map, Value, json};

use prism_call::{Code, Error};
use prism_frontend::{percent, problem};

/// A request ("GraphQL over HTTP", Request Parameters).
#[derive(Clone, Debug, Default)]
pub struct GraphqlRequest {
    /// The document; empty: it is known by its hash.
    pub query: String,
    /// The SHA-256 hash of a document that the client expects to be known ("Automatic persisted queries" of Apollo).
    pub hash: Option<[u8; 32]>,
    /// The id of a trusted document ("GraphQL over HTTP", Persisted Documents), unless it is a SHA-256 hash.
    pub document_id: Option<String>,
    /// The operation of the document, if it has several.
    pub operation_name: Option<String>,
    /// The id of the operation among those that share a stream of events (`extensions.operationId`, "GraphQL over Server-Sent Events").
    pub operation_id: Option<String>,
    /// Values of variables.
    pub variables: Map<String, Value>,
}

impl GraphqlRequest {
    /// Reads a JSON text.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(text).map_err(|error| malformed("", format!("the body is not JSON: {error}")))?;
        Self::from_value(value)
    }

    /// Reads a JSON value, such as the payload of a message.
    pub fn from_value(value: Value) -> Result<Self, Error> {
        let Value::Object(mut members) = value else { return Err(malformed("", "must be an object with `query`")) };
        let mut take = |name: &str| members.remove(name).filter(|value| !value.is_null());
        let query = match take("query") {
            Some(Value::String(query)) => Some(query),
            Some(_) => return Err(malformed("query", "must be text")),
            None => None,
        };
        let operation_name = match take("operationName") {
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(malformed("operationName", "must be text")),
            None => None,
        };
        let document_id = match take("documentId") {
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(malformed("documentId", "must be text")),
            None => None,
        };
        let mut map = |name: &'static str| match take(name) {
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(malformed(name, "must be an object")),
            None => Ok(Map::new()),
        };
        let mut extensions = map("extensions")?;
        let operation_id = match extensions.remove("operationId") {
            Some(Value::String(id)) => Some(id),
            _ => None,
        };
        let hash = match extensions.remove("persistedQuery") {
            Some(persisted) => Some(read_persisted(&persisted)?),
            None => None,
        };
        let (hash, document_id) = match document_id.as_deref().map(|id| id.strip_prefix(HASH_PREFIX)) {
            Some(Some(digits)) => {
                let hash = read_hash(digits).ok_or_else(|| malformed("documentId", "must have 64 hexadecimal digits after sha256:"))?;
                (Some(hash), None)
            }
            _ => (hash, document_id),
        };
        let query = match query {
            Some(query) => query,
            None if hash.is_some() || document_id.is_some() => String::new(),
            None => return Err(malformed("query", "is missing")),
        };
        Ok(Self { query, hash, document_id, operation_name, operation_id, variables: map("variables")? })
    }

    /// Reads the query of a URL. Other parameters are ignored.
    pub fn from_query(query: &str) -> Result<Self, Error> {
        let mut members = Map::new();
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            if !["query", "documentId", "operationName", "variables", "extensions"].contains(&name) || members.contains_key(name) {
                continue;
            }
            let text = percent::decode_query(value).map_err(|_| malformed("", format!("the parameter {name} is not encoded well")))?;
            let value = match name {
                "query" | "documentId" | "operationName" => Value::String(text.into_owned()),
                _ if text.is_empty() => Value::Null,
                _ => serde_json::from_str(&text).map_err(|error| malformed(name, format!("is not JSON: {error}")))?,
            };
            members.insert(name.to_owned(), value);
        }
        Self::from_value(Value::Object(members))
    }
}

/// What an id begins with that is a hash.
const HASH_PREFIX: &str = "sha256:";

/// Reads `{"version": 1, "sha256Hash": "…"}`.
fn read_persisted(persisted: &Value) -> Result<[u8; 32], Error> {
    const NAME: &str = "extensions.persistedQuery";
    if persisted["version"] != 1 {
        return Err(malformed(NAME, "must have the version 1"));
    }
    let hash = persisted["sha256Hash"].as_str().and_then(read_hash);
    hash.ok_or_else(|| malformed(NAME, "must have a sha256Hash of 64 hexadecimal digits"))
}

/// Reads 64 hexadecimal digits.
fn read_hash(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The error of a request that is not of the form that the protocol asks for.
pub fn malformed(parameter: &str, description: impl Into<Cow<'static, str>>) -> Error {
    let description = description.into();
    let message = if parameter.is_empty() { description.to_string() } else { format!("{parameter}: {description}") };
    let error = Error::new(Code::InvalidArgument, "MALFORMED_REQUEST", message);
    if parameter.is_empty() { error } else { error.with_violation(parameter, description.into_owned()) }
}

/// Why nothing of a request was executed.
#[derive(Debug)]
pub struct RequestError {
    /// The errors.
    pub errors: Vec<GraphqlError>,
}

/// An error, and where in the document and in the response it is.
#[derive(Debug)]
pub struct GraphqlError {
    /// The error.
    pub error: Error,
    /// Where in the document.
    pub locations: Vec<Pos>,
    /// Where in the response: names and indexes.
    pub path: Vec<Value>,
}

impl RequestError {
    /// One error.
    pub fn one(reason: &'static str, message: impl Into<Cow<'static, str>>, at: Option<Pos>) -> Self {
        Self::from(Error::new(Code::InvalidArgument, reason, message)).at(at)
    }

    /// Errors that `async-graphql` found.
    pub fn found(reason: &'static str, errors: Vec<ServerError>) -> Self {
        let own = |error: ServerError| GraphqlError {
            error: Error::new(Code::InvalidArgument, reason, error.message),
            locations: error.locations,
            path: Vec::new(),
        };
        Self { errors: errors.into_iter().map(own).collect() }
    }

    fn at(mut self, at: Option<Pos>) -> Self {
        self.errors.iter_mut().for_each(|error| error.locations.extend(at));
        self
    }

    /// Returns the first error, for metrics and logs.
    pub fn first(&self) -> Error {
        match self.errors.first() {
            Some(GraphqlError { error, .. }) => error.for_client(),
            None => Error::internal("a request failed without an error"),
        }
    }

    /// Returns a response with the errors, without data.
    pub fn to_response(&self) -> Value {
        json!({"errors": self.to_json()})
    }

    /// Returns the errors as a JSON value: a list.
    pub fn to_json(&self) -> Value {
        self.errors.iter().map(GraphqlError::to_json).collect()
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self { errors: vec![GraphqlError { error, locations: Vec::new(), path: Vec::new() }] }
    }
}

impl GraphqlError {
    /// Returns the error as JSON ("GraphQL", section 7.1.2).
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("message".to_owned(), self.error.message().into());
        if !self.locations.is_empty() {
            let locations = self.locations.iter().map(|at| json!({"line": at.line, "column": at.column}));
            out.insert("locations".to_owned(), locations.collect());
        }
        if !self.path.is_empty() {
            out.insert("path".to_owned(), self.path.clone().into());
        }
        out.insert("extensions".to_owned(), extensions(&self.error));
        Value::Object(out)
    }
}

/// Returns what clients may decide by: code, reason, metadata, invalid fields, and when to try again.
fn extensions(error: &Error) -> Value {
    let mut out = Map::new();
    out.insert("code".to_owned(), error.code().name().into());
    if !error.reason().is_empty() {
        out.insert("reason".to_owned(), error.reason().into());
    }
    let metadata: Map<String, Value> = error.metadata().map(|(key, value)| (key.to_owned(), value.into())).collect();
    if !metadata.is_empty() {
        out.insert("metadata".to_owned(), metadata.into());
    }
    if !error.violations().is_empty() {
        let violations = error.violations().iter();
        let shown = violations.map(|one| json!({"pointer": problem::pointer(&camel_path(&one.field)), "detail": one.description}));
        out.insert("violations".to_owned(), shown.collect());
    }
    if let Some(delay) = error.retry_after() {
        out.insert("retryAfterSeconds".to_owned(), delay.as_secs_f64().into());
    }
    Value::Object(out)
}

/// Converts the names of a path to those of arguments: `items[0].start_key` → `items[0].startKey`. Keys of maps stay.
fn camel_path(path: &str) -> String {
    let (mut out, mut raise, mut depth) = (String::with_capacity(path.len()), false, 0_usize);
    for letter in path.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '_' if depth == 0 && !out.is_empty() => {
                raise = true;
                continue;
            }
            _ => {}
        }
        out.push(if raise { letter.to_ascii_uppercase() } else { letter });
        raise = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_json_and_from_a_query() {
        let read =
            GraphqlRequest::from_json(br#"{"query":"{a}","operationName":null,"variables":{"x":1},"extensions":null,"other":3}"#).unwrap();
        assert_eq!((read.query.as_str(), read.operation_name, read.variables["x"].clone()), ("{a}", None, json!(1)));
        let read = GraphqlRequest::from_query("query=%7Ba+b%7D&variables=%7B%22x%22%3A%22%2B%22%7D&operationName=Q&z=1").unwrap();
        assert_eq!((read.query.as_str(), read.operation_name.as_deref(), read.variables["x"].clone()), ("{a b}", Some("Q"), json!("+")));
        for bad in ["[]", "{}", r#"{"query":1}"#, r#"{"query":"{a}","variables":[]}"#, r#"{"query":"{a}","operationName":{}}"#, "{"] {
            assert_eq!(GraphqlRequest::from_json(bad.as_bytes()).unwrap_err().reason(), "MALFORMED_REQUEST", "{bad}");
        }
        for bad in ["", "query=%7", "query=a&variables=1", "query=a&variables={"] {
            assert_eq!(GraphqlRequest::from_query(bad).unwrap_err().reason(), "MALFORMED_REQUEST", "{bad}");
        }
    }

    #[test]
    fn a_hash_may_stand_for_the_document() {
        let read =
            |body: &Value| GraphqlRequest::from_value(body.clone()).map(|read| (read.query, read.hash.map(|hash| (hash[0], hash[31]))));
        let persisted = |version: i64, hash: &str| json!({"extensions": {"persistedQuery": {"version": version, "sha256Hash": hash}}});
        let hash = format!("Ab{}0f", "0".repeat(60));
        assert_eq!(read(&persisted(1, &hash)).unwrap(), (String::new(), Some((0xab, 0x0f))));
        for bad in
            [persisted(2, &hash), persisted(1, &hash[1..]), persisted(1, &hash.replace('f', "g")), persisted(1, &hash.replace("0f", "+f"))]
        {
            assert_eq!(read(&bad).unwrap_err().reason(), "MALFORMED_REQUEST", "{bad}");
        }
    }

    #[test]
    fn errors_have_extensions() {
        let error =
            Error::new(Code::Aborted, "REVISION_MISMATCH", "no").with("current_revision", "7").with_violation("items[0].start_key", "x");
        let shown = GraphqlError { error, locations: vec![Pos { line: 1, column: 3 }], path: vec!["a".into(), 0.into()] }.to_json();
        assert_eq!(
            shown,
            json!({"message": "no", "locations": [{"line": 1, "column": 3}], "path": ["a", 0], "extensions": {
                "code": "ABORTED", "reason": "REVISION_MISMATCH", "metadata": {"current_revision": "7"},
                "violations": [{"pointer": "#/items/0/startKey", "detail": "x"}]}})
        );
    }
}
