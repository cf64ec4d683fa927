//! Tests of unary calls and of all their errors.

use super::*;

#[tokio::test]
async fn raw_bytes_are_sent_and_received_unchanged() {
    let door = Door::new();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/octet-stream")] {
        let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let answer = door.will(stored(7)).ask("PUT /demo/v1/values/a/b?ttl=1.5s&flags=7", &headers, b"\x00{\xff").await;
        assert_eq!((answer.status, answer.json()), (200, json!({"revision": "7"})));
        let seen = door.seen();
        let ttl = Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
        assert_eq!(
            StoreRequest::decode(seen.messages[0].as_ref()).unwrap(),
            StoreRequest { key: "a/b".to_owned(), value: Bytes::from_static(b"\x00{\xff"), ttl, flags: 7 }
        );
        assert_eq!(seen.method, "Store");
    }
    // JSON is a value like any other.
    for (content_type, body) in [("application/json", "\"AQI=\""), ("application/json", "nonsense"), ("text/plain; charset=latin1", "ä")] {
        let answer = door.will(stored(8)).ask("PUT /demo/v1/values/k", &[("content-type", content_type)], body.as_bytes()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(StoreRequest::decode(door.seen().messages[0].as_ref()).unwrap().value, body);
    }

    for accept in ["", "*/*", "text/html,*/*;q=0.8", "application/octet-stream", "application/json, text/plain, */*"] {
        let headers: Vec<_> = (!accept.is_empty()).then_some(("accept", accept)).into_iter().collect();
        let answer = door.will(retrieved(b"\x00\xff", 9)).ask("GET /demo/v1/values/k", &headers, b"").await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, b"\x00\xff".as_slice()));
        assert_eq!(
            (answer.header("content-type"), answer.header("etag"), answer.header("vary")),
            ("application/octet-stream", "\"9\"", "accept")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let answer = door.will(retrieved(b"\x01\x02", 9)).ask("GET /demo/v1/values/k", &[("accept", "application/json, */*;q=0.8")], b"").await;
    assert_eq!((answer.json(), answer.header("content-type")), (json!("AQI="), "application/json"));
}

#[tokio::test]
async fn encoded_slashes_stay_distinct_from_slashes() {
    let door = Door::new();
    for (path, key) in [
        ("a/b", "a/b"),
        ("a%2Fb", "a%2Fb"),
        ("a%252Fb", "a%2Fb"),
        ("%C3%A4%20b", "ä b"),
        ("/a//b/", "/a//b/"),
        ("a:b", "a:b"),
        ("a%3Fb", "a?b"),
    ] {
        door.will(retrieved(b"", 1)).ask(&format!("GET /demo/v1/values/{path}"), &[], b"").await;
        assert_eq!(RetrieveRequest::decode(door.seen().messages[0].as_ref()).unwrap().key, key, "{path}");
    }
    let answer = door.ask("GET /demo/v1/values/%ff", &[], b"").await;
    assert_eq!(
        (answer.status, answer.json()["errors"][0].clone()),
        (400, json!({"parameter": "key", "in": "path", "detail": "is not UTF-8 after decoding"}))
    );
}

