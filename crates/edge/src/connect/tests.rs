//! Tests of Connect requests through the whole edge. `tests/conformance` has the cases of the independent suite.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{BufMut as _, BytesMut};

use crate::{compression::Compression, tests::*};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTO: (&str, &str) = ("content-type", "application/proto");
const JSON_STREAM: (&str, &str) = ("content-type", "application/connect+json");
const PROTO_STREAM: (&str, &str) = ("content-type", "application/connect+proto");

fn rpc(name: &str) -> String {
    format!("POST /demo/{SERVICE}/{name}")
}

fn get(query: &str) -> String {
    format!("GET /demo/{SERVICE}/Retrieve?{query}")
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    crate::frame::encode_flagged(flag, message, &mut out);
    out.to_vec()
}

/// Splits a body into its frames: flag and message.
fn frames(mut body: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let (message, behind) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        all.push((*flag, message));
        body = behind;
    }
    all
}

fn key(door: &Door) -> String {
    RetrieveRequest::decode(door.seen().messages[0].as_ref()).unwrap().key
}

fn end(answer: &Answer) -> Value {
    let all = frames(&answer.body);
    let (flag, message) = all.last().unwrap();
    assert_eq!((answer.status, *flag), (200, 2), "{all:?}");
    serde_json::from_slice(message).unwrap()
}

