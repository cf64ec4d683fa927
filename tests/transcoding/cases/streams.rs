//! Streams: several requests in one body, several replies, and errors in the middle.

use serde_json::{Value, json};

use crate::{
    case::{
        Case,
        Row::{ClientStream, MidStream, ServerStream},
    },
    right::{Right, Stream, status},
};

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

pub fn cases() -> Vec<Case> {
    [requests(), replies(), errors()].concat()
}

fn requests() -> Vec<Case> {
    let case =
        |name, kind, body: &'static str, right: Right, why| Case::new(ClientStream, name, "POST /v1/parcels", right, why).body(kind, body);
    let parcels = |ids: &[&str]| {
        let parcels: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        status(200).json(json!({"parcels": parcels}))
    };
    vec![
        case(
            "stream-from-a-list",
            "application/json",
            "[{\"id\":\"a\"}, {\"id\":\"b\"}]",
            parcels(&["a", "b"]),
            "A JSON list is what every client can write",
        ),
        case(
            "stream-from-lines",
            NDJSON,
            "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
            parcels(&["a", "b"]),
            "NDJSON is what a client writes who doesn't know yet how many there will be",
        ),
        case(
            "stream-from-lines-without-an-end",
            NDJSON,
            "{\"id\":\"a\"}\n\n{\"id\":\"b\"}",
            parcels(&["a", "b"]),
            "Empty lines and a missing end of the last one are harmless",
        ),
        case(
            "stream-from-an-empty-list",
            "application/json",
            "[]",
            status(200).json(json!({"parcels": []})),
            "No items are a stream without messages",
        ),
        Case::new(
            ClientStream,
            "stream-below-a-path-that-counts",
            "POST /v1/docks/north/parcels",
            status(200).json(json!({"parcels": [{"id": "a", "dock": "north"}, {"id": "b", "dock": "north"}]})),
            "What the path sets, it sets in each item, and it wins here too",
        )
        .json(r#"[{"id":"a","dock":"south"},{"id":"b"}]"#),
        case(
            "stream-with-a-broken-item",
            "application/json",
            "[{\"id\":\"a\"},\n {\"id\":}]",
            status(400).at(2, 8),
            "The place counts from the beginning of the body",
        ),
        case(
            "stream-with-a-broken-line",
            NDJSON,
            "{\"id\":\"a\"}\n{\"weight\":\"much\"}\n",
            status(400).says(&["weight"]).at(2, 11),
            "The same for lines",
        ),
        case(
            "stream-from-a-list-that-does-not-end",
            "application/json",
            "[{\"id\":\"a\"}",
            status(400).at(1, 12),
            "A list that is cut off is not a shorter list",
        ),
    ]
}

fn replies() -> Vec<Case> {
    let case = |name, accept: &'static str, right: Right, why| {
        Case::new(ServerStream, name, "GET /v1/ticks?count=2", right, why).header("accept", accept)
    };
    let none =
        |name, accept: &'static str, right: Right, why| Case::new(ServerStream, name, "GET /v1/ticks", right, why).header("accept", accept);
    let ticks = || vec![json!({"number": 1}), json!({"number": 2})];
    let empty = Vec::<Value>::new;
    vec![
        case("stream-as-lines", NDJSON, status(200).lines(ticks()), "One message on each line, and nothing around them"),
        case("stream-as-events", SSE, status(200).events(ticks()), "What an EventSource asks for and understands"),
        case("stream-as-a-list", "application/json", status(200).list(ticks()), "What every client can read"),
        none("stream-empty-as-lines", NDJSON, status(200).lines(empty()), "A stream without messages has no lines"),
        none("stream-empty-as-events", SSE, status(200).events(empty()), "and no events"),
        none("stream-empty-as-a-list", "application/json", status(200).list(empty()), "and is a list, not an empty body"),
    ]
}

fn errors() -> Vec<Case> {
    let case = |name, accept: &'static str, stream, why| {
        let right = status(200).ends(stream, "the clock has stopped");
        Case::new(MidStream, name, "GET /v1/ticks?count=2&error=15", right, why).header("accept", accept)
    };
    vec![
        case("error-behind-lines", NDJSON, Stream::Lines, "The status is gone; a client that reads lines must see that these are not all"),
        case("error-behind-events", SSE, Stream::Events, "An EventSource never sees trailers"),
        case("error-in-a-list", "application/json", Stream::List, "The list stays JSON, and its last item is the error"),
        Case::new(
            MidStream,
            "error-before-the-first-message",
            "GET /v1/ticks?error=5",
            status(404).says(&["the clock has stopped"]),
            "As long as nothing was sent, the error has its own status",
        ),
    ]
}
