//! Everything around messages: deadlines, trailing metadata, and other protocols on the same port.

use serde_json::json;

use crate::{
    case::{
        Case,
        Row::{Deadlines, OnePort, Trailers},
    },
    right::status,
};

pub fn cases() -> Vec<Case> {
    [deadlines(), trailers(), one_port()].concat()
}

fn deadlines() -> Vec<Case> {
    let left = |name, header, value, why| {
        Case::new(Deadlines, name, "GET /v1/wait", status(200).json(json!({"secondsLeft": 70})), why).header(header, value)
    };
    let passed = |name, header, value, why| {
        Case::new(Deadlines, name, "GET /v1/wait?delay=3s", status(504).error_object(), why).header(header, value)
    };
    vec![
        left("deadline-of-grpc", "grpc-timeout", "70S", "What gRPC clients say, whatever the protocol"),
        left("deadline-of-connect", "connect-timeout-ms", "70000", "What Connect's clients say"),
        left("deadline-of-http", "request-timeout", "70", "What others say: seconds"),
        left("deadline-of-http-with-x", "x-request-timeout", "70s", "or with a unit"),
        passed("deadline-of-grpc-that-passes", "grpc-timeout", "100m", "All become the same deadline, and passing it is 504"),
        passed("deadline-of-connect-that-passes", "connect-timeout-ms", "100", "The same"),
        passed("deadline-of-http-that-passes", "request-timeout", "100ms", "The same"),
    ]
}

fn trailers() -> Vec<Case> {
    vec![
        Case::new(
            Trailers,
            "trailers-of-a-reply",
            "GET /v1/weight",
            status(200).header("x-depot-total", "3").header("x-depot-scales", "left"),
            "Clients of HTTP/1.1 can hardly read trailers; behind a single message they can as well be headers",
        ),
        Case::new(
            Trailers,
            "trailers-of-an-error",
            "GET /v1/weight?broken=true",
            status(404).header("x-depot-total", "3").says(&["the scales are broken"]),
            "The metadata of an error is metadata too",
        ),
    ]
}

fn one_port() -> Vec<Case> {
    // ReadFileRequest with the value "a" in field 1, preceded by flags and length.
    const MESSAGE: &[u8] = b"\0\0\0\0\x03\x0a\x01a";
    const RPC: &str = "POST /prism.testing.depot.v1.DepotService/ReadFile";
    vec![
        Case::new(
            OnePort,
            "rest-beside-grpc-web",
            "GET /v1/files/a",
            status(200).json(json!({"path": "a"})),
            "A gRPC-Web layer that answers 400 to all else can't stand before REST",
        ),
        Case::new(
            OnePort,
            "grpc-web-beside-rest",
            RPC,
            status(200).begins(MESSAGE).says(&["grpc-status"]),
            "and the same port answers gRPC-Web over HTTP/1.1",
        )
        .body("application/grpc-web+proto", MESSAGE),
    ]
}