#[tokio::test]
async fn unary_messages_are_json_or_protobuf() {
    let door = Door::new();
    for content_type in [JSON, ("content-type", "Application/JSON; charset=utf-8")] {
        let answer = door.will(retrieved(b"v", 7)).ask(&rpc("Retrieve"), &[content_type], br#"{"key":"k"}"#).await;
        assert_eq!((answer.status, answer.header("content-type"), key(&door).as_str()), (200, "application/json", "k"));
        assert_eq!((&answer.json()["value"], &answer.json()["revision"]), (&json!("dg=="), &json!("7")));
    }
    let body = RetrieveRequest { key: "k".to_owned() }.encode_to_vec();
    let answer = door.will(retrieved(b"v", 7)).ask(&rpc("Retrieve"), &[PROTO], &body).await;
    assert_eq!((answer.status, answer.header("content-type"), key(&door).as_str()), (200, "application/proto", "k"));
    assert_eq!(RetrieveResponse::decode(answer.body).unwrap().revision, 7);
    let text = door.metrics.render();
    assert!(text.contains(r#"prism_calls_total{code="OK",method="Retrieve",namespace="demo",protocol="connect"} 3"#), "{text}");
}

#[tokio::test]
async fn errors_have_code_message_details_and_the_status_of_their_code() {
    let door = Door::new();
    let error = Error::new(Code::NotFound, "KEY_NOT_FOUND", "the key is not there").with("key", "k");
    let answer = door.will(Err(error)).ask(&rpc("Retrieve"), &[PROTO, ("x-request-id", "r-1")], b"").await;
    assert_eq!((answer.status, answer.header("content-type"), answer.header("x-request-id")), (404, "application/json", "r-1"));
    let json = answer.json();
    assert_eq!((&json["code"], &json["message"]), (&json!("not_found"), &json!("the key is not there")));
    assert_eq!(json["details"][0]["type"], "google.rpc.ErrorInfo");
    assert_eq!(json["details"][0]["debug"], json!({"reason": "KEY_NOT_FOUND", "domain": "prism", "metadata": {"key": "k"}}));
    assert!(!json["details"][0]["value"].as_str().unwrap().contains('='));
    door.seen();

    let answer = door.ask(&rpc("Retrieve"), &[JSON], b"{\n \"kye\": 1}").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!("invalid_argument")));
    assert!(door.nothing_seen());
    let cancelled = door.will(Err(Error::new(Code::Cancelled, "X", "x"))).ask(&rpc("Retrieve"), &[JSON], b"{}").await;
    assert_eq!((cancelled.status, cancelled.json()["code"].clone()), (499, json!("canceled")));
}

#[tokio::test]
async fn headers_and_trailers_are_sent() {
    let door = Door::new();
    let map = |name, value: &str| HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
    let reply = Reply {
        headers: map("x-lead", "1"),
        output: Output::one(ExistsResponse { exists: true }),
        trailers: Trailers::known(map("x-cost", "2")),
    };
    let answer = door.will(Ok(reply)).ask(&rpc("Exists"), &[JSON, ("x-own", "a")], b"{}").await;
    assert_eq!((answer.header("x-lead"), answer.header("trailer-x-cost")), ("1", "2"));
    assert_eq!(door.seen().metadata["x-own"], "a");

    let error = || Error::new(Code::Aborted, "X", "x").with_headers_and_trailers(map("x-lead", "1"), map("x-cost", "2"));
    let answer = door.will(Err(error())).ask(&rpc("Exists"), &[JSON], b"{}").await;
    assert_eq!((answer.status, answer.header("x-lead"), answer.header("trailer-x-cost")), (409, "1", "2"));
    let answer = door.will(scanned(vec![Err(error())])).ask(&rpc("Scan"), &[JSON_STREAM], &framed(0, b"{}")).await;
    assert_eq!(end(&answer)["metadata"], json!({"x-cost": ["2"]}));
}

#[tokio::test]
async fn rpcs_without_side_effects_can_be_called_with_get() {
    let door = Door::new();
    let proto = URL_SAFE_NO_PAD.encode(RetrieveRequest { key: "ä?".to_owned() }.encode_to_vec());
    let compressed = zstd::bulk::compress("{\"key\":\"ä?\"}".as_bytes(), 1).unwrap();
    for (query, content_type) in [
        ("connect=v1&encoding=json&message=%7B%22key%22:%22%C3%A4?%22%7D".to_owned(), "application/json"),
        (format!("message={proto}&base64=1&encoding=proto&other=x"), "application/proto"),
        (format!("encoding=json&base64=1&compression=zstd&message={}", URL_SAFE_NO_PAD.encode(compressed)), "application/json"),
    ] {
        let answer = door.will(retrieved(b"v", 7)).ask(&get(&query), &[], b"").await;
        assert_eq!((answer.status, answer.header("content-type"), key(&door).as_str()), (200, content_type, "ä?"), "{query}");
    }
    let empty = door.will(retrieved(b"v", 7)).ask(&get("encoding=proto&message="), &[], b"").await;
    assert_eq!((empty.status, key(&door).as_str()), (200, ""));
    for (query, status, text) in [
        ("", 400, "encoding: must be json or proto"),
        ("encoding=json", 400, "message: must be"),
        ("encoding=xml&message=", 415, ""),
        ("encoding=json&message=%7B%7D&connect=v2", 400, "connect: must be v1"),
        ("encoding=json&message=!&base64=1", 400, "base64"),
        ("encoding=json&message=%7", 400, "message: "),
        ("encoding=json&message=%7B%7D&compression=br", 501, "gzip or zstd"),
    ] {
        let answer = door.ask(&get(query), &[], b"").await;
        assert!(answer.status == status && answer.text().contains(text), "{query}: {} {}", answer.status, answer.text());
    }
    let write = door.ask(&format!("GET /{SERVICE}/Store?encoding=json&message=%7B%7D"), &[], b"").await;
    assert_eq!((write.status, write.header("allow")), (405, "POST"));
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn requests_that_do_not_fit_the_rpc_are_refused() {
    let door = Door::new();
    for (request, content_type, status) in [
        (rpc("Scan"), JSON, 415),
        (rpc("Scan"), PROTO, 415),
        (rpc("Retrieve"), PROTO_STREAM, 415),
        (rpc("Retrieve"), ("content-type", "application/xml"), 415),
        (rpc("Retrieve"), ("content-type", "application/connect+xml"), 415),
        (format!("GET /{SERVICE}/Scan?encoding=json&message="), JSON, 405),
        (format!("DELETE /{SERVICE}/Retrieve"), PROTO, 405),
        (rpc("Nothing"), JSON, 404),
    ] {
        let answer = door.ask(&request, &[content_type], b"{}").await;
        assert_eq!(answer.status, status, "{request} {content_type:?}");
        assert!(answer.status != 415 || answer.header("accept").contains("application/"), "{request}");
    }
    let old = door.ask(&rpc("Retrieve"), &[JSON, ("connect-protocol-version", "2")], b"{}").await;
    assert!(old.status == 400 && old.text().contains("connect-protocol-version: must be 1"), "{}", old.text());
    let elsewhere = door.ask(&rpc("Retrieve"), &[JSON, ("x-prism-namespace", "nobody")], b"{}").await;
    assert_eq!((elsewhere.status, elsewhere.json()["code"].clone()), (404, json!("not_found")));
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn bodies_of_unary_calls_are_compressed_in_both_directions() {
    let door = Door::new();
    let large = || retrieved(&[7; 4000], 1);
    let request = format!(r#"{{"key":"{}"}}"#, "k".repeat(2000));
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let body = compression.compress(request.as_bytes()).unwrap();
        for accepted in [name, ""] {
            let headers = [JSON, ("content-encoding", name), ("accept-encoding", accepted)];
            let answer = door.will(large()).ask(&rpc("Retrieve"), &headers, &body).await;
            assert_eq!((answer.status, answer.header("content-encoding"), key(&door).len()), (200, accepted, 2000));
            let body = if accepted.is_empty() { answer.body } else { compression.decompress(&answer.body, 1 << 20).unwrap() };
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["revision"], "1");
        }
        let answer = door.will(large()).ask(&rpc("Retrieve"), &[PROTO, ("accept-encoding", name)], b"").await;
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (name, "accept-encoding"));
        let message = compression.decompress(&answer.body, 1 << 20).unwrap();
        assert_eq!((RetrieveResponse::decode(message).unwrap().value.len(), key(&door).as_str()), (4000, ""));
        let empty = door.ask(&rpc("Exists"), &[PROTO, ("content-encoding", name)], b"").await;
        assert_eq!(empty.status, 200);
        door.seen();
    }
    let unknown = door.ask(&rpc("Retrieve"), &[JSON, ("content-encoding", "compress")], b"{}").await;
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (501, json!("unimplemented")));
    let bomb = Compression::Gzip.compress(&vec![b' '; 100_000]).unwrap();
    let refused = door.ask(&rpc("Retrieve"), &[JSON, ("content-encoding", "gzip")], &bomb).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (429, json!("resource_exhausted")));
    assert_eq!(door.ask(&rpc("Retrieve"), &[JSON], &[b' '; LIMIT + 1]).await.status, 429);
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn messages_of_streams_are_compressed_in_both_directions() {
    let door = Door::new();
    let request = format!(r#"{{"prefix":"{}"}}"#, "k".repeat(2000));
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let body = framed(1, &compression.compress(request.as_bytes()).unwrap());
        for headers in [vec![], vec![("connect-accept-encoding", name)]] {
            let headers = [&[JSON_STREAM, ("connect-content-encoding", name)][..], &headers].concat();
            let first = ScanResponse { value: Bytes::from_static(&[7; 4000]), ..entry("a").unwrap() };
            let answer = door.will(scanned(vec![Ok(first), entry("b")])).ask(&rpc("Scan"), &headers, &body).await;
            assert_eq!(answer.header("connect-content-encoding"), name);
            let flags: Vec<u8> = frames(&answer.body).iter().map(|(flag, _)| *flag).collect();
            assert_eq!((flags.as_slice(), end(&answer)), ([1, 0, 2].as_slice(), json!({})));
            assert_eq!(ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap().prefix.len(), 2000);
        }
    }
    let unknown = door.ask(&rpc("Scan"), &[JSON_STREAM, ("connect-content-encoding", "br")], b"").await;
    assert_eq!(end(&unknown)["error"]["code"], "unimplemented");
}

