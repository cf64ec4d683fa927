//! JSON bodies: which fields they may set, how they fail, and the field mask of a PATCH.

use serde_json::json;

use crate::{
    case::{
        Case,
        Row::{MalformedJson, Patch, PathAndBody},
    },
    right::{Right, status},
};

pub fn cases() -> Vec<Case> {
    [collisions(), malformed(), patches()].concat()
}

fn collisions() -> Vec<Case> {
    let wins = || status(200).json(json!({"name": "box", "label": "x"}));
    let nested = || status(200).json(json!({"item": {"name": "box", "label": "x"}}));
    vec![
        Case::new(
            PathAndBody,
            "body-names-another-thing",
            "PUT /v1/items/box",
            wins().or(status(400)),
            "The path says what is written, or it is an error; a body that could change it would get around every check of the path",
        )
        .json(r#"{"name":"other","label":"x"}"#),
        Case::new(
            PathAndBody,
            "body-names-another-nested-thing",
            "PUT /v1/shelves/box",
            nested().or(status(400)),
            "The same where the path binds a field of the message that the body is",
        )
        .json(r#"{"name":"other","label":"x"}"#),
        Case::new(
            PathAndBody,
            "body-holds-the-message-around",
            "PATCH /v1/requests/box",
            nested().or(status(400)),
            "The same where the body is the whole request and holds the message around the field",
        )
        .json(r#"{"item":{"name":"other","label":"x"}}"#),
        Case::new(
            PathAndBody,
            "body-says-null",
            "PUT /v1/items/box",
            wins().or(status(400)),
            "`null` in the body doesn't unset what the path sets",
        )
        .json(r#"{"name":null,"label":"x"}"#),
        Case::new(
            PathAndBody,
            "query-names-another-thing",
            "PUT /v1/items/box?name=other",
            status(400).or(wins()),
            "The query can't change it either",
        )
        .json(r#"{"label":"x"}"#),
    ]
}

fn malformed() -> Vec<Case> {
    let case = |name, body: &'static str, right: Right, why| Case::new(MalformedJson, name, "PUT /v1/items/box", right, why).json(body);
    let bad = || status(400);
    vec![
        case(
            "json-with-a-wrong-character",
            "{\n  \"label\": \"x\",\n  \"size\": ]\n}",
            bad().at(3, 11),
            "Who wrote it finds the place at once",
        ),
        case("json-cut-off", "{\"label\": \"x\"", bad().at(1, 14), "The end of the text is a place too"),
        case(
            "json-with-more-behind",
            "{\"label\": \"x\"}\n{}",
            bad().at(2, 1),
            "What stands behind the message is not passed over in silence",
        ),
        case(
            "json-number-that-is-a-text",
            "{\n\"size\": \"many\"}",
            bad().says(&["size"]).at(2, 9),
            "A value that does not fit is the client's mistake: 400 with field and place, not 500",
        ),
        case("json-number-out-of-range", "{\"size\": 3000000000}", bad().says(&["size"]).at(1, 10), "It is not cut to 32 bits"),
        case(
            "json-unknown-field",
            "{\"label\": \"x\",\n \"colour\": 1}",
            bad().says(&["colour"]),
            "A misspelt name is refused, as the JSON mapping of protobuf has it",
        ),
        case(
            "json-unknown-enum-name",
            "{\"item\": {\"color\": \"COLOR_MAUVE\"}}",
            bad().says(&["COLOR_MAUVE"]),
            "A name that the enum lacks is an error, not zero",
        ),
        case(
            "json-field-twice",
            "{\"label\": \"x\", \"label\": \"y\"}",
            bad().says(&["label"]),
            "Which of them counts must not depend on the implementation (RFC 8259, section 4)",
        ),
        case("json-list-for-an-object", "[1, 2]", bad().at(1, 1), "The right syntax of the wrong shape is 400 as well"),
        Case::new(MalformedJson, "json-not-utf-8", "PUT /v1/items/box", bad().at(1, 12), "JSON is UTF-8 (RFC 8259, section 8.1)")
            .body("application/json", b"{\"label\": \"\xff\"}".as_slice()),
        case("json-empty-body", "", status(200).json(json!({"name": "box"})), "No body is a message without fields, not an error"),
    ]
}

fn patches() -> Vec<Case> {
    let case = |name, request, body: &'static str, paths: &[&'static str], why| {
        Case::new(Patch, name, request, status(200).mask("/updateMask", paths), why).json(body)
    };
    vec![
        case(
            "patch-mask-from-the-body",
            "PATCH /v1/items/box",
            r#"{"label":"x","size":0}"#,
            &["label", "size"],
            "What stands in the body is what changes, also if it is zero",
        ),
        case(
            "patch-mask-of-nested-fields",
            "PATCH /v1/items/box",
            r#"{"range":{"low":1},"color":"COLOR_RED"}"#,
            &["range.low", "color"],
            "The mask goes down to the leaves, so that `range.high` stays",
        ),
        case("patch-mask-of-an-empty-body", "PATCH /v1/items/box", "{}", &[], "Nothing in the body, nothing in the mask"),
        case(
            "patch-mask-in-the-query",
            "PATCH /v1/items/box?update_mask=label",
            r#"{"label":"x","size":3}"#,
            &["label"],
            "A mask that the client sends counts",
        ),
        case(
            "patch-with-the-whole-request",
            "PATCH /v1/requests/box",
            r#"{"item":{"label":"x"}}"#,
            &[],
            "With `body: \"*\"` the mask is in the body, or there is none",
        ),
        case("patch-with-two-masks", "PATCH /v1/copies/box", r#"{"label":"x"}"#, &[], "With two masks nobody can say which one is meant"),
        case("put-makes-no-mask", "PUT /v1/replaced/box", r#"{"label":"x"}"#, &[], "PUT replaces the whole"),
    ]
}
