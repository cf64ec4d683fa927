//! Tests of the negotiation and of bodies that are compressed.

use std::io::Read as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{Coding, Negotiated, Weights, encode};
use crate::Body;

fn best(accepted: &'static str) -> Option<&'static str> {
    let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
    Weights::of(&headers).and_then(|weights| weights.best()).map(Coding::name)
}

#[test]
fn the_highest_weight_wins() {
    for (accepted, wanted) in [
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip;q=0.9, br;q=0.5, zstd;q=0", Some("gzip")),
        ("GZIP ; Q=1", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("*", Some("zstd")),
        ("*;q=0.5, zstd;q=0", Some("br")),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", Some("gzip")),
        ("identity, gzip", Some("gzip")),
        ("identity;q=0, *;q=0", None),
        ("deflate", None),
        ("gzip;q=abc, br;q=2", None),
        ("", None),
    ] {
        assert_eq!(best(accepted), wanted, "{accepted}");
    }
    assert!(Weights::of(&HeaderMap::new()).is_none());
}

pub fn decompress(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
        other => panic!("{other}"),
    }
    .unwrap();
    out
}

fn text(bytes: usize) -> Bytes {
    let lines = (0..).flat_map(|number: usize| format!("{{\"number\":{number}}}\n").into_bytes());
    lines.take(bytes).collect()
}

#[tokio::test]
async fn bodies_of_every_size_are_compressed() {
    for size in [1024, 64 * 1024, 64 * 1024 + 1, 1 << 20] {
        for coding in Coding::ALL {
            let compressed = encode::compress(Body::full(text(size)), coding).ok().unwrap();
            let bytes = compressed.collect().await.unwrap().to_bytes();
            assert!(bytes.len() < size / 3, "{coding:?}: {size} became {}", bytes.len());
            assert_eq!(decompress(coding.name(), &bytes), text(size), "{coding:?}");
        }
    }
}

#[tokio::test]
async fn chunks_of_a_stream_are_flushed_and_trailers_come_last() {
    for coding in Coding::ALL {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut body = encode::compress(Body::stream(StreamBody::new(receiver)), coding).ok().unwrap();
        let mut sent = Vec::new();
        for number in 0..3 {
            let chunk = Bytes::from(format!("message {number}\n"));
            sender.unbounded_send(Ok::<_, crate::BoxError>(Frame::data(chunk))).unwrap();
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            sent.extend_from_slice(&frame);
        }
        let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("x"))]);
        sender.unbounded_send(Ok(Frame::trailers(trailers.clone()))).unwrap();
        drop(sender);
        let rest = body.collect().await.unwrap();
        assert_eq!(rest.trailers(), Some(&trailers), "{coding:?}");
        sent.extend_from_slice(&rest.to_bytes());
        assert_eq!(decompress(coding.name(), &sent), b"message 0\nmessage 1\nmessage 2\n", "{coding:?}");

        let failing = StreamBody::new(futures::stream::iter([Ok(Frame::data(Bytes::from_static(b"a"))), Err("broken")]));
        let failed = encode::compress(Body::stream(failing), coding).ok().unwrap().collect().await;
        assert_eq!(failed.unwrap_err().to_string(), "broken");
    }
}

/// Returns the headers of a response to a client that accepts gzip.
fn encoded(content_type: &'static str, more: &[(&'static str, &'static str)], body: Body) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
    let mut response = Response::builder().header("content-type", content_type);
    for (name, value) in more {
        response = response.header(*name, *value);
    }
    let negotiated = Negotiated::of(&Method::GET, &mut headers);
    negotiated.encode(response.body(body).unwrap()).headers().clone()
}

#[test]
fn only_large_texts_are_compressed() {
    let whole = |content_type, size| encoded(content_type, &[], Body::full(text(size)));
    for content_type in [
        "application/json",
        "application/problem+json",
        "text/plain; charset=utf-8",
        "APPLICATION/JSON",
        "image/svg+xml",
        "application/yaml",
        "application/javascript",
    ] {
        let headers = whole(content_type, 1024);
        assert_eq!((&headers["content-encoding"], &headers["vary"]), (&"gzip".parse().unwrap(), &"accept-encoding".parse().unwrap()));
        assert!(!whole(content_type, 1023).contains_key("content-encoding"), "{content_type}");
    }
    for content_type in ["application/octet-stream", "image/png", "video/mp4", "application/zip", "text/event-stream", ""] {
        let headers = whole(content_type, 4096);
        assert!(!headers.contains_key("content-encoding") && !headers.contains_key("vary"), "{content_type}");
    }
    for header in [("content-encoding", "br"), ("cache-control", "no-cache, no-transform")] {
        let headers = encoded("text/css", &[header], Body::full(text(4096)));
        assert_ne!(headers.get("content-encoding"), Some(&"gzip".parse().unwrap()), "{header:?}");
    }
    let events = StreamBody::new(futures::stream::empty::<Result<Frame<Bytes>, crate::BoxError>>());
    assert!(!encoded("text/event-stream", &[], Body::stream(events)).contains_key("content-encoding"));
}

#[test]
fn compressed_representations_have_their_own_tags() {
    let tag = |tag| encoded("text/plain", &[("etag", tag)], Body::full(text(4096)))["etag"].clone();
    assert_eq!(tag("\"7\""), "\"7--gzip\"");
    assert_eq!(tag("W/\"7\""), "W/\"7\"");

    for (accepted, sent, match_left, none_match_left) in [
        ("gzip", "\"7--gzip\"", "\"7\"", "\"7\""),
        ("gzip", "\"7--br\", \"8--gzip\"", "\"7\", \"8\"", "\"7--br\", \"8\""),
        ("", "W/\"7--zstd\"", "W/\"7\"", "W/\"7--zstd\""),
        ("*", "*", "*", "*"),
        ("*", "\"7\", \"a--b\"", "\"7\", \"a--b\"", "\"7\", \"a--b\""),
    ] {
        let of = |name| {
            let header = |value: &str| value.parse::<HeaderValue>().unwrap();
            let mut headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, header(accepted)), (name, header(sent))]);
            let negotiated = Negotiated::of(&Method::GET, &mut headers);
            (headers.get_all(header::IF_MATCH).iter().chain(headers.get_all(header::IF_NONE_MATCH)).next().cloned().unwrap(), negotiated)
        };
        assert_eq!(of(header::IF_MATCH).0, match_left, "{accepted} {sent}");
        let (left, negotiated) = of(header::IF_NONE_MATCH);
        assert_eq!(left, none_match_left, "{accepted} {sent}");
        let unchanged = Response::builder().status(304).header("etag", "\"8\"").body(Body::Empty).unwrap();
        let headers = negotiated.encode(unchanged).headers().clone();
        let wanted = if sent.contains("\"8--gzip\"") { "\"8--gzip\"" } else { "\"8\"" };
        assert_eq!((headers["etag"].to_str().unwrap(), &headers["vary"]), (wanted, &"accept-encoding".parse().unwrap()), "{sent}");
    }
}