#[tokio::test]
async fn streams_end_with_error_and_trailers() {
    let door = Door::new();
    let answer = door.will(scanned(vec![entry("a"), entry("b")])).ask(&rpc("Scan"), &[JSON_STREAM], &framed(0, br#"{"prefix":"x"}"#)).await;
    assert_eq!((answer.header("content-type"), end(&answer)), ("application/connect+json", json!({})));
    let keys: Vec<Value> = frames(&answer.body)[..2].iter().map(|(_, json)| serde_json::from_slice::<Value>(json).unwrap()).collect();
    assert_eq!((&keys[0]["key"], &keys[1]["key"]), (&json!("a"), &json!("b")));
    assert_eq!(ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap().prefix, "x");

    let broken = Err(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone"));
    let answer = door.will(scanned(vec![entry("a"), broken])).ask(&rpc("Scan"), &[PROTO_STREAM], &framed(0, b"")).await;
    assert_eq!((frames(&answer.body).len(), &end(&answer)["error"]["code"]), (2, &json!("unavailable")));
    assert_eq!(ScanResponse::decode(frames(&answer.body)[0].1).unwrap().key, "a");

    let early = door.will(Err(Error::new(Code::ResourceExhausted, "X", "x"))).ask(&rpc("Scan"), &[JSON_STREAM], &framed(0, b"{}")).await;
    assert_eq!(end(&early)["error"]["code"], "resource_exhausted");
    for (body, code) in [
        (Vec::new(), "unimplemented"),
        ([framed(0, b"{}"), framed(0, b"{}")].concat(), "unimplemented"),
        (framed(0, b"nonsense"), "invalid_argument"),
        (framed(2, b"{}"), "internal"),
        (framed(1, b"{}"), "internal"),
        (vec![0, 0, 0], "internal"),
        (framed(0, &[b' '; LIMIT + 1]), "resource_exhausted"),
    ] {
        let answer = door.ask(&rpc("Scan"), &[JSON_STREAM], &body).await;
        assert_eq!(end(&answer)["error"]["code"], code, "{body:?}");
    }
}

#[tokio::test]
async fn message_that_is_not_of_its_type_ends_the_stream() {
    let door = Door::new();
    let mut broken = BytesMut::new();
    broken.put_slice(&[0x0a, 0xff]);
    let messages = futures::stream::iter([Ok(Bytes::from(entry("a").unwrap().encode_to_vec())), Ok(broken.freeze())]);
    let answer = door.will(Ok(Output::stream(messages).into())).ask(&rpc("Scan"), &[JSON_STREAM], &framed(0, b"{}")).await;
    assert_eq!((frames(&answer.body).len(), &end(&answer)["error"]["code"]), (2, &json!("internal")));
    let text = door.metrics.render();
    assert!(text.contains(r#"prism_calls_total{code="INTERNAL",method="Scan",namespace="demo",protocol="connect"} 1"#), "{text}");
    let unary = door.will(Ok(Output::One(Bytes::from_static(b"\x0a\xff").into()).into())).ask(&rpc("Retrieve"), &[JSON], b"{}").await;
    assert_eq!((unary.status, unary.json()["code"].clone()), (500, json!("internal")));
}

#[tokio::test]
async fn timeout_becomes_the_deadline() {
    let door = Door::new();
    let answer = door.ask(&rpc("Exists"), &[JSON, ("connect-timeout-ms", "5000")], b"{}").await;
    assert_eq!(answer.status, 200);
    let remaining = door.seen().remaining.unwrap();
    assert!((Duration::from_secs(4)..=Duration::from_secs(5)).contains(&remaining), "{remaining:?}");
    for bad in ["-1", "soon", "12345678901", ""] {
        let answer = door.ask(&rpc("Exists"), &[JSON, ("connect-timeout-ms", bad)], b"{}").await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!("invalid_argument")), "{bad}");
    }
}
