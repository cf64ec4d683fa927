//! Tests of compressed responses and request bodies.

use std::io::Write as _;

use super::*;
use crate::coding::tests::decompress;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compress(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(bytes),
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
            encoder.write_all(bytes).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::bulk::compress(bytes, 3).unwrap(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn json_is_compressed_and_raw_values_are_not() {
    let door = Door::new();
    let value = &[b'x'; 2000];
    for coding in ["gzip", "br", "zstd"] {
        let answer = door.will(retrieved(value, 9)).ask("GET /demo/v1/keys/k", &[("accept-encoding", coding)], b"").await;
        assert_eq!((answer.status, answer.header("content-encoding"), answer.header("vary")), (200, coding, "accept-encoding"));
        assert_eq!(answer.header("etag"), format!("\"9--{coding}\""));
        let text = decompress(coding, &answer.body);
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap()["revision"], "9");
        assert!(door.seen().metadata.get("accept-encoding").is_none(), "it is about this connection only");

        let head = door.will(retrieved(value, 9)).ask("HEAD /demo/v1/keys/k", &[("accept-encoding", coding)], b"").await;
        for name in ["content-encoding", "vary", "etag", "content-type"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        assert_eq!(head.header("content-length"), "");
    }
    let plain = door.will(retrieved(value, 9)).ask("GET /demo/v1/keys/k", &[], b"").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary"), plain.header("etag")), ("", "accept-encoding", "\"9\""));
    let small = door.will(retrieved(b"x", 9)).ask("GET /demo/v1/keys/k", &[("accept-encoding", "gzip")], b"").await;
    assert_eq!((small.header("content-encoding"), small.header("etag")), ("", "\"9\""));
    let raw = door.will(retrieved(value, 9)).ask("GET /demo/v1/values/k", &[("accept-encoding", "gzip")], b"").await;
    assert_eq!((raw.header("content-encoding"), raw.header("etag"), raw.body.as_ref()), ("", "\"9\"", value.as_slice()));
}

#[tokio::test]
async fn tags_of_compressed_responses_work_in_preconditions() {
    let door = Door::new();
    let tag = ("if-none-match", "\"9--gzip\"");
    let known = door.will(retrieved(b"v", 9)).ask("GET /demo/v1/keys/k", &[tag, ("accept-encoding", "gzip, br")], b"").await;
    assert_eq!((known.status, known.header("etag"), known.header("vary")), (304, "\"9--gzip\"", "accept-encoding"));
    let other = door.will(retrieved(b"v", 9)).ask("GET /demo/v1/keys/k", &[tag], b"").await;
    assert_eq!((other.status, other.header("etag")), (200, "\"9\""), "the copy is in a coding that this client does not take");
    door.ask("PUT /demo/v1/values/k", &[("if-match", "\"9--gzip\"")], b"x").await;
    let seen = door.seen();
    assert_eq!(seen.method, "CompareAndStore");
    let sent = proto::patterns::keyvalue::v1::CompareAndStoreRequest::decode(seen.messages[0].as_ref()).unwrap();
    assert!(format!("{sent:?}").contains('9'), "{sent:?}");
}

#[tokio::test]
async fn lines_are_compressed_and_events_are_not() {
    let door = Door::new();
    for (accept, coding, wanted) in [
        ("application/x-ndjson", "gzip", "gzip"),
        ("application/json", "br", "br"),
        ("application/x-ndjson", "zstd", "zstd"),
        ("text/event-stream", "gzip", ""),
    ] {
        let answer = door.will(scanned(vec![entry("a"), entry("b")]));
        let answer = answer.ask("GET /demo/v1/keys", &[("accept", accept), ("accept-encoding", coding)], b"").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, wanted), "{accept}");
        let body = if wanted.is_empty() { answer.body.to_vec() } else { decompress(coding, &answer.body) };
        assert_eq!(String::from_utf8(body).unwrap().matches("\"key\":").count(), 2, "{accept}");
    }
}

