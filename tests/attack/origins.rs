//! Web pages of other origins, in the browser of somebody who can reach the gateway.

use bytes::Bytes;
use test_support::{gateway::Gateway, http};

const CONFIG: &str = "
listeners:
  main: {cors: {allowed_origins: ['https://app.example']}}
  registry: {address: '127.0.0.1:0'}
backends: {ram: {type: memory}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
  - {name: consul, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: consul-kv, base_path: /consul}]}
  - {name: etcd, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: etcd-v3, base_path: /etcd}]}
  - {name: schemas, pattern: schema-registry, slots: {storage: ram}, frontends: [{frontend: confluent-schema-registry, base_path: /schemas}]}
";
const RPC: &str = "/prism.patterns.keyvalue.v1.KeyValueService";

/// A request that a page can send without asking, and its status if it may.
struct Write {
    line: &'static str,
    content_type: Option<&'static str>,
    body: Bytes,
    /// The status of gRPC is in the body.
    grpc: bool,
}

fn writes() -> Vec<Write> {
    let plain = |line, body: &'static str| Write { line, content_type: Some("text/plain"), body: body.into(), grpc: false };
    let store = Bytes::from_static(b"\0\0\0\0\x03\n\x01g");
    vec![
        plain("PUT /store/v1/values/a", "x"),
        plain("DELETE /store/v1/values/a", ""),
        Write { line: "POST /store/v1/batch:remove", content_type: None, body: Bytes::from_static(br#"{"keys":["a"]}"#), grpc: false },
        plain("PUT /consul/v1/kv/a", "x"),
        Write { line: "POST /etcd/v3/kv/put", content_type: None, body: Bytes::from_static(br#"{"key":"YQ=="}"#), grpc: false },
        plain("POST /schemas/subjects/a/versions", r#"{"schema":"\"int\""}"#),
        Write {
            line: "POST /prism.patterns.keyvalue.v1.KeyValueService/Store",
            content_type: Some("application/json"),
            body: Bytes::from_static(br#"{"key":"c"}"#),
            grpc: false,
        },
        Write {
            line: "POST /prism.patterns.keyvalue.v1.KeyValueService/Store",
            content_type: Some("application/grpc-web"),
            body: store,
            grpc: true,
        },
    ]
}

async fn send(gateway: &Gateway, write: &Write, headers: &[(&str, &str)]) -> http::Answer {
    let (method, path) = write.line.split_once(' ').unwrap();
    let mut all: Vec<_> = write.content_type.iter().map(|value| ("content-type", *value)).collect();
    all.push(("x-prism-namespace", "store"));
    all.extend(headers);
    http::send(gateway.address, method, path, &all, write.body.clone()).await.unwrap()
}

#[tokio::test]
async fn pages_of_other_origins_can_not_write() {
    let gateway = Gateway::start(CONFIG).await;
    let own = format!("http://{}", gateway.address);
    for write in writes() {
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://localhost:3000")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")],
        ] {
            let answer = send(&gateway, &write, foreign).await;
            let text = String::from_utf8_lossy(&answer.body);
            if write.grpc {
                assert!(text.contains("grpc-status: 7"), "{} {foreign:?}: {text}", write.line);
            } else {
                assert_eq!(answer.status, 403, "{} {foreign:?}: {text}", write.line);
            }
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
        for trusted in [
            &[][..],
            &[("origin", "https://app.example")],
            &[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", &own)],
            &[("origin", &own), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            let answer = send(&gateway, &write, trusted).await;
            let text = String::from_utf8_lossy(&answer.body);
            let is_refused = answer.status == 403 || text.contains("grpc-status: 7");
            assert!(!is_refused, "{} {trusted:?}: {text}", write.line);
        }
    }
    // Reading changes nothing, and without CORS headers the page can't see the response.
    let foreign = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let read = http::send(gateway.address, "GET", "/store/v1/count", &foreign, "").await.unwrap();
    assert_eq!((read.status, read.headers.contains_key("access-control-allow-origin")), (200, false));
    let read = http::send(gateway.address, "GET", &format!("{RPC}/Count?encoding=json&message=%7B%7D"), &foreign, "").await.unwrap();
    assert_eq!(read.status, 200, "{}", read.text());
}

#[tokio::test]
async fn names_that_others_own_do_not_reach_a_loopback_listener() {
    const RESTRICTED: &str = "
listeners: {main: {allowed_hosts: [gateway.example, '*.dev.example']}}
admin: {allowed_hosts: [admin.example]}
backends: {ram: {type: memory}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}, frontends: [rest, {frontend: connect, host: bound.example}]}
";
    let gateway = Gateway::start(RESTRICTED).await;
    let path = "/store/v1/count";
    for host in [
        "localhost",
        "LOCALHOST:80",
        "a.localhost",
        "127.0.0.1",
        "127.1.2.3:1",
        "[::1]",
        "gateway.example",
        "a.dev.example:8443",
        "bound.example",
    ] {
        let answer = http::send(gateway.address, "GET", path, &[("host", host)], "").await.unwrap();
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
    for host in ["evil.example", "evil.example:8980", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example"] {
        let answer = http::send(gateway.address, "GET", path, &[("host", host)], "").await.unwrap();
        assert_eq!((answer.status, &answer.json()["reason"]), (421, &"HOST_NOT_ALLOWED".into()), "{host}");
        // Rebinding makes the page one of the same origin.
        let headers = [("host", host), ("origin", &*format!("http://{host}")), ("sec-fetch-site", "same-origin")];
        let answer = http::send(gateway.address, "PUT", "/store/v1/values/a", &headers, "x").await.unwrap();
        assert_eq!(answer.status, 421, "{host}");
        assert_eq!(http::send(gateway.admin, "GET", "/metrics", &[("host", host)], "").await.unwrap().status, 421, "{host}");
    }
    assert_eq!(http::send(gateway.admin, "GET", "/healthz", &[("host", "admin.example")], "").await.unwrap().status, 200);
}
