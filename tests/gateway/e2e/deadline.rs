//! Deadlines of calls to a backend that does not respond.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use prism::{call::Code, proto::patterns::keyvalue::v1::*};
use test_support::{gateway::Gateway, http};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{backend::Backend, wire};

/// Much more than the deadlines of these tests, much less than any default.
const SOON: Duration = Duration::from_secs(10);

fn retrieve() -> bytes::Bytes {
    wire::frame(&RetrieveRequest { key: "a".to_owned() })
}

#[tokio::test]
async fn deadline_header_of_every_protocol_is_honoured() {
    // The kernel accepts the connections, but nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let gateway = Gateway::launch(&format!(
        "namespaces:\n  - {{name: far, pattern: keyvalue, remote: {{url: '{url}'}}}}\n  \
         - {{name: hasty, pattern: keyvalue, remote: {{url: '{url}'}}, limits: {{timeout: 200ms}}}}\n"
    ));

    let far = ("x-prism-namespace", "far");
    for web in [false, true] {
        let began = Instant::now();
        let headers = [far, ("grpc-timeout", "200m")];
        let reply = if web {
            wire::grpc_web(gateway.address, &wire::path("Retrieve"), &headers, retrieve()).await
        } else {
            wire::grpc(gateway.address, &wire::path("Retrieve"), &headers, retrieve()).await
        };
        assert_eq!((reply.status, reply.code()), (200, Code::DeadlineExceeded));
        assert!((Duration::from_millis(200)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
    for header in [("connect-timeout-ms", "200"), ("x-request-timeout", "0.2"), ("request-timeout", "200ms"), ("grpc-timeout", "200m")] {
        let began = Instant::now();
        let answer = http::send(gateway.address, "GET", "/far/v1/values/a", &[header], "").await.unwrap();
        assert_eq!((answer.status, &answer.json()["code"]), (504, &"DEADLINE_EXCEEDED".into()), "{header:?}");
        assert!((Duration::from_millis(200)..SOON).contains(&began.elapsed()), "{header:?} {:?}", began.elapsed());
    }
    // A client without a deadline waits for the timeout of the namespace; no client waits longer than it asked for.
    let began = Instant::now();
    assert_eq!(http::get(gateway.address, "/hasty/v1/values/a").await.unwrap().status, 504);
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn remaining_time_is_forwarded_and_ends_streams() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&format!("namespaces:\n{}", backend.namespace("far", ""))).await;

    let scan = wire::frame(&ScanRequest::default());
    let reply = wire::grpc(gateway.address, &wire::path("Scan"), &[("grpc-timeout", "300m")], scan).await;
    assert_eq!(reply.code(), Code::DeadlineExceeded);
    assert!(!reply.body.is_empty(), "messages before the deadline are delivered");
    let passed = backend.last("Scan")["grpc-timeout"].to_str().unwrap().to_owned();
    let micros: u64 = passed.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1..=300_000).contains(&micros), "{passed}");

    let headers = [("accept", "text/event-stream"), ("x-request-timeout", "300ms")];
    let events = http::send(gateway.address, "GET", "/far/v1/keys", &headers, "").await.unwrap();
    assert!(events.text().contains("event: error") && events.text().contains("DEADLINE_EXCEEDED"), "{}", events.text());
    // The call at the backend is cancelled.
    test_support::poll::until_true("left alone", || backend.waiting() == 0).await;
}

#[tokio::test]
async fn slow_upload_does_not_extend_the_deadline() {
    let gateway = Gateway::start("").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "PUT /scratch/v1/values/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\nx-request-timeout: 200ms\r\n\r\nhalf ";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(http::get(gateway.address, "/scratch/v1/values/a").await.unwrap().status, 404);
}

#[tokio::test]
async fn malformed_header_is_named_in_the_error() {
    let gateway = Gateway::start("").await;
    let reply = wire::grpc(gateway.address, &wire::path("Retrieve"), &[("grpc-timeout", "soon")], retrieve()).await;
    assert_eq!(reply.code(), Code::InvalidArgument);
    assert!(reply.refusal().starts_with("grpc-timeout: must be "), "{}", reply.refusal());
    for header in ["grpc-timeout", "connect-timeout-ms", "x-request-timeout", "request-timeout"] {
        let answer = http::send(gateway.address, "GET", "/scratch/v1/values/a", &[(header, "soon")], "").await.unwrap();
        assert_eq!(answer.status, 400, "{header}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(header), "{}", answer.text());
    }
}
