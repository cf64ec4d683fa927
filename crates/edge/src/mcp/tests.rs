//! The transport, the methods, and the calls of tools.

use crate::tests::*;
use prism_call::proto::patterns::{
    keyvalue::v1::GetCapabilitiesResponse,
    slots::v1::{Capabilities, Operation, Support},
};

const POST: &str = "POST /demo/mcp";
const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const NEW: &str = "2026-07-28";

fn capabilities() -> Reply {
    let operation = Operation { rpc: "Transact".to_owned(), support: Support::Unavailable.into(), ..Operation::default() };
    let capabilities = Some(Capabilities { namespace: "demo".to_owned(), operations: vec![operation], ..Capabilities::default() });
    Output::one(GetCapabilitiesResponse { capabilities }).into()
}

/// A listener whose namespace has been asked for its capabilities.
async fn door() -> Door {
    let door = Door::new();
    door.will(Ok(capabilities()));
    let answer = request(&door, "tools/list", json!({})).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    door.handler.seen.lock().unwrap().clear();
    door
}

fn body(method: &str, params: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string().into_bytes()
}

async fn request(door: &Door, method: &str, params: Value) -> Value {
    door.ask(POST, &[JSON, ACCEPT], &body(method, &params)).await.json()
}

async fn call(door: &Door, name: &str, arguments: Value) -> Value {
    request(door, "tools/call", json!({"name": name, "arguments": arguments})).await["result"].clone()
}

/// The parameters of a request of the newest revision.
fn with_meta(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

async fn request_per_revision(door: &Door, method: &str, name: Option<&str>, params: Value) -> Answer {
    let mut headers = vec![JSON, ACCEPT, ("mcp-protocol-version", NEW), ("mcp-method", method)];
    headers.extend(name.map(|name| ("mcp-name", name)));
    door.ask(POST, &headers, &body(method, &with_meta(params))).await
}

/// Headers and parameters, and the code and the status that refuse them.
type RefusedHeaders<'c> = (&'c [(&'c str, &'c str)], Value, i32, u16);
/// Method and path, headers and body, and the status that refuses them.
type RefusedRequest<'c> = (&'c str, Vec<(&'c str, &'c str)>, &'c [u8], u16);

