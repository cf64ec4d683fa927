//! Errors as problem documents (RFC 9457).
//!
//! `type` is `urn:prism:problem:` and the reason in lower case with hyphens, such as `urn:prism:problem:key-not-found`. A reason of another
//! domain is prefixed with that domain. Without a reason, `type` is `about:blank`. `errors` lists the invalid fields: fields of the body as
//! a JSON pointer in a fragment (`#/items/0/key`), parameters in path and query as `parameter` and `in`. `details` contains the details of
//! another service's error that the other members can't express: as JSON with an `@type`, or as base64 if the type is unknown or the bytes
//! are malformed.

use base64::Engine as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use prost::Message as _;
use prost_types::Any;

use super::{
    json::{self, put_string},
    message_types::MessageTypes,
};
use prism_call::{Code, DOMAIN, Error};

/// The content type of a problem document.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Reasons with an HTTP status that does not follow from the code.
const STATUSES: &[(&str, StatusCode)] = &[
    ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
    ("NOT_ACCEPTABLE", StatusCode::NOT_ACCEPTABLE),
    ("REQUEST_TIMEOUT", StatusCode::REQUEST_TIMEOUT),
    ("MESSAGE_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
    ("VALUE_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
    ("HEADERS_TOO_LARGE", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ("HOST_NOT_ALLOWED", StatusCode::MISDIRECTED_REQUEST),
    ("OBJECT_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
    ("RANGE_NOT_SATISFIABLE", StatusCode::RANGE_NOT_SATISFIABLE),
    ("UNSUPPORTED_MEDIA_TYPE", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ("IDEMPOTENCY_KEY_REUSED", StatusCode::UNPROCESSABLE_ENTITY),
];

/// Returns the HTTP status of an error.
pub fn status(error: &Error) -> StatusCode {
    let own = |(reason, _): &&(&str, StatusCode)| *reason == error.reason() && error.domain() == DOMAIN;
    STATUSES.iter().find(own).map_or_else(|| error.code().http(), |(_, status)| *status)
}

/// A problem document that describes an error.
#[derive(Debug)]
pub struct ProblemDocument<'e> {
    error: &'e Error,
    status: StatusCode,
}

impl<'e> ProblemDocument<'e> {
    /// Creates a document with the status of the error.
    pub fn of(error: &'e Error) -> Self {
        Self { error, status: status(error) }
    }

    /// Creates a document with another status, such as 412 for a failed precondition.
    pub const fn with_status(error: &'e Error, status: StatusCode) -> Self {
        Self { error, status }
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Sets the headers `Content-Type`, `Retry-After` (in seconds, rounded up), and `Content-Range` with the size that a range exceeds.
    pub fn headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        if let Some(seconds) = retry_after(self.error) {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::RANGE_NOT_SATISFIABLE
            && let Some(size) = self.error.get("size").and_then(|size| HeaderValue::try_from(format!("bytes */{size}")).ok())
        {
            headers.insert(header::CONTENT_RANGE, size);
        }
    }

    /// Returns the document as JSON.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write(&mut out);
        out
    }

    /// Appends the document as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        let error = self.error;
        out.extend_from_slice(b"{\"type\":");
        put_string(&kind(error), out);
        member("title", &title(error), out);
        out.extend_from_slice(format!(",\"status\":{}", self.status.as_u16()).as_bytes());
        member("detail", error.message(), out);
        member("code", error.code().name(), out);
        if !error.reason().is_empty() {
            member("reason", error.reason(), out);
        }
        if error.metadata().next().is_some() {
            out.extend_from_slice(b",\"metadata\":{");
            for (index, (key, value)) in error.metadata().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_string(key, out);
                out.push(b':');
                put_string(value, out);
            }
            out.push(b'}');
        }
        if !error.violations().is_empty() {
            self.violations(out);
        }
        if !error.foreign_details().is_empty() {
            out.extend_from_slice(b",\"details\":[");
            for (index, detail) in error.foreign_details().iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_detail(detail, out);
            }
            out.push(b']');
        }
        out.push(b'}');
    }

    fn violations(&self, out: &mut Vec<u8>) {
        // Parameters in path and query have no JSON pointer.
        let place = self.error.get("in");
        out.extend_from_slice(b",\"errors\":[");
        for (index, violation) in self.error.violations().iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
            if let Some(place) = place {
                out.extend_from_slice(b"\"parameter\":");
                put_string(&violation.field, out);
                member("in", place, out);
            } else {
                out.extend_from_slice(b"\"pointer\":");
                put_string(&pointer(&violation.field), out);
            }
            member("detail", &violation.description, out);
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// Returns the error for a path that matches no route.
pub fn unknown_route(method: &http::Method, path: &str) -> Error {
    Error::new(Code::NotFound, "ROUTE_NOT_FOUND", format!("there is no route for {method} {path}"))
}

/// Returns the error for a path that is below no base path of a namespace. It does not list them: they may be many, and secret.
pub fn unknown_base(method: &http::Method, path: &str) -> Error {
    let message = format!("there is no route for {method} {path}; paths begin with the base path of a namespace, such as /default/v1");
    Error::new(Code::NotFound, "ROUTE_NOT_FOUND", message)
}

/// Returns the error for a method that a path does not support.
pub fn method_not_allowed(method: &http::Method, path: &str, allowed: &[http::Method]) -> Error {
    let names: Vec<&str> = allowed.iter().map(http::Method::as_str).collect();
    Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", format!("{path} does not support {method}; it supports {}", names.join(", ")))
}

/// Appends a detail. A malformed detail does not affect the rest of the document.
fn put_detail(detail: &Any, out: &mut Vec<u8>) {
    let (types, start) = (MessageTypes::all(), out.len());
    let written = types.find("google.protobuf.Any").is_some_and(|any| json::encode(types, any, &detail.encode_to_vec(), out).is_ok());
    if !written {
        out.truncate(start);
        out.extend_from_slice(b"{\"@type\":");
        put_string(&detail.type_url, out);
        out.extend_from_slice(b",\"value\":");
        put_string(&base64::engine::general_purpose::STANDARD.encode(&detail.value), out);
        out.push(b'}');
    }
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    put_string(value, out);
}

fn kind(error: &Error) -> String {
    let reason = error.reason().to_ascii_lowercase().replace('_', "-");
    match (reason.as_str(), error.domain()) {
        ("", _) => "about:blank".to_owned(),
        (_, DOMAIN | "") => format!("urn:prism:problem:{reason}"),
        (_, domain) => format!("urn:prism:problem:{domain}:{reason}"),
    }
}

/// Returns the reason in words. It is the same for all problems of a type, as the RFC requires.
fn title(error: &Error) -> String {
    let words = if error.reason().is_empty() { error.code().name() } else { error.reason() };
    let mut title = words.to_ascii_lowercase().replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// Converts a field path to a JSON pointer: `items[0].key` to `#/items/0/key`, `labels["a/b"]` to `#/labels/a~1b` (RFC 6901, sections 3 and 6).
pub fn pointer(field: &str) -> String {
    let mut out = String::from("#");
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let mut quoted = serde_json::Deserializer::from_str(inner).into_iter::<String>();
            let (key, length) = if let Some(Ok(key)) = quoted.next() {
                (key, quoted.byte_offset())
            } else {
                let length = inner.find(']').unwrap_or(inner.len());
                (inner[..length].to_owned(), length)
            };
            step(&key, &mut out);
            rest = inner.get(length + 1..).unwrap_or_default();
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let length = name.find(['.', '[']).unwrap_or(name.len());
            if length > 0 {
                step(&name[..length], &mut out);
            }
            rest = &name[length..];
        }
    }
    out
}

fn step(name: &str, out: &mut String) {
    out.push('/');
    let escaped = super::json_pointer::escape_token(name);
    out.push_str(&super::percent::encode(&escaped, super::percent::Slash::Decoded));
}

/// Returns the value of `Retry-After` for an error: seconds, rounded up.
pub fn retry_after(error: &Error) -> Option<HeaderValue> {
    let delay = error.retry_after()?;
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    Some(HeaderValue::from(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use prism_call::proto::google::rpc;

    #[test]
    fn fields_become_pointers() {
        for (field, wanted) in [
            ("", "#"),
            ("key", "#/key"),
            ("items[0].key", "#/items/0/key"),
            ("labels[\"a/b.c]\"].x", "#/labels/a~1b.c%5D/x"),
            ("labels[env]", "#/labels/env"),
            ("a[", "#/a/"),
            ("a..b", "#/a/b"),
        ] {
            assert_eq!(pointer(field), wanted, "{field}");
        }
    }

    #[test]
    fn problem_documents_contain_all_parts_of_an_error() {
        let error = Error::new(Code::Aborted, "REVISION_MISMATCH", "the key has \"another\" revision")
            .with("current_revision", "7")
            .with_violation("expected_revision", "is 3")
            .with_retry_after(Duration::from_millis(1200));
        let problem = ProblemDocument::of(&error);
        let mut headers = HeaderMap::new();
        problem.headers(&mut headers);
        assert_eq!(headers[header::RETRY_AFTER], "2");
        let document: serde_json::Value = serde_json::from_slice(&problem.body()).unwrap();
        let wanted = serde_json::json!({
            "type": "urn:prism:problem:revision-mismatch",
            "title": "Revision mismatch",
            "status": 409,
            "detail": "the key has \"another\" revision",
            "code": "ABORTED",
            "reason": "REVISION_MISMATCH",
            "metadata": {"current_revision": "7"},
            "errors": [{"pointer": "#/expected_revision", "detail": "is 3"}],
        });
        assert_eq!(document, wanted);
    }

    #[test]
    fn details_of_other_services_are_kept_even_if_unknown_or_malformed() {
        let detail = |kind: &str, value: &[u8]| Any { type_url: format!("type.googleapis.com/{kind}"), value: value.to_vec() };
        let unknown = detail("nowhere.v1.Unheard", &[8, 1]);
        // Field 1 with more bytes than there are.
        let broken = detail("google.rpc.ErrorInfo", &[10, 9, 1]);
        let known = detail("google.rpc.Status", &[8, 5]);
        let status = rpc::Status { code: 5, message: "no such box".to_owned(), details: vec![unknown, broken, known] };
        let error = Error::from_status(status);
        let document: serde_json::Value = serde_json::from_slice(&ProblemDocument::of(&error).body()).unwrap();
        assert_eq!(
            (&document["status"], &document["code"], &document["detail"]),
            (&404.into(), &"NOT_FOUND".into(), &"no such box".into())
        );
        let details = serde_json::json!([
            {"@type": "type.googleapis.com/nowhere.v1.Unheard", "value": "CAE="},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "CgkB"},
            {"@type": "type.googleapis.com/google.rpc.Status", "code": 5, "message": "", "details": []},
        ]);
        assert_eq!(document["details"], details);
    }

    #[test]
    fn problem_documents_name_parameters_and_their_location() {
        let error = Error::invalid("limit", "must be a whole number").with("in", "query").with("parameter", "limit");
        let document: serde_json::Value = serde_json::from_slice(&ProblemDocument::of(&error).body()).unwrap();
        assert_eq!(document["errors"], serde_json::json!([{"parameter": "limit", "in": "query", "detail": "must be a whole number"}]));
        assert_eq!(document["status"], 400);
    }

    #[test]
    fn http_specific_reasons_have_their_own_status() {
        let error = Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", "");
        assert_eq!(status(&error), StatusCode::NOT_ACCEPTABLE);
        assert_eq!(status(&Error::new(Code::InvalidArgument, "INVALID_FIELD", "")), StatusCode::BAD_REQUEST);
    }
}
