use http::Method;

use super::*;
use crate::{
    bind::BindOptions,
    tests::{self, routes},
};

fn rendering<T>(request: &str, run: impl FnOnce(&Rendering) -> T) -> T {
    let (method, path) = request.split_once(' ').unwrap();
    let routes = routes(BindOptions::default());
    let found = routes.find(&method.parse::<Method>().unwrap(), path).unwrap();
    run(&found.value.rendering)
}

fn bytes(name: &str, json: &str) -> Bytes {
    tests::bytes(name, json).into()
}

fn stream(format: Format, fail: bool) -> String {
    rendering("GET /v1/pages", |rendering| {
        let (mut frames, mut out) = (Frames::new(format), Vec::new());
        frames.begin(&mut out);
        for (cursor, number) in [("a", 1), ("", 2), ("b\nc", 3)] {
            let page = serde_json::json!({"cursor": cursor, "number": number}).to_string();
            frames.message(rendering, &bytes("Page", &page).into(), &mut out).unwrap();
        }
        if fail {
            frames.error(&Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone"), &mut out);
        }
        frames.end(&mut out);
        String::from_utf8(out).unwrap()
    })
}

const PROBLEM: &str = r#"{"type":"urn:prism:problem:backend-unavailable","title":"Backend unavailable","status":503,"detail":"gone","code":"UNAVAILABLE","reason":"BACKEND_UNAVAILABLE"}"#;
const PAGES: [&str; 3] = [r#"{"cursor":"a","number":1}"#, r#"{"cursor":"","number":2}"#, r#"{"cursor":"b\nc","number":3}"#];

#[test]
fn errors_are_the_last_line() {
    let [one, two, three] = PAGES;
    assert_eq!(stream(Format::Lines, false), format!("{one}\n{two}\n{three}\n"));
    assert_eq!(stream(Format::Lines, true), format!("{one}\n{two}\n{three}\n{{\"error\":{PROBLEM}}}\n"));
}

#[test]
fn events_have_ids_and_errors_are_events() {
    let [one, two, three] = PAGES;
    let good = format!("retry: 2000\n\nid: a\ndata: {one}\n\ndata: {two}\n\ndata: {three}\n\n");
    assert_eq!(stream(Format::Events, false), good);
    assert_eq!(stream(Format::Events, true), format!("{good}event: error\ndata: {PROBLEM}\n\n"));
}

#[test]
fn lists_are_valid_json_even_with_an_error() {
    for fail in [false, true] {
        let list: Vec<serde_json::Value> = serde_json::from_str(&stream(Format::List, fail)).unwrap();
        assert_eq!(list.len(), 3 + usize::from(fail));
        assert_eq!(list.last().unwrap().get("error").is_some(), fail);
    }
    let mut out = Vec::new();
    let mut frames = Frames::new(Format::List);
    frames.begin(&mut out);
    frames.error(&Error::internal("x"), &mut out);
    frames.end(&mut out);
    assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
}

#[test]
fn a_field_can_be_the_whole_response() {
    let body =
        |json: &str| rendering("GET /v1/names", |rendering| rendering.reply(&bytes("Everything", json).into(), Format::Json).unwrap().body);
    assert_eq!(body(r#"{"strings":["a","b"],"int32Value":1}"#), r#"["a","b"]"#);
    assert_eq!(body("{}"), "[]");
}

#[test]
fn http_bodies_are_sent_with_their_content_type() {
    rendering("POST /v1/raw", |rendering| {
        let mut reply = Vec::new();
        wire::put_tag(&mut reply, 1, wire::WireType::Bytes);
        wire::put_bytes(&mut reply, b"text/csv");
        wire::put_tag(&mut reply, 2, wire::WireType::Bytes);
        wire::put_bytes(&mut reply, b"a,b");
        let rendered = rendering.reply(&reply.into(), Format::Raw).unwrap();
        assert_eq!((rendered.content_type.to_str().unwrap(), rendered.body.as_ref()), ("text/csv", b"a,b".as_slice()));
        let rendered = rendering.reply(&Bytes::new().into(), Format::Raw).unwrap();
        assert_eq!((rendered.content_type.to_str().unwrap(), rendered.body.as_ref()), ("application/octet-stream", b"".as_slice()));
    });
}

#[test]
fn accept_selects_the_format() {
    for (request, accept, wanted) in [
        ("GET /v1/pages", "*/*", Some(Format::Lines)),
        ("GET /v1/pages", "text/event-stream", Some(Format::Events)),
        ("GET /v1/pages", "application/json", Some(Format::List)),
        ("GET /v1/pages", "application/x-ndjson, application/json;q=0.5", Some(Format::Lines)),
        ("GET /v1/pages", "text/html", None),
        ("GET /v1/names", "text/html,*/*;q=0.1", Some(Format::Json)),
        ("GET /v1/names", "text/html", None),
        ("POST /v1/raw", "text/csv", Some(Format::Raw)),
    ] {
        let found = rendering(request, |rendering| rendering.negotiate(&Accept::of(Some(accept))));
        match wanted {
            Some(format) => assert_eq!(found.unwrap(), format, "{request} {accept}"),
            None => assert_eq!(found.unwrap_err().reason(), "NOT_ACCEPTABLE", "{request} {accept}"),
        }
    }
}

#[test]
fn malformed_replies_are_internal_errors() {
    rendering("GET /v1/names", |rendering| {
        assert_eq!(rendering.reply(&Bytes::from_static(b"\xff").into(), Format::Json).unwrap_err().code(), Code::Internal);
    });
}