#[tokio::test]
async fn sessions_begin_with_a_revision_that_both_have() {
    let door = Door::new();
    for (asked, agreed) in [("2025-03-26", "2025-03-26"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25"), (NEW, "2025-11-25")] {
        let answer = request(&door, "initialize", json!({"protocolVersion": asked, "capabilities": {}})).await;
        let result = &answer["result"];
        assert_eq!(
            (&answer["id"], &result["protocolVersion"], &result["serverInfo"]["name"]),
            (&json!(7), &json!(agreed), &json!("prism"))
        );
        assert!(result["instructions"].as_str().unwrap().contains("namespace `demo`"), "{answer}");
        assert_eq!((&result["capabilities"]["tools"], result.get("resultType")), (&json!({}), None));
    }
    assert_eq!(request(&door, "ping", json!({})).await["result"], json!({}));
    let initialized = door.ask(POST, &[JSON, ACCEPT], br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!((initialized.status, initialized.body.len()), (202, 0));
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn requests_of_the_newest_revision_need_no_session() {
    let door = door().await;
    let discovered = request_per_revision(&door, "server/discover", None, json!({})).await.json();
    let versions = discovered["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(NEW)) && versions.contains(&json!("2025-06-18")), "{discovered}");
    assert_eq!(discovered["result"]["resultType"], "complete");
    let listed = request_per_revision(&door, "tools/list", None, json!({})).await.json();
    assert_eq!((&listed["result"]["resultType"], &listed["result"]["cacheScope"]), (&json!("complete"), &json!("private")));
    door.will(stored(7));
    let params = json!({"name": "store", "arguments": {"key": "a"}});
    let answer = request_per_revision(&door, "tools/call", Some("store"), params.clone()).await;
    assert_eq!((answer.status, &answer.json()["result"]["structuredContent"]), (200, &json!({"revision": "7"})));
    // `=?base64?…?=` is what can't be in a header.
    door.will(stored(8));
    assert_eq!(request_per_revision(&door, "tools/call", Some("=?base64?c3RvcmU=?="), params.clone()).await.status, 200);
    for (method, name, code, status) in [
        ("ping", None, -32601, 404),
        ("initialize", None, -32601, 404),
        ("tools/call", None, -32020, 400),
        ("tools/call", Some("retrieve"), -32020, 400),
    ] {
        let answer = request_per_revision(&door, method, name, params.clone()).await;
        assert_eq!((&answer.json()["error"]["code"], answer.status), (&json!(code), status), "{method} {name:?}");
    }
    let mut old = with_meta(json!({}));
    old["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2020-01-01".into();
    let cases: [RefusedHeaders<'_>; 5] = [
        (&[("mcp-protocol-version", NEW)], json!({}), -32602, 400),
        (&[("mcp-protocol-version", NEW)], with_meta(json!({})), -32020, 400),
        (&[("mcp-method", "tools/list")], with_meta(json!({})), -32020, 400),
        (&[("mcp-protocol-version", "2020-01-01")], json!({}), -32022, 400),
        (&[("mcp-protocol-version", "2020-01-01"), ("mcp-method", "tools/list")], old, -32022, 400),
    ];
    for (headers, params, code, status) in cases {
        let headers: Vec<_> = [JSON, ACCEPT].into_iter().chain(headers.iter().copied()).collect();
        let answer = door.ask(POST, &headers, &body("tools/list", &params)).await;
        assert_eq!((&answer.json()["error"]["code"], answer.status), (&json!(code), status), "{headers:?} {params}");
    }
}

#[tokio::test]
async fn tools_are_what_the_namespace_can_do() {
    let door = door().await;
    let listed = request(&door, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"compare_and_store") && names.contains(&"scan"), "{names:?}");
    assert!(!names.contains(&"transact") && !names.contains(&"clear_expiration"), "{names:?}");
    assert_eq!(listed["result"].get("ttlMs"), None);
    assert_eq!(request(&door, "tools/list", json!({"cursor": "x"})).await["error"]["code"], -32602);
    assert_eq!(request(&door, "tools/call", json!({"name": "transact"})).await["error"]["code"], -32602);
    assert_eq!(request(&door, "tools/call", json!({})).await["error"]["code"], -32602);
    assert_eq!(request(&door, "prompts/list", json!({})).await["error"]["code"], -32601);
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn a_call_of_a_tool_is_a_call() {
    let door = door().await;
    let headers = [JSON, ACCEPT, ("authorization", "Bearer t"), ("x-own", "1"), ("mcp-protocol-version", "2025-06-18")];
    let headers = [&headers[..], &[("x-request-timeout", "9"), ("idempotency-key", "k")]].concat();
    let params = json!({"name": "store", "arguments": {"key": "a", "value": "Grüße", "ttl": "5s"}});
    let answer = door.will(stored(7)).ask(POST, &headers, &body("tools/call", &params)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let result = &answer.json()["result"];
    assert_eq!((&result["structuredContent"], &result["isError"]), (&json!({"revision": "7"}), &json!(false)));
    assert_eq!(result["content"], json!([{"type": "text", "text": r#"{"revision":"7"}"#}]));
    let seen = door.seen();
    let request = proto::patterns::keyvalue::v1::StoreRequest::decode(seen.messages[0].as_ref()).unwrap();
    assert_eq!((seen.method.as_str(), &request.value[..]), ("Store", "Grüße".as_bytes()));
    assert!(seen.metadata.contains_key("x-own") && seen.remaining.unwrap() <= Duration::from_secs(9));
    assert!(!seen.metadata.contains_key("authorization") && !seen.metadata.contains_key("mcp-protocol-version"));
    let text = door.metrics.render();
    for line in [
        r#"prism_calls_total{code="OK",method="Store",namespace="demo",protocol="mcp"} 1"#,
        r#"prism_calls_total{code="OK",method="mcp",namespace="demo",protocol="mcp"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn bytes_are_text_where_they_can_be() {
    let door = door().await;
    let result = call(door.will(retrieved(b"Hello", 3)), "retrieve", json!({"key": "a"})).await;
    assert_eq!(result["structuredContent"]["value"], "Hello");
    let result = call(door.will(retrieved(b"\xff\xfe", 3)), "retrieve", json!({"key": "a"})).await;
    assert_eq!(result["structuredContent"]["value"], json!({"base64": "//4="}));
    call(door.will(stored(1)), "store", json!({"key": "a", "value": {"base64": "//4="}})).await;
    let request = proto::patterns::keyvalue::v1::StoreRequest::decode(door.seen().messages[0].as_ref()).unwrap();
    assert_eq!(&request.value[..], b"\xff\xfe");
    for bad in [json!({"base64": "//4=", "more": 1}), json!({"hex": "00"}), json!({"base64": "?"}), json!(3)] {
        let result = call(&door, "store", json!({"key": "a", "value": bad})).await;
        assert!(result["isError"] == true && result["content"][0]["text"].as_str().unwrap().contains("value"), "{result}");
    }
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    let door = door().await;
    let text = |result: &Value| result["content"][0]["text"].as_str().unwrap().to_owned();
    door.will(Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "the key is not there")));
    let result = call(&door, "retrieve", json!({"key": "a"})).await;
    assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None));
    assert!(text(&result).starts_with("NOT_FOUND (KEY_NOT_FOUND): the key is not there\n\nWhat to do: "), "{result}");
    door.will(Err(Error::backend_unavailable("gone", Duration::from_secs(3))));
    assert!(text(&call(&door, "store", json!({"key": "a"})).await).contains("Wait 3 seconds. It is not known whether"));
    let result = call(&door, "store", json!({"kee": "a"})).await;
    assert!(text(&result).contains("kee") && text(&result).contains("Correct the arguments"), "{result}");
    let metrics = door.metrics.render();
    assert!(metrics.contains(r#"prism_calls_total{code="NOT_FOUND",method="Retrieve",namespace="demo",protocol="mcp"} 1"#), "{metrics}");
}

#[tokio::test]
async fn streams_are_collected_up_to_a_bound() {
    let door = door().await;
    let result = call(door.will(scanned(vec![entry("a"), entry("b")])), "scan", json!({})).await;
    let content = &result["structuredContent"];
    assert_eq!((content["items"].as_array().unwrap().len(), &content["truncated"], content.get("nextCursor")), (2, &json!(false), None));
    assert_eq!(content["items"][0]["value"], "v");
    let result = call(door.will(scanned(["a", "b", "c", "d"].map(entry).into())), "scan", json!({})).await;
    let content = &result["structuredContent"];
    assert_eq!((&content["truncated"], &content["nextCursor"]), (&json!(true), &json!("c-c")));
    // An error after the first items is that of the next call.
    let broken = || Err(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone"));
    let result = call(door.will(scanned(vec![entry("a"), broken()])), "scan", json!({})).await;
    assert_eq!(result["structuredContent"]["nextCursor"], "c-a");
    let result = call(door.will(scanned(vec![broken()])), "scan", json!({})).await;
    assert_eq!(result["isError"], true);
    // A stream that does not end.
    let open = futures::stream::iter([entry("a")]).chain(futures::stream::pending());
    let open = Output::messages(Box::pin(open)).into();
    let result = call(door.will(Ok(open)), "scan", json!({})).await;
    assert_eq!((&result["structuredContent"]["truncated"], &result["structuredContent"]["nextCursor"]), (&json!(true), &json!("c-a")));
    let silent = Output::messages(Box::pin(futures::stream::pending::<Result<ScanResponse, Error>>())).into();
    let result = call(door.will(Ok(silent)), "scan", json!({"cursor": "from-here"})).await;
    assert_eq!(result["structuredContent"], json!({"items": [], "truncated": true, "nextCursor": "from-here"}));
}

#[tokio::test]
async fn large_results_are_refused_with_advice() {
    let door = door().await;
    let value: &'static [u8] = vec![b'x'; 2000].leak();
    let result = call(door.will(retrieved(value, 3)), "retrieve", json!({"key": "a"})).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(result["isError"] == true && text.contains("RESULT_TOO_LARGE") && text.contains("begins with: {\"value\":\"xxx"), "{text}");
    let large = || Ok(ScanResponse { value: Bytes::from_static(value), ..entry("b").unwrap() });
    let result = call(door.will(scanned(vec![entry("a"), large()])), "scan", json!({})).await;
    assert_eq!(result["structuredContent"]["nextCursor"], "c-a");
    let result = call(door.will(scanned(vec![large()])), "scan", json!({"cursor": "c-a"})).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(result["isError"] == true && text.contains("call again with `cursor`: \"c-b\""), "{text}");
}

#[tokio::test]
async fn requests_are_checked_before_their_messages_are_read() {
    let door = door().await;
    let ping = body("ping", &json!({}));
    let large = body("ping", &json!({"x": "x".repeat(LIMIT)}));
    let cases: [RefusedRequest<'_>; 12] = [
        ("GET /demo/mcp", vec![("accept", "text/event-stream")], b"", 405),
        ("DELETE /demo/mcp", vec![("mcp-session-id", "1")], b"", 405),
        ("PUT /demo/mcp", vec![JSON], &ping, 405),
        (POST, vec![ACCEPT], &ping, 415),
        (POST, vec![ACCEPT, ("content-type", "text/plain")], &ping, 415),
        (POST, vec![JSON, ("accept", "text/html")], &ping, 406),
        (POST, vec![JSON, ACCEPT, ("origin", "http://evil.example")], &ping, 403),
        (POST, vec![JSON, ACCEPT, ("x-request-timeout", "soon")], &ping, 400),
        (POST, vec![JSON, ACCEPT], &large, 413),
        (POST, vec![JSON, ACCEPT], b"{", 400),
        (POST, vec![JSON, ACCEPT], b"[]", 400),
        (POST, vec![JSON, ACCEPT], br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400),
    ];
    for (request, headers, content, status) in cases {
        let answer = door.ask(request, &headers, content).await;
        let error = &answer.json()["error"];
        assert!(
            answer.status == status && error["code"].is_i64() && error["message"].is_string(),
            "{request} {headers:?} {}",
            answer.text()
        );
        assert!(status != 405 || answer.header("allow") == "POST", "{request}");
    }
    assert_eq!(door.ask("OPTIONS /demo/mcp", &[], b"").await.status, 204);
    // Any one form is enough, and events are only for those who accept nothing else.
    for (accept, content_type) in
        [("application/json", "application/json"), ("*/*", "application/json"), ("text/event-stream", "text/event-stream")]
    {
        let answer = door.ask(POST, &[JSON, ("accept", accept)], &ping).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type));
        assert!(answer.text().contains(r#""result":{}"#), "{}", answer.text());
    }
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn the_messages_of_a_batch_are_calls_of_their_own() {
    let door = door().await;
    door.will(stored(1)).will(Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "not there")));
    let calls = json!([
        {"jsonrpc": "2.0", "id": "one", "method": "tools/call", "params": {"name": "store", "arguments": {"key": "a"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "retrieve", "arguments": {"key": "b"}}},
        {"jsonrpc": "2.0", "id": 3},
    ]);
    let answer = door.ask(POST, &[JSON, ACCEPT], calls.to_string().as_bytes()).await;
    let answers = answer.json();
    assert_eq!((answers[0]["id"].as_str(), &answers[0]["result"]["isError"]), (Some("one"), &json!(false)));
    assert_eq!((&answers[1]["id"], &answers[1]["result"]["isError"]), (&json!(2), &json!(true)));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"], answers.as_array().unwrap().len()), (&json!(3), &json!(-32600), 3));
    let notifications = door.ask(POST, &[JSON, ACCEPT], br#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#).await;
    assert_eq!(notifications.status, 202);
    let many = Value::Array((0..33).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).collect());
    assert_eq!(door.ask(POST, &[JSON, ACCEPT], many.to_string().as_bytes()).await.status, 400);
    let text = door.metrics.render();
    assert!(text.contains(r#"prism_calls_total{code="OK",method="Store",namespace="demo",protocol="mcp"} 1"#), "{text}");
}

#[tokio::test]
async fn keys_are_resources() {
    let door = door().await;
    let templates = request(&door, "resources/templates/list", json!({})).await;
    assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "prism://demo/keys/{+key}");
    door.will(scanned(vec![entry("a/b c"), entry("ü")]));
    let listed = request(&door, "resources/list", json!({"cursor": "from-here"})).await;
    let resources: Vec<_> = listed["result"]["resources"].as_array().unwrap().iter().map(|one| (&one["uri"], &one["name"])).collect();
    assert_eq!(resources[0], (&json!("prism://demo/keys/a/b%20c"), &json!("a/b c")));
    assert_eq!((resources[1].0, listed["result"].get("nextCursor")), (&json!("prism://demo/keys/%C3%BC"), None));
    let scan = ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap();
    assert_eq!((scan.cursor.as_str(), scan.keys_only, scan.limit), ("from-here", true, 101));
    // The last one is that of the next page, if the bytes of a result are not reached before.
    let many = (0..101).map(|number| entry(&number.to_string())).map(|one| Ok(ScanResponse { value: Bytes::new(), ..one? })).collect();
    let listed = request(door.will(scanned(many)), "resources/list", json!({})).await;
    assert!(listed["result"]["nextCursor"].as_str().unwrap().starts_with("c-"), "{listed}");

    let uri = "prism://demo/keys/a/b%20c";
    for (value, key, content, mime_type) in [
        (&b"Hello"[..], "text", json!("Hello"), "text/plain"),
        (b"{\"a\": 1}", "text", json!("{\"a\": 1}"), "application/json"),
        (b"\xff\xfe", "blob", json!("//4="), "application/octet-stream"),
    ] {
        let read = request(door.will(retrieved(value, 3)), "resources/read", json!({"uri": uri})).await;
        let contents = &read["result"]["contents"][0];
        assert_eq!((&contents["uri"], &contents[key], contents["mimeType"].as_str()), (&json!(uri), &content, Some(mime_type)));
        assert_eq!(RetrieveRequest::decode(door.seen().messages[0].as_ref()).unwrap().key, "a/b c");
    }
    let missing = || Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "not there"));
    let read = request(door.will(missing()), "resources/read", json!({"uri": uri})).await;
    assert_eq!((&read["error"]["code"], &read["error"]["data"]["uri"]), (&json!(-32002), &json!(uri)));
    let read = request_per_revision(door.will(missing()), "resources/read", Some(uri), json!({"uri": uri})).await;
    assert_eq!(read.json()["error"]["code"], -32602);
    door.handler.seen.lock().unwrap().clear();
    for unknown in ["prism://other/keys/a", "prism://demo/keys/", "prism://demo/keys/%FF", "file:///etc/passwd", ""] {
        assert_eq!(request(&door, "resources/read", json!({"uri": unknown})).await["error"]["code"], -32002, "{unknown}");
    }
    assert!(door.nothing_seen());
    let text = door.metrics.render();
    assert!(text.contains(r#"prism_calls_total{code="OK",method="Retrieve",namespace="demo",protocol="mcp"} 3"#), "{text}");
}

/// The messages in the events of a response.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), "text/event-stream", "{}", answer.text());
    answer.text().lines().filter_map(|line| line.strip_prefix("data: ")).map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[tokio::test]
async fn the_progress_of_streams_is_reported() {
    let door = door().await;
    let params = json!({"name": "scan", "arguments": {}, "_meta": {"progressToken": "t"}});
    door.will(scanned(vec![entry("a"), entry("b")]));
    let messages = events(&door.ask(POST, &[JSON, ACCEPT], &body("tools/call", &params)).await);
    let (result, progress) = messages.split_last().unwrap();
    assert_eq!(result["result"]["structuredContent"]["items"].as_array().unwrap().len(), 2);
    assert!(!progress.is_empty() && progress.iter().all(|one| one["method"] == "notifications/progress"), "{messages:?}");
    assert_eq!((&progress[0]["params"]["progressToken"], &progress[0]["params"]["total"]), (&json!("t"), &json!(3)));
    // Without a token, or for a client that reads JSON only, the answer is one JSON text.
    let plain = json!({"name": "scan", "arguments": {}});
    for (params, accept) in [(&plain, ACCEPT), (&params, ("accept", "application/json"))] {
        door.will(scanned(vec![entry("a")]));
        let answer = door.ask(POST, &[JSON, accept], &body("tools/call", params)).await;
        assert_eq!(answer.header("content-type"), "application/json");
    }
    door.will(Err(Error::new(Code::Unavailable, "GONE", "gone")));
    let failed = events(&door.ask(POST, &[JSON, ACCEPT], &body("tools/call", &params)).await);
    assert!(failed.len() == 1 && failed[0]["result"]["isError"] == true, "{failed:?}");
}

#[tokio::test]
async fn changes_of_resources_are_reported() {
    use prism_call::proto::patterns::keyvalue::v1::{
        CaughtUp, RemovedKey, WatchRequest, WatchResponse, WatchedEntry, watch_response::Event,
    };

    let door = door().await;
    let discovered = request_per_revision(&door, "server/discover", None, json!({})).await.json();
    assert_eq!(discovered["result"]["capabilities"]["resources"]["subscribe"], true);
    let change = |event: Event| Ok(WatchResponse { event: Some(event), cursor: "c".to_owned() });
    let stream = [
        change(Event::CaughtUp(CaughtUp {})),
        change(Event::Stored(WatchedEntry { key: "a/b".to_owned(), ..WatchedEntry::default() })),
        change(Event::Removed(RemovedKey { key: "a/b".to_owned(), ..RemovedKey::default() })),
    ];
    door.will(Ok(Output::messages(Box::pin(futures::stream::iter(stream))).into()));
    let uri = "prism://demo/keys/a/b";
    let params = json!({"notifications": {"resourceSubscriptions": [uri, "other://x"], "toolsListChanged": true}});
    let messages = events(&request_per_revision(&door, "subscriptions/listen", None, params.clone()).await);
    let meta = json!({"io.modelcontextprotocol/subscriptionId": 7});
    let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri, "_meta": meta}});
    assert_eq!(
        messages,
        [
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": {"resourceSubscriptions": [uri]}, "_meta": meta}}),
            updated.clone(),
            updated,
            json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "_meta": meta}}),
        ]
    );
    let watched = WatchRequest::decode(door.seen().messages[0].as_ref()).unwrap();
    assert!(watched.key == "a/b" && watched.changes_only, "{watched:?}");

    door.will(Err(Error::new(Code::PermissionDenied, "DENIED", "no")));
    let refused = request_per_revision(&door, "subscriptions/listen", None, params.clone()).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "DENIED", "{refused}");
    let many = json!({"notifications": {"resourceSubscriptions": vec![uri; 65]}});
    let refused = request_per_revision(&door, "subscriptions/listen", None, many).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "TOO_MANY_RESOURCES", "{refused}");
    // Older revisions do not have the method.
    assert_eq!(request(&door, "subscriptions/listen", params).await["error"]["code"], -32601);
}