#[tokio::test]
async fn compressed_requests_are_read() {
    let door = Door::new();
    for coding in ["gzip", "x-gzip", "GZIP", "br", "zstd"] {
        let name = if coding.eq_ignore_ascii_case("x-gzip") { "gzip".to_owned() } else { coding.to_ascii_lowercase() };
        let body = compress(&name, br#"{"value":"aGVsbG8="}"#);
        let answer = door.will(stored(7)).ask("PUT /demo/v1/keys/a", &[("content-encoding", coding)], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = door.seen();
        assert_eq!(StoreRequest::decode(seen.messages[0].as_ref()).unwrap().value, "hello");
        assert!(seen.metadata.get("content-encoding").is_none());

        let lines = compress(&name, b"{\"value\":\"AQ==\"}\n{\"value\":\"Ag==\"}\n");
        assert_eq!(door.will(stored(7)).ask("POST /demo/v1/many/a", &[("content-encoding", coding)], &lines).await.status, 200);
        assert_eq!(door.seen().messages.len(), 2);
    }
    // Two gzip members and two zstd frames are one body.
    for coding in ["gzip", "zstd"] {
        let body = [compress(coding, b"hel"), compress(coding, b"lo")].concat();
        assert_eq!(door.will(stored(7)).ask("PUT /demo/v1/values/a", &[("content-encoding", coding)], &body).await.status, 200);
        assert_eq!(StoreRequest::decode(door.seen().messages[0].as_ref()).unwrap().value, "hello");
    }
    assert_eq!(door.will(stored(7)).ask("PUT /demo/v1/values/a", &[("content-encoding", "gzip")], b"").await.status, 200);
}

#[tokio::test]
async fn compressed_requests_are_bounded() {
    let door = Door::new();
    for coding in ["gzip", "br", "zstd"] {
        let headers = [("content-encoding", coding)];
        // A bomb: tiny on the wire, 64 MiB in memory. It is refused after the first pieces.
        let bomb = compress(coding, &vec![0; 64 << 20]);
        let few = &bomb[..bomb.len().min(LIMIT)];
        let answer = door.ask("PUT /demo/v1/values/a", &headers, few).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (413, json!("MESSAGE_TOO_LARGE")), "{coding}");
        let answer = door.ask("POST /demo/v1/many/a", &headers, few).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (413, json!("MESSAGE_TOO_LARGE")), "{coding}");

        for body in [&b"no such format"[..], &compress(coding, b"truncated truncated")[..12]] {
            let answer = door.ask("PUT /demo/v1/values/a", &headers, body).await;
            assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!("MALFORMED_COMPRESSION")), "{coding} {body:?}");
        }
    }
    // The limit holds for the compressed body too, with and without its length.
    let random: Vec<u8> = std::iter::successors(Some(1_u32), |last| Some(last.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)))
        .take(LIMIT + 500)
        .map(|number| (number >> 24) as u8)
        .collect();
    let large = gzip(&random);
    let pieces = large.chunks(100).map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::copy_from_slice(piece))));
    let request = Request::builder().method("PUT").uri("/demo/v1/values/a").header("content-encoding", "gzip");
    let request = request.body(StreamBody::new(futures::stream::iter(pieces.collect::<Vec<_>>()))).unwrap();
    assert_eq!(door.send(request).await.status, 413);
    for headers in [&[("content-encoding", "deflate")][..], &[("content-encoding", "gzip, br")], &[("content-encoding", "gzip"); 2]] {
        let answer = door.ask("PUT /demo/v1/values/a", headers, b"x").await;
        assert_eq!((answer.status, answer.header("accept-encoding")), (415, "gzip, br, zstd"), "{headers:?}");
        assert_eq!(answer.json()["reason"], "UNSUPPORTED_MEDIA_TYPE");
    }
    assert!(door.handler.seen.lock().unwrap().iter().all(|seen| seen.method == "StoreMany"));
}
