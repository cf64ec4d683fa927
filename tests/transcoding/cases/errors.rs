//! Errors: codes, details, preconditions.

use serde_json::json;

use crate::{
    case::{
        Case,
        Row::{Codes, Details},
    },
    right::status,
};

/// Number, name, HTTP status: the table of `google.rpc.Code`.
const TABLE: [(u8, &str, u16); 16] = [
    (1, "CANCELLED", 499),
    (2, "UNKNOWN", 500),
    (3, "INVALID_ARGUMENT", 400),
    (4, "DEADLINE_EXCEEDED", 504),
    (5, "NOT_FOUND", 404),
    (6, "ALREADY_EXISTS", 409),
    (7, "PERMISSION_DENIED", 403),
    (8, "RESOURCE_EXHAUSTED", 429),
    (9, "FAILED_PRECONDITION", 400),
    (10, "ABORTED", 409),
    (11, "OUT_OF_RANGE", 400),
    (12, "UNIMPLEMENTED", 501),
    (13, "INTERNAL", 500),
    (14, "UNAVAILABLE", 503),
    (15, "DATA_LOSS", 500),
    (16, "UNAUTHENTICATED", 401),
];

pub fn cases() -> Vec<Case> {
    [details(), codes(), preconditions()].concat()
}

fn details() -> Vec<Case> {
    let case = |name, detail: &str, says: &[&'static str], why| {
        let request = format!("GET /v1/failures/5?message=no%20such%20box&detail={detail}");
        Case::new(Details, name, &request, status(404).error_object().says(says), why)
    };
    vec![
        case(
            "detail-of-an-unknown-type",
            "DETAIL_UNKNOWN",
            &["no such box", "nowhere.v1.Unheard", "CAE="],
            "Who doesn't know the type passes its bytes on, and loses neither code nor message",
        ),
        case(
            "detail-that-is-broken",
            "DETAIL_BROKEN",
            &["no such box"],
            "Bytes that are not of their type don't cost code and message either",
        ),
        case("detail-of-a-known-type", "DETAIL_KNOWN", &["no such box", "NO_SUCH_BOX"], "What can be read is readable"),
    ]
}

fn codes() -> Vec<Case> {
    let why = |number| match number {
        1 => "The client closed the request",
        9 => "Not 412: that is for conditions of the request",
        _ => "The usual table",
    };
    let case = |(number, name, http): (u8, &str, u16)| {
        let name = format!("code-{number}-{}", name.to_lowercase().replace('_', "-"));
        let request = format!("GET /v1/failures/{number}?message=no%20such%20box");
        Case::new(Codes, name, &request, status(http).error_object().says(&["no such box"]), why(number))
    };
    TABLE.into_iter().map(case).collect()
}

fn preconditions() -> Vec<Case> {
    let put = |name, header, value, right, why| {
        Case::new(Codes, name, "PUT /v1/plan", right, why).header(header, value).json(r#"{"text":"new"}"#)
    };
    vec![
        put(
            "if-match-that-fails",
            "if-match",
            "\"3\"",
            status(412).error_object(),
            "Somebody else was faster: 412, not 409 (RFC 9110, section 13.1.1)",
        ),
        put(
            "if-match-that-holds",
            "if-match",
            "\"7\"",
            status(200).json(json!({"text": "new", "revision": "8"})).header("etag", "\"8\""),
            "and the answer has the tag for the next time",
        ),
        put("if-none-match-of-what-is-there", "if-none-match", "*", status(412).error_object(), "Create only: 412 where something is"),
        Case::new(Codes, "if-none-match-of-what-is-known", "GET /v1/plan", status(304), "Who has it already gets no body")
            .header("if-none-match", "\"7\""),
        Case::new(Codes, "if-match-of-a-read-that-fails", "GET /v1/plan", status(412).error_object(), "Conditions count for reads too")
            .header("if-match", "\"3\""),
    ]
}
