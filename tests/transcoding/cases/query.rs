//! Query parameters.

use serde_json::{Value, json};

use crate::{
    case::{
        Case,
        Row::{Query, UnknownParameter},
    },
    right::status,
    server::RELAXED,
};

pub fn cases() -> Vec<Case> {
    [unknown(), plain(), composed(), well_known(), refused()].concat()
}

fn unknown() -> Vec<Case> {
    let case = |name, request: &str, says, why| Case::new(UnknownParameter, name, request, status(400).says(&[says]), why);
    vec![
        case(
            "parameter-unknown",
            "GET /v1/search?text=a&colour=red",
            "colour",
            "A misspelt filter that is passed over gives a wrong answer that looks right",
        ),
        case("parameter-unknown-inside", "GET /v1/search?filter.sort=a", "sort", "The same inside of a message"),
        case(
            "parameter-that-the-body-takes",
            "PUT /v1/items/box?size=3",
            "size",
            "Where the body is the whole request, the query has nothing to say",
        ),
        Case::new(
            UnknownParameter,
            "parameter-unknown-and-let-through",
            &format!("GET {RELAXED}/v1/search?text=a&colour=red"),
            status(200).json(json!({"text": "a"})),
            "One setting relaxes it, for clients that add parameters of their own",
        )
        .only_prism(),
    ]
}

fn taken(name: &'static str, query: &str, members: Value, why: &'static str) -> Case {
    Case::new(Query, name, &format!("GET /v1/search?{query}"), status(200).json(members), why)
}

fn plain() -> Vec<Case> {
    vec![
        taken("query-text", "text=a%2Fb%20c%26d", json!({"text": "a/b c&d"}), "All is decoded"),
        taken("query-plus", "text=a+b%2Bc", json!({"text": "a b+c"}), "`+` is a space, as forms write it, and %2B is a plus"),
        taken(
            "query-int64",
            "offset=9223372036854775807",
            json!({"offset": "9223372036854775807"}),
            "64 bits, without a way over a double",
        ),
        taken("query-bool", "exact=true", json!({"exact": true}), "`true` and `false`"),
        taken("query-double", "weight=2.5", json!({"weight": 2.5}), "Numbers as in JSON"),
        taken("query-bytes", "token=aGk%2FPw%3D%3D", json!({"token": "aGk/Pw=="}), "base64, as in JSON"),
        taken("query-bytes-for-urls", "token=aGk_Pw", json!({"token": "aGk/Pw=="}), "base64url, which needs no encoding in a URL"),
        taken("query-enum-by-name", "color=COLOR_BLUE", json!({"color": "COLOR_BLUE"}), "Enums by name"),
        taken("query-enum-by-number", "color=2", json!({"color": "COLOR_BLUE"}), "and by number"),
        taken("query-oneof", "shelf=3", json!({"shelf": 3, "owner": null}), "A member of a oneof"),
    ]
}

fn composed() -> Vec<Case> {
    vec![
        taken("query-nested", "filter.kind=a", json!({"filter": {"kind": "a"}}), "`a.b` is a field of a message"),
        taken(
            "query-nested-deeply",
            "filter.range.low=1&filter.kind=a&filter.range.high=2",
            json!({"filter": {"kind": "a", "range": {"low": 1, "high": 2}}}),
            "to any depth, and in any order",
        ),
        taken("query-repeated", "tags=a&tags=b&tags=a", json!({"tags": ["a", "b", "a"]}), "As often as it stands, in its order"),
        taken("query-repeated-numbers", "sizes=1&text=x&sizes=2", json!({"sizes": [1, 2], "text": "x"}), "also with others in between"),
        taken("query-repeated-with-commas", "tags=a,b", json!({"tags": ["a,b"]}), "A comma is a character of the value"),
        taken("query-repeated-enums", "colors=COLOR_RED&colors=2", json!({"colors": ["COLOR_RED", "COLOR_BLUE"]}), "Both forms of enums"),
        taken(
            "query-map",
            "labels[env]=prod&labels[team]=a",
            json!({"labels": {"env": "prod", "team": "a"}}),
            "`m[k]=v` is an entry of a map",
        ),
        taken(
            "query-map-encoded",
            "labels%5Ba.b%5D=x",
            json!({"labels": {"a.b": "x"}}),
            "Brackets may be encoded, and a key may have a dot in it",
        ),
        taken(
            "query-map-of-enums",
            "floors[-1]=COLOR_RED",
            json!({"floors": {"-1": "COLOR_RED"}}),
            "Keys and values have the types of the map",
        ),
    ]
}

fn well_known() -> Vec<Case> {
    vec![
        taken("query-wrapper-of-text", "title=a", json!({"title": "a"}), "A wrapper is its value"),
        taken("query-wrapper-of-a-number", "size=5000000000", json!({"size": "5000000000"}), "also of 64 bits"),
        taken("query-wrapper-of-false", "open=false", json!({"open": false}), "False is not the same as absent"),
        taken("query-timestamp", "since=2026-01-02T03:04:05.5Z", json!({"since": "2026-01-02T03:04:05.500Z"}), "RFC 3339"),
        taken(
            "query-timestamp-with-an-offset",
            "since=2026-01-02T03:04:05%2B02:00",
            json!({"since": "2026-01-02T01:04:05Z"}),
            "with an offset from UTC",
        ),
        taken("query-duration", "within=1.5s", json!({"within": "1.500s"}), "As in JSON"),
        taken("query-field-mask", "fields=text,filter.kind", json!({"fields": "text,filter.kind"}), "Paths with commas"),
        taken("query-field-mask-in-camel-case", "fields=updateMask", json!({"fields": "updateMask"}), "As JSON writes them"),
    ]
}

fn refused() -> Vec<Case> {
    let case = |name, query: &str, says, why| Case::new(Query, name, &format!("GET /v1/search?{query}"), status(400).says(&[says]), why);
    vec![
        case("query-number-that-is-a-text", "limit=many", "limit", "400 with the name of the parameter"),
        case("query-number-out-of-range", "limit=3000000000", "limit", "It is not cut to 32 bits"),
        case("query-enum-that-is-not-there", "color=COLOR_MAUVE", "color", "It does not become zero"),
        case("query-timestamp-that-is-none", "since=yesterday", "since", "400, not 500"),
        case("query-value-twice", "limit=1&limit=2", "limit", "One of them would get lost"),
        Case::new(Query, "query-two-of-a-oneof", "GET /v1/search?owner=a&shelf=3", status(400), "Only one member of a oneof can be set"),
    ]
}
