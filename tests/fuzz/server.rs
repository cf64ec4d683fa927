//! The whole gateway: any bytes on a connection, over HTTP/1.1 and HTTP/2.

use std::time::{Duration, Instant};

use test_support::{gateway::Gateway, http};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::input::{Inputs, budget, seed};

/// Inputs between two checks that the gateway is well.
const BETWEEN_CHECKS: u64 = 200;
/// Most memory that a gateway takes, whatever it gets.
const MEMORY: u64 = 512 << 20;

const CONFIG: &str = "
backends: {ram: {type: memory}, file: {type: sqlite, path: fuzz.db}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}, frontends: [rest, connect, grpc-web, {frontend: consul-kv, base_path: /consul}, {frontend: etcd-v3, base_path: /etcd}]}
  - {name: durable, pattern: keyvalue, slots: {storage: file}}
  - {name: schemas, pattern: schema-registry, slots: {storage: ram}, frontends: [rest, {frontend: confluent-schema-registry, base_path: /schemas}]}
";

const HTTP1: &[&str] = &[
    "GET /store/v1/values/a HTTP/1.1\r\nhost: localhost\r\naccept: application/json, */*\r\n\r\n",
    "PUT /store/v1/values/a?ttl=5s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\nif-match: \"1\"\r\n\r\nhello",
    "PUT /durable/v1/values/b HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /store/v1/batch:store HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 42\r\n\r\n{\"items\":[{\"key\":\"a\",\"value\":\"aGVsbG8=\"}]}",
    "POST /store/v1/transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\nidempotency-key: k\r\n\r\n{}",
    "GET /store/v1/keys?prefix=a&limit=2 HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nlast-event-id: YQ\r\n\r\n",
    "GET /store/openapi.json HTTP/1.1\r\nhost: localhost\r\naccept-encoding: br\r\nif-none-match: \"x\"\r\n\r\n",
    "PUT /consul/v1/kv/a?cas=0&flags=7 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx",
    "POST /etcd/v3/kv/range HTTP/1.1\r\nhost: localhost\r\ncontent-length: 32\r\n\r\n{\"key\":\"YQ==\",\"range_end\":\"YmI=\"}",
    "POST /schemas/subjects/s/versions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n{\"schema\":\"\\\"string\\\"\"}",
    "POST /prism.patterns.keyvalue.v1.KeyValueService/Store HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 24\r\nconnect-timeout-ms: 5\r\n\r\n{\"key\":\"a\",\"value\":\"YQ\"}",
    "POST /prism.patterns.keyvalue.v1.KeyValueService/Scan HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+json\r\ncontent-length: 7\r\n\r\n\0\0\0\0\x02{}",
    "POST /prism.patterns.keyvalue.v1.KeyValueService/Retrieve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 8\r\ngrpc-encoding: gzip\r\n\r\n\0\0\0\0\x03\n\x01a",
    "GET /prism.patterns.keyvalue.v1.KeyValueService/Exists?encoding=json&message=%7B%22key%22%3A%22a%22%7D HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "OPTIONS /store/v1/keys HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\naccess-control-request-method: PUT\r\n\r\n",
];

fn http2() -> Vec<Vec<u8>> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&size[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let literal = |name: &str, value: &str| {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    let head = |method: &str, path: &str, content_type: &str| {
        [
            literal(":method", method),
            literal(":scheme", "http"),
            literal(":authority", "localhost"),
            literal(":path", path),
            literal("content-type", content_type),
            literal("te", "trailers"),
        ]
        .concat()
    };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let start = [preface, frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])].concat();
    let rpc = head("POST", "/prism.patterns.keyvalue.v1.KeyValueService/Retrieve", "application/grpc");
    let reflection = head("POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/grpc");
    vec![
        [&start[..], &frame(1, 5, 1, &head("GET", "/store/v1/keys", "a/b")), &frame(3, 0, 1, &[0, 0, 0, 8])].concat(),
        [&start[..], &frame(1, 4, 1, &rpc), &frame(0, 1, 1, b"\0\0\0\0\x03\n\x01a"), &frame(8, 0, 1, &[0, 0, 1, 0])].concat(),
        [&start[..], &frame(1, 4, 1, &reflection), &frame(0, 1, 1, b"\0\0\0\0\x02:\0"), &frame(6, 0, 0, &[1; 8])].concat(),
    ]
}

/// Sends an input, perhaps in two pieces, and takes a part of what comes back.
async fn exchange(gateway: &Gateway, input: &[u8], split: usize) {
    let Ok(mut stream) = TcpStream::connect(gateway.address).await else { return };
    let (first, second) = input.split_at(split);
    // The gateway may end the connection at any time.
    if stream.write_all(first).await.is_err() || stream.write_all(second).await.is_err() {
        return;
    }
    let _ = stream.shutdown().await;
    let mut piece = [0; 4096];
    let _ = timeout(Duration::from_millis(20), stream.read(&mut piece)).await;
}

async fn is_well(gateway: &Gateway, shown: &str) {
    let answer = timeout(Duration::from_secs(20), http::get(gateway.address, "/store/v1/count")).await;
    let answer = answer.unwrap_or_else(|_| panic!("it does not answer after {shown}"));
    assert_eq!(answer.unwrap_or_else(|error| panic!("{error} after {shown}\n{}", gateway.log())).status, 200, "{shown}");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("\nprism_panics_total 0"), "a panic after {shown}:\n{}", gateway.log());
    assert!(gateway.private_memory() < MEMORY, "{} MiB after {shown}", gateway.private_memory() >> 20);
}

#[tokio::test]
async fn any_bytes_on_a_connection_are_survived() {
    let gateway = Gateway::start(CONFIG).await;
    let seed = seed();
    let http2 = http2();
    let seeds: Vec<&[u8]> = HTTP1.iter().map(|seed| seed.as_bytes()).chain(http2.iter().map(Vec::as_slice)).collect();
    let (mut inputs, end, mut count) = (Inputs::new(seed, &seeds), Instant::now() + budget(), 0_u64);
    let mut recent = Vec::new();
    while Instant::now() < end {
        let input = inputs.next();
        let split = inputs.below(input.len() + 1);
        exchange(&gateway, &input, split).await;
        recent.push(String::from_utf8_lossy(&input).escape_debug().to_string());
        count += 1;
        if count % BETWEEN_CHECKS == 0 {
            is_well(&gateway, &format!("one of the inputs before {count} of PRISM_FUZZ_SEED={seed}: {recent:#?}")).await;
            recent.clear();
        }
    }
    is_well(&gateway, &format!("one of the inputs before {count} of PRISM_FUZZ_SEED={seed}: {recent:#?}")).await;
    println!("server: {count} inputs with PRISM_FUZZ_SEED={seed}");
}
