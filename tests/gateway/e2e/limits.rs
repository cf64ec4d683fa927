//! Limits for one client, and for all clients together.

use std::io::Write as _;

use bytes::Bytes;
use prism::{call::Code, proto::patterns::keyvalue::v1::*};
use test_support::{
    gateway::Gateway,
    http,
    poll::{until, until_true},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{backend::Backend, wire};

const SMALL: &str = "
backends:
  ram: {type: memory}
namespaces:
  - {name: small, pattern: keyvalue, slots: {storage: ram}, limits: {max_message_bytes: 1KiB}}
  - {name: usual, pattern: keyvalue, slots: {storage: ram}}
";

fn store(size: usize) -> Bytes {
    wire::frame(&StoreRequest { key: "a".to_owned(), value: vec![b'x'; size].into(), ttl: None, flags: 0 })
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_by_every_protocol() {
    let gateway = Gateway::start(SMALL).await;
    let (address, path, small) = (gateway.address, wire::path("Store"), [("x-prism-namespace", "small")]);
    // The second size is far more than the buffers of a connection hold: the client is still sending when it is refused.
    for size in [1025, 8 << 20] {
        for reply in [wire::grpc(address, &path, &small, store(size)).await, wire::grpc_web(address, &path, &small, store(size)).await] {
            assert_eq!(reply.code(), Code::ResourceExhausted);
            assert!(reply.refusal().contains("more than 1024 bytes"), "{}", reply.refusal());
        }
        let answer = http::send(address, "PUT", "/small/v1/values/a", &[], vec![b'x'; size]).await.unwrap();
        assert_eq!((answer.status, &answer.json()["reason"]), (413, &"MESSAGE_TOO_LARGE".into()));
    }
    for reply in [wire::grpc(address, &path, &small, store(1000)).await, wire::grpc_web(address, &path, &small, store(1000)).await] {
        assert_eq!(reply.code(), Code::Ok, "{reply:?}");
    }
    assert_eq!(http::send(address, "PUT", "/small/v1/values/a", &[], vec![b'x'; 1000]).await.unwrap().status, 200);
}

#[tokio::test]
async fn client_that_is_still_sending_can_read_the_error() {
    let gateway = Gateway::start(SMALL).await;
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let rpc = wire::path("Store");
    for (method, path, status) in [("PUT", "/nowhere/v1/values/a", 404), ("POST", "/small/v1/values/a", 405), ("POST", &*rpc, 415)] {
        let answer = http::send(gateway.address, method, path, &[], large.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{path} {}", answer.text());
    }
    // A client that pauses gets its response. It may continue to send, and the connection ends properly.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /small/v1/values/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8388608\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    stream.write_all(&large).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    // With `Expect: 100-continue`, the client is refused before it sends the body.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "PUT /small/v1/values/a HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 8388608\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn message_that_decompresses_beyond_the_limit_is_refused() {
    let gateway = Gateway::start(SMALL).await;
    let zeros = vec![0; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    for (encoding, bomb) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd::bulk::compress(&zeros, 1).unwrap())] {
        assert!(bomb.len() < 1 << 20);
        let headers = [("x-prism-namespace", "usual"), ("grpc-encoding", encoding)];
        let reply = wire::grpc(gateway.address, &wire::path("Store"), &headers, wire::framed(1, &bomb)).await;
        assert_eq!(reply.code(), Code::ResourceExhausted, "{encoding}");
        assert!(reply.refusal().contains("more than 4194304 bytes"), "{}", reply.refusal());
    }
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_clients_that_leave_make_room() {
    let backend = Backend::start().await;
    let narrow = backend.namespace("far", ", limits: {max_concurrent_calls: 1, max_streams: 1}");
    let gateway = Gateway::start(&format!("namespaces:\n{narrow}")).await;
    let (address, client) = (gateway.address, gateway.client("far"));

    // One stream over gRPC and one call over REST use the permit of their kind.
    let scan = client.stream::<ScanResponse>("Scan", ScanRequest::default()).await.unwrap();
    let rest = tokio::spawn(async move { http::get(address, "/far/v1/values/a").await });
    until_true("in flight", || backend.waiting() == 2).await;

    let problem = http::get(address, "/far/v1/count").await.unwrap();
    assert_eq!((problem.status, &problem.json()["reason"]), (429, &"TOO_MANY_CALLS".into()));
    assert_eq!(problem.headers["retry-after"], "1");
    let count = wire::frame(&CountRequest::default());
    for reply in [
        wire::grpc(address, &wire::path("Count"), &[], count.clone()).await,
        wire::grpc_web(address, &wire::path("Count"), &[], count.clone()).await,
    ] {
        let error = reply.error();
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
        assert!(error.retry_after().is_some());
    }

    let events = http::send(address, "GET", "/far/v1/keys", &[("accept", "text/event-stream")], "").await.unwrap();
    assert_eq!((events.status, &events.json()["reason"]), (429, &"TOO_MANY_STREAMS".into()));

    // Each client that disconnects releases a permit, and the backend call is cancelled.
    drop(scan);
    rest.abort();
    until_true("left alone", || backend.waiting() == 0).await;
    let unary = tokio::spawn({
        let client = client.clone();
        async move { client.call::<RetrieveResponse>("Retrieve", RetrieveRequest::default()).await }
    });
    let events = tokio::spawn(async move { http::send(address, "GET", "/far/v1/keys", &[("accept", "text/event-stream")], "").await });
    until_true("in flight", || backend.waiting() == 2).await;
    unary.abort();
    events.abort();
    until_true("left alone", || backend.waiting() == 0).await;
    until("free again", || async {
        let answer = http::get(address, "/far/v1/count").await.unwrap();
        if answer.status == 200 { Ok(()) } else { Err(answer.text().to_owned()) }
    })
    .await;
    until("counted", || async {
        let metrics = gateway.metrics().await;
        if metrics.contains("prism_calls_in_flight{namespace=\"far\"} 0") { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn subscriptions_take_the_permits_of_streams_and_not_those_of_calls() {
    const WATCH: &str = r#"{"query": "subscription { watch { cursor } }"}"#;
    // A query takes two: that of the request, and that of its field.
    let gateway = Gateway::start(
        "
backends:
  ram: {type: memory}
namespaces:
  - {name: narrow, pattern: keyvalue, slots: {storage: ram}, limits: {max_concurrent_calls: 2, max_streams: 3}}
",
    )
    .await;
    let (address, json) = (gateway.address, ("content-type", "application/json"));
    let open = async |accept| http::open_request(address, "POST", "/narrow/graphql", &[("accept", accept), json], WATCH.to_owned()).await;
    let mut open_streams = vec![open("text/event-stream").await, open("multipart/mixed;subscriptionSpec=1.0").await];
    let token = http::send(address, "PUT", "/narrow/graphql", &[], "").await.unwrap();
    let path = format!("/narrow/graphql?token={}", token.text());
    open_streams.push(http::open_with(address, &path, &[("accept", "text/event-stream")]).await);
    assert!(open_streams.iter().all(|stream| stream.status() == 200));

    let query = r#"{"query": "{ count { count } }"}"#;
    let answer = http::send(address, "POST", "/narrow/graphql", &[json], query).await.unwrap();
    assert_eq!(answer.text(), r#"{"data":{"count":{"count":"0"}}}"#);
    let refused = http::send(address, "POST", "/narrow/graphql", &[json, ("accept", "text/event-stream")], WATCH).await.unwrap();
    assert!(refused.text().contains("TOO_MANY_STREAMS"), "{}", refused.text());
    drop(open_streams);
    until("free again", || async {
        let metrics = gateway.metrics().await;
        if metrics.contains("prism_calls_in_flight{namespace=\"narrow\"} 0") { Ok(()) } else { Err(metrics) }
    })
    .await;
}