#[tokio::test]
async fn the_path_takes_precedence_over_the_body() {
    let door = Door::new();
    let answer = door.will(stored(1)).ask("PUT /demo/v1/keys/path", &[], br#"{"key":"body","value":"AQ=="}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(StoreRequest::decode(door.seen().messages[0].as_ref()).unwrap().key, "path");
}

#[tokio::test]
async fn errors_name_the_parameter_position_or_field() {
    let door = Door::new();
    let unknown = door.ask("GET /demo/v1/keys?limit=1&pre=x", &[], b"").await;
    assert_eq!((unknown.status, unknown.header("content-type")), (400, "application/problem+json"));
    assert_eq!(unknown.json()["type"], "urn:prism:problem:unknown-parameter");
    assert_eq!(unknown.json()["errors"][0]["parameter"], "pre");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("prefix, startKey, endKey"), "{}", unknown.text());

    let malformed = door.ask("POST /demo/v1/batch:store", &[], b"{\"items\": [\n  {\"key\": \"a\",}]}").await;
    assert_eq!((malformed.status, malformed.json()["reason"].clone()), (400, json!("MALFORMED_JSON")));
    assert_eq!(malformed.json()["metadata"], json!({"line": "2", "column": "15"}));

    let wrong = door.ask("POST /demo/v1/batch:store", &[], br#"{"items":[{},{"key":7}]}"#).await;
    assert_eq!((wrong.status, wrong.json()["errors"].clone()), (400, json!([{"pointer": "#/items/1/key", "detail": "must be a string"}])));

    let field = door.ask("PUT /demo/v1/expirations/a", &[], br#"{"tll":"1s"}"#).await;
    assert_eq!((field.status, field.json()["errors"][0]["pointer"].clone()), (400, json!("#/tll")));
    assert!(!field.text().contains("_ttl"));
    assert!(door.nothing_seen());
    assert!(!field.header("x-request-id").is_empty());
}

#[tokio::test]
async fn unknown_methods_and_routes_are_refused() {
    let door = Door::new();
    let answer = door.ask("PATCH /demo/v1/keys/a", &[("x-request-id", "mine")], b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "DELETE, GET, HEAD, OPTIONS, PUT"));
    assert_eq!((answer.json()["reason"].clone(), answer.header("x-request-id")), (json!("METHOD_NOT_ALLOWED"), "mine"));
    for path in [
        "GET /demo/v1/nothing",
        "GET /demo/v1",
        "GET /demo",
        "GET /demo/",
        "GET /other/v1/keys",
        "GET /demos/v1/keys",
        "GET /",
        "POST /demo/v1/batch:none",
    ] {
        let answer = door.ask(path, &[], b"").await;
        assert_eq!((answer.status, answer.json()["type"].clone()), (404, json!("urn:prism:problem:route-not-found")), "{path}");
    }
    let options = door.ask("OPTIONS /demo/v1/count", &[], b"").await;
    assert_eq!((options.status, options.header("allow"), options.body.len()), (204, "GET, HEAD, OPTIONS", 0));
}

#[tokio::test]
async fn unacceptable_requests_do_not_reach_the_handler() {
    let door = Door::new();
    let answer = door.ask("PUT /demo/v1/keys/a", &[("accept", "text/html")], b"{}").await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (406, json!("NOT_ACCEPTABLE")));
    for headers in [("content-type", "text/plain"), ("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "deflate")]
    {
        let answer = door.ask("PUT /demo/v1/keys/a", &[headers], b"{}").await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (415, json!("UNSUPPORTED_MEDIA_TYPE")), "{headers:?}");
    }
    let large = vec![b'x'; LIMIT + 1];
    let answer = door.ask("PUT /demo/v1/values/a", &[], &large).await;
    assert_eq!((answer.status, answer.json()["type"].clone()), (413, json!("urn:prism:problem:message-too-large")));
    let answer = door.ask("PUT /demo/v1/values/a", &[("content-length", "99999999")], b"x").await;
    assert_eq!(answer.status, 413);
    // A body in chunks without a length is refused as soon as it exceeds the limit. The rest is not read.
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; 1000]))));
    let request = Request::builder().method("PUT").uri("/demo/v1/values/a").body(StreamBody::new(endless)).unwrap();
    assert_eq!(door.send(request).await.status, 413);
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn aborted_requests_do_not_reach_the_handler() {
    let door = Door::new();
    let pieces = [Ok(http_body::Frame::data(Bytes::from_static(b"x"))), Err(std::io::Error::other("gone"))];
    let request = Request::builder().method("PUT").uri("/demo/v1/values/a").body(StreamBody::new(futures::stream::iter(pieces))).unwrap();
    assert_eq!(Box::pin(door.send(request)).await.status, 499);
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn head_and_not_modified_responses_have_no_body() {
    let door = Door::new();
    let head = door.will(retrieved(b"12345", 9)).ask("HEAD /demo/v1/values/a", &[], b"").await;
    assert_eq!((head.status, head.body.len(), head.header("content-length"), head.header("etag")), (200, 0, "5", "\"9\""));
    for (tags, status) in [("\"9\"", 304), ("W/\"9\"", 304), ("\"1\", \"9\"", 304), ("*", 304), ("\"8\"", 200)] {
        let answer = door.will(retrieved(b"12345", 9)).ask("GET /demo/v1/keys/a", &[("if-none-match", tags)], b"").await;
        assert_eq!((answer.status, answer.header("etag")), (status, "\"9\""), "{tags}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let json = door.will(retrieved(b"\x01\x02", 9)).ask("GET /demo/v1/keys/a", &[], b"").await;
    assert_eq!(json.json(), json!({"value": "AQI=", "revision": "9", "flags": "5", "createRevision": "8", "version": "2"}));
    let zero = door.will(Ok(Output::one(RemoveResponse { removed: false }).into())).ask("DELETE /demo/v1/keys/a", &[], b"").await;
    assert_eq!(zero.json(), json!({"removed": false}));
}

#[tokio::test]
async fn each_timeout_header_sets_the_deadline() {
    let door = Door::new();
    for (name, value) in [("grpc-timeout", "2S"), ("connect-timeout-ms", "2000"), ("x-request-timeout", "2"), ("request-timeout", "2000ms")]
    {
        door.ask("GET /demo/v1/exists/a", &[(name, value)], b"").await;
        let remaining = door.seen().remaining.unwrap();
        assert!(remaining <= Duration::from_secs(2) && remaining > Duration::from_secs(1), "{name}: {remaining:?}");
    }
    let answer = door.ask("GET /demo/v1/exists/a", &[("x-request-timeout", "soon")], b"").await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!("MALFORMED_TIMEOUT")));
}

#[tokio::test]
async fn metadata_is_forwarded_without_framing_headers() {
    let door = Door::new();
    let metadata =
        |name: &'static str, value: &'static str| HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
    let mut headers = metadata("x-leading", "1");
    headers.insert("content-length", "999".parse().unwrap());
    headers.append("x-leading", "2".parse().unwrap());
    let reply =
        Reply { headers, output: Output::one(ExistsResponse { exists: true }), trailers: Trailers::known(metadata("x-trailing", "3")) };
    let given = [("x-mine", "yes"), ("connection", "close"), ("te", "trailers"), ("x-request-id", "abc")];
    let answer = door.will(Ok(reply)).ask("GET /demo/v1/exists/a", &given, b"").await;
    let leading: Vec<_> = answer.headers.get_all("x-leading").iter().collect();
    assert_eq!(
        (leading.len(), answer.header("x-trailing"), answer.header("content-length"), answer.header("x-request-id")),
        (2, "3", "", "abc")
    );
    let seen = door.seen().metadata;
    assert_eq!(seen.get("x-mine").unwrap(), "yes");
    assert!(!seen.contains_key("connection") && !seen.contains_key("te"));

    let error = Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone")
        .with_retry_after(Duration::from_millis(1500))
        .with_headers_and_trailers(metadata("x-leading", "1"), metadata("x-trailing", "2"));
    let answer = door.will(Err(error)).ask("GET /demo/v1/exists/a", &[], b"").await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.header("x-leading"), answer.header("x-trailing")),
        (503, "2", "1", "2")
    );
}

#[tokio::test]
async fn each_code_maps_to_its_http_status() {
    let door = Door::new();
    let statuses = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, status) in Code::ALL.into_iter().skip(1).zip(statuses) {
        let answer = door.will(Err(Error::new(code, "SOME_REASON", "what"))).ask("GET /demo/v1/exists/a", &[], b"").await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (status, json!(code.name())));
    }
}
