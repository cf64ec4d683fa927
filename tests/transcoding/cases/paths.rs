//! Paths: how they are decoded, and what happens to paths without a route.

use serde_json::json;

use crate::{
    case::{
        Case,
        Row::{EncodedSlash, UnknownRoute, WrongMethod},
    },
    right::status,
    server::DEFINED,
};

pub fn cases() -> Vec<Case> {
    [slashes(), methods(), routes()].concat()
}

fn slashes() -> Vec<Case> {
    let case = |name, request, path, why| Case::new(EncodedSlash, name, request, status(200).json(json!({"path": path})), why);
    let drawer = |name, request, drawer, why| Case::new(EncodedSlash, name, request, status(200).json(json!({"drawer": drawer})), why);
    vec![
        case(
            "slash-encoded-in-many-segments",
            "GET /v1/files/a%2Fb/c",
            "a%2Fb/c",
            "`google.api.http` keeps %2F in a variable of several segments, so that it is not taken for a separator",
        ),
        case("slash-encoded-in-lower-case", "GET /v1/files/a%2fb/c", "a%2fb/c", "%2f is left as it is written"),
        case("slash-plain-in-many-segments", "GET /v1/files/a/b/c", "a/b/c", "A slash separates, and is a part of the value"),
        case("percent-encoded-in-many-segments", "GET /v1/files/50%25/a%20b", "50%/a b", "All other characters are decoded, exactly once"),
        case(
            "slash-encoded-behind-a-literal",
            "GET /v1/cabinets/d/sheets/a%2Fb",
            "sheets/a%2Fb",
            "`{path=sheets/*}` has several segments too",
        ),
        drawer(
            "slash-encoded-in-one-segment",
            "GET /v1/drawers/a%2Fb",
            "a/b",
            "In a variable of one segment nothing is ambiguous: all is decoded",
        ),
        drawer("percent-twice-encoded-in-one-segment", "GET /v1/drawers/a%252Fb", "a%2Fb", "Decoding twice would make a slash of it"),
        case("plus-in-a-path", "GET /v1/files/a+b", "a+b", "`+` is a space in forms and queries, never in a path"),
    ]
}

fn methods() -> Vec<Case> {
    let case = |name, request, allowed: &[&'static str], why| {
        Case::new(WrongMethod, name, request, status(405).allows(allowed).error_object(), why)
    };
    vec![
        case(
            "method-of-two-others",
            "DELETE /v1/items/box",
            &["PUT", "PATCH"],
            "The path is there, and `Allow` tells what it takes (RFC 9110, section 15.5.6)",
        ),
        case("method-post-where-get-is", "POST /v1/search", &["GET"], "Not 404: the route is known. Not 501: the server knows POST"),
        case("method-get-where-post-is", "GET /v1/parcels", &["POST"], "The same for routes of streams"),
        case(
            "method-nobody-knows",
            "BREW /v1/search",
            &["GET"],
            "A method that nobody knows is refused like others at a path that is there",
        ),
        Case::new(
            WrongMethod,
            "method-wrong-in-a-defined-api",
            &format!("PUT {DEFINED}/notes/1"),
            status(405).allows(&["GET"]).header("content-type", "application/vnd.notes+json").json(json!({"error_code": 405})),
            "A definition's error body is the body of all its errors",
        )
        .only_prism(),
    ]
}

fn routes() -> Vec<Case> {
    let right = || status(404).error_object();
    let case = |name, request, why| Case::new(UnknownRoute, name, request, right(), why);
    vec![
        case("route-unknown", "GET /v1/nothing", "Clients read errors as JSON; text or an empty body breaks them"),
        case("route-unknown-of-any-method", "DELETE /v1/nothing", "Where there is no path, no method is wrong"),
        case("route-with-a-slash-too-many", "GET /v1/search/", "A path with an empty segment more is another path"),
        case("route-root", "GET /", "The root is no exception"),
        case("route-with-too-few-segments", "PUT /v1/items", "A template takes as many segments as it has"),
        Case::new(
            UnknownRoute,
            "route-unknown-in-a-defined-api",
            &format!("GET {DEFINED}/nothing"),
            status(404).header("content-type", "application/vnd.notes+json").json(json!({"error_code": 40400})),
            "An API that is defined in YAML answers in the error body that its definition says",
        )
        .only_prism(),
    ]
}
