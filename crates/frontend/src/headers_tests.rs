//! Tests of headers that are fields of messages.

use prost::Message as _;
use prost_types::Timestamp;

use super::*;
use prism_call::proto::{
    self,
    patterns::object_store::v1::{GetObjectRequest, GetObjectResponse, Object, PutObjectRequest},
};

fn fields(rpc: &str) -> HeaderFields {
    let methods = Method::of_service(proto::descriptors(), "prism.patterns.object_store.v1.ObjectStoreService").unwrap();
    let method = methods.into_iter().find(|method| method.name == rpc).unwrap();
    HeaderFields::compile(MessageTypes::all(), &method).unwrap().unwrap()
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

#[test]
fn headers_of_requests_become_fields() {
    let list = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", "12"),
        ("x-object-meta-origin", "two words"),
        ("x-object-meta-b", ""),
        ("x-object-meta-", "no name"),
        ("if-match", "\"a\", W/\"weak\""),
        ("if-match", "\"b\""),
        ("x-other", "1"),
    ];
    let request = PutObjectRequest::decode(fields("PutObject").encode(&headers(&list)).unwrap().as_slice()).unwrap();
    assert_eq!(
        request,
        PutObjectRequest {
            content_type: "text/plain; charset=utf-8".to_owned(),
            size: Some(12),
            attributes: [("origin".to_owned(), "two words".to_owned()), ("b".to_owned(), String::new())].into(),
            if_match: vec!["a".to_owned(), "b".to_owned()],
            ..PutObjectRequest::default()
        }
    );
    let get = |list: &[(&str, &str)]| GetObjectRequest::decode(fields("GetObject").encode(&headers(list)).unwrap().as_slice()).unwrap();
    assert_eq!(get(&[("if-match", "*")]).if_match, ["*"]);
    // Nothing has the empty tag.
    assert_eq!(get(&[("if-match", "W/\"a\"")]).if_match, [""]);
    assert_eq!(get(&[("if-range", "Mon, 01 Jan 2024 00:00:00 GMT"), ("range", "bytes=0-1")]).if_range, [""]);
    assert_eq!(get(&[]), GetObjectRequest::default());
    for (name, value) in [("content-length", "many"), ("if-match", "a"), ("if-none-match", "")] {
        let error = fields("PutObject").encode(&headers(&[(name, value)])).unwrap_err();
        assert_eq!(error.get("in"), Some("header"), "{name}");
    }
}

#[test]
fn fields_of_replies_become_headers() {
    let object = Object {
        key: "k".to_owned(),
        size: 100,
        etag: "abc".to_owned(),
        content_type: "image/png".to_owned(),
        attributes: [("a".to_owned(), "1".to_owned()), ("no name".to_owned(), String::new())].into(),
        update_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 5 }),
    };
    let reply =
        GetObjectResponse { object: Some(object), content_length: 10, content_range: "bytes 0-9/100".to_owned(), ..Default::default() };
    let message = reply.encode_to_vec();
    let mut all = HeaderMap::new();
    fields("GetObject").set(&message, true, &mut all);
    let wanted = headers(&[
        ("etag", "\"abc\""),
        ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("content-type", "image/png"),
        ("x-object-meta-a", "1"),
        ("content-length", "10"),
        ("content-range", "bytes 0-9/100"),
        ("accept-ranges", "bytes"),
    ]);
    assert_eq!(all, wanted);
    let mut some = HeaderMap::new();
    fields("GetObject").set(&message, false, &mut some);
    assert_eq!(some, headers(&[("etag", "\"abc\""), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT")]));
    let mut empty = HeaderMap::new();
    fields("GetObject").set(&[], true, &mut empty);
    assert_eq!(empty, headers(&[("content-length", "0"), ("accept-ranges", "bytes")]));
}

#[test]
fn headers_and_fields_must_fit() {
    let types = MessageTypes::all();
    let input = types.find("prism.patterns.object_store.v1.PutObjectRequest").unwrap();
    for (header, field) in
        [("etag*", "key"), ("X-Meta-*", "attributes"), ("*", "attributes"), ("a b", "key"), ("etag", "nothing"), ("etag", "attributes")]
    {
        let entry = HeaderField { header: header.to_owned(), field: field.to_owned(), value: String::new() };
        assert!(RequestHeader::compile(types, input, &entry).is_err(), "{header} {field}");
        assert!(ResponseHeader::compile(types, input, &entry).is_err(), "{header} {field}");
    }
}
