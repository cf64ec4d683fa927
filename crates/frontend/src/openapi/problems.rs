//! Error responses of operations, and the schema of problem documents.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::problem;
use prism_call::{Code, Error};

/// Errors that every operation can return.
const ALWAYS: &[(Code, &str)] = &[
    (Code::InvalidArgument, "INVALID_FIELD"),
    (Code::InvalidArgument, "UNKNOWN_PARAMETER"),
    (Code::InvalidArgument, "NOT_ACCEPTABLE"),
    (Code::ResourceExhausted, "TOO_MANY_CALLS"),
    (Code::Internal, "INTERNAL"),
    (Code::Unimplemented, "CAPABILITY_UNAVAILABLE"),
    (Code::Unavailable, "BACKEND_UNAVAILABLE"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
];

/// Errors that operations with a body can return too.
const WITH_BODY: &[(Code, &str)] = &[
    (Code::InvalidArgument, "MALFORMED_JSON"),
    (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
    (Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE"),
];

/// The statuses with their component names and descriptions.
const STATUSES: &[(u16, &str, &str)] = &[
    (400, "BadRequest", "The request is wrong, or can't be done in this state."),
    (401, "Unauthenticated", "Who calls isn't known."),
    (403, "Forbidden", "The caller may not do this."),
    (404, "NotFound", "What was asked for is not there."),
    (406, "NotAcceptable", "`Accept` allows none of the forms that the answer can have."),
    (409, "Conflict", "It is there already, or somebody else changed it first."),
    (412, "PreconditionFailed", "A condition of the request's headers does not hold."),
    (413, "TooLarge", "The body is larger than the namespace allows."),
    (415, "UnsupportedMediaType", "The body has a content type or a content encoding that is not understood."),
    (416, "RangeNotSatisfiable", "The range begins after the end; `Content-Range` has the size."),
    (429, "TooManyRequests", "A limit is reached; `Retry-After` says when to try again."),
    (500, "InternalError", "A defect of the gateway or of the backend."),
    (501, "Unimplemented", "The backend of this namespace can't do this."),
    (503, "Unavailable", "The backend can't be reached now; `Retry-After` says when to try again."),
    (504, "DeadlineExceeded", "The time was over before there was an answer."),
];

/// Returns the error entries of an operation's `responses`: the common errors and those that the comment of the RPC lists.
pub fn responses(comment: &str, has_body: bool) -> Map<String, Value> {
    let mut reasons: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let common = ALWAYS.iter().chain(WITH_BODY.iter().filter(|_| has_body)).map(|(code, reason)| (*code, (*reason).to_owned()));
    for (code, reason) in told(comment).into_iter().chain(common) {
        let status = problem::status(&Error::new(code, reason.clone(), ""));
        let known = reasons.entry(status.as_u16()).or_default();
        if !known.contains(&reason) {
            known.push(reason);
        }
    }
    let response = |(status, reasons): (u16, Vec<String>)| {
        let (name, text) = name_of(status);
        let reasons: Vec<String> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        let description = format!("{text} Reasons: {}.", reasons.join(", "));
        (status.to_string(), json!({"$ref": format!("#/components/responses/{name}"), "description": description}))
    };
    reasons.into_iter().map(response).collect()
}

fn name_of(status: u16) -> (&'static str, &'static str) {
    let known = STATUSES.iter().find(|(known, _, _)| *known == status);
    known.map_or(("InternalError", "Something went wrong."), |(_, name, text)| (name, text))
}

/// Extracts the errors that a comment lists: pairs of code and reason in backticks, such as `` `NOT_FOUND KEY_NOT_FOUND` ``.
fn told(comment: &str) -> Vec<(Code, String)> {
    let quoted = comment.split('`').skip(1).step_by(2);
    let pair = |text: &str| {
        let mut words = text.split_whitespace();
        let (code, reason) = (words.next()?, words.next()?);
        let code = Code::ALL.into_iter().find(|known| known.name() == code)?;
        words.next().is_none().then(|| (code, reason.to_owned()))
    };
    quoted.filter_map(pair).collect()
}

/// Returns the response components that operations refer to.
pub fn components() -> Value {
    let response = |(status, name, text): &(u16, &str, &str)| {
        let title = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/RequestId"}});
        if matches!(status, 429 | 503) {
            headers["Retry-After"] = json!({"$ref": "#/components/headers/RetryAfter"});
        }
        let response = json!({
            "description": text,
            "headers": headers,
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": example(*status, title.unwrap_or_default()),
                },
            },
        });
        ((*name).to_owned(), response)
    };
    Value::Object(STATUSES.iter().map(response).collect())
}

fn example(status: u16, title: &str) -> Value {
    let common = ALWAYS.iter().chain(WITH_BODY).find(|(code, reason)| problem::status(&Error::new(*code, *reason, "")) == status);
    let Some((code, reason)) = common else {
        return json!({"type": "about:blank", "title": title, "status": status, "detail": title, "code": of_status(status).name()});
    };
    let error = Error::new(*code, *reason, title.to_owned());
    serde_json::from_slice(&problem::ProblemDocument::of(&error).body()).unwrap_or_default()
}

fn of_status(status: u16) -> Code {
    Code::ALL.into_iter().find(|code| code.http() == status).unwrap_or(Code::Unknown)
}

/// Returns the schema of a problem document (RFC 9457).
pub fn schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().skip(1).map(|code| code.name()).collect();
    json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "description": "The kind of problem, as `urn:prism:problem:key-not-found`."},
            "title": {"type": "string", "description": "The kind of problem in words."},
            "status": {"type": "integer", "description": "The status of the response."},
            "detail": {"type": "string", "description": "What went wrong this time, and what to do."},
            "code": {"type": "string", "enum": codes, "description": "The canonical code."},
            "reason": {"type": "string", "description": "Stable name for programs, as `KEY_NOT_FOUND`."},
            "metadata": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Facts, such as the current revision.",
            },
            "errors": {
                "type": "array",
                "description": "The parts of the request that are wrong.",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "detail": {"type": "string", "description": "What is wrong with it."},
                        "pointer": {"type": "string", "description": "Where in the body it is, as `#/items/0/key`."},
                        "parameter": {"type": "string", "description": "The name of the parameter."},
                        "in": {"type": "string", "enum": ["path", "query", "header"], "description": "Where the parameter is."},
                    },
                },
            },
            "details": {
                "type": "array",
                "description": "Details of the error of another service: JSON by their type, or their bytes as base64 in `value`.",
                "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_extracted_from_comments() {
        let comment =
            "Writes `x`.\n\nErrors: `NOT_FOUND KEY_NOT_FOUND`, `INVALID_ARGUMENT\nBATCH_SIZE` for more, `ABORTED REVISION_MISMATCH`.";
        let names: Vec<_> = told(comment).into_iter().map(|(code, reason)| format!("{} {reason}", code.name())).collect();
        assert_eq!(names, ["NOT_FOUND KEY_NOT_FOUND", "INVALID_ARGUMENT BATCH_SIZE", "ABORTED REVISION_MISMATCH"]);
        let responses = responses(comment, false);
        assert!(["400", "404", "406", "409", "429", "500", "501", "503", "504"].iter().all(|status| responses.contains_key(*status)));
        assert!(!responses.contains_key("413"));
    }
}
