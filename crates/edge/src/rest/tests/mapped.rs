//! Tests of routes from a definition: preconditions, streams of requests, and resumed streams of events.

use std::sync::LazyLock;

use super::*;
use prism_call::proto::patterns::keyvalue::v1::{
    CompareAndRemoveRequest, CompareAndRemoveResponse, CompareAndStoreRequest, CompareAndStoreResponse,
};
use prism_frontend::{
    definition::{DocumentFolders, Texts, compile},
    mapping::Api,
};

const DOCUMENT: &str = "
openapi: 3.1.0
info: {title: Things, version: '1'}
paths:
  /things:
    get: {operationId: list, responses: {'200': {description: All., content: {application/json: {}}}}}
  /all:
    get: {operationId: collect, responses: {'200': {description: All., content: {application/json: {}}}}}
  /since:
    get:
      operationId: since
      parameters: [{name: Last-Event-ID, in: header, schema: {type: string}}]
      responses: {'200': {description: All., content: {application/json: {}}}}
  /things/{key}:
    parameters: [{name: key, in: path, required: true, schema: {type: string}}]
    put:
      operationId: write
      parameters: [{name: kind, in: query, schema: {type: string}}]
      requestBody: {content: {text/plain: {}}}
      responses: {'200': {description: It is stored., content: {application/json: {}}}}
    delete: {operationId: remove, responses: {'200': {description: It is gone., content: {application/json: {}}}}}
    post: {operationId: check, responses: {'200': {description: Whether it exists., content: {application/json: {}}}}}
    patch:
      operationId: own
      parameters: [{name: If-Match, in: header, required: true, schema: {type: string}}]
      responses: {'200': {description: It is stored., content: {application/json: {}}}}
  /many/{key}:
    parameters: [{name: key, in: path, required: true, schema: {type: string}}]
    post:
      operationId: writeMany
      requestBody:
        required: true
        content:
          application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}}
          application/x-ndjson: {itemSchema: {$ref: '#/components/schemas/Thing'}}
      responses: {'200': {description: They are stored., content: {application/json: {}}}}
  /items:
    post:
      operationId: items
      requestBody: {content: {application/x-ndjson: {schema: {type: object, properties: {text: {type: string}}, required: [text]}}}}
      responses: {'200': {description: They are stored., content: {application/json: {}}}}
  /counted:
    post:
      operationId: counted
      requestBody: {content: {application/x-ndjson: {schema: {type: object, properties: {text: {type: string}}}}}}
      responses: {'200': {description: They are stored., content: {application/json: {}}}}
components:
  schemas:
    Thing: {type: object, additionalProperties: false, properties: {value: {type: string, format: byte}, flags: {type: integer, maximum: 9}}}
";

const DEFINITION: &str = "
frontend: things
openapi: things.yaml
pattern: keyvalue
routes:
  list: {rpc: Scan, response: {body: {key: reply.key}}}
  collect: {rpc: Scan, response: {body: {$each: replies, $item: item.key}}}
  since: {rpc: Scan, request: {start_key: header.last_event_id}, response: {body: {key: reply.key}}}
  write:
    - when: has(query.kind)
      rpc: Store
      request: {key: path.key}
      response: {body: {revision: reply.revision}}
      errors: {REVISION_MISMATCH: {status: 409}}
    - rpc: Store
      request: {key: path.key, value: body}
      response: {headers: {ETag: \"'\\\"' + string(reply.revision) + '\\\"'\"}, body: {revision: reply.revision}}
  remove: {rpc: Remove, response: {body: {removed: reply.removed}}}
  check: {rpc: Exists}
  own: {rpc: Store, request: {key: path.key, value: bytes(header.if_match)}}
  writeMany: {rpc: StoreMany}
  items:
    rpc: StoreMany
    request: {$each: body, $item: {key: \"item.text + string(index)\"}}
  counted:
    rpc: StoreMany
    request: {$each: body, $item: {key: item.text}}
    response: {body: {count: size(body), revision: reply.revision}}
";

/// Serves the definition above.
fn door() -> Door {
    static API: LazyLock<Arc<Api>> = LazyLock::new(compiled);
    let handler = Arc::new(Scripted::default());
    Door { handler: handler.clone(), ..Door::serving(handler, HttpRoutes::Mapped(API.clone())) }
}

fn compiled() -> Arc<Api> {
    let texts = Texts {
        name: "definition".to_owned(),
        text: DEFINITION.to_owned(),
        document_name: "document".to_owned(),
        document: Ok(DOCUMENT.to_owned()),
        folders: DocumentFolders::default(),
    };
    let methods = |_: &str| Some(methods().into_iter().chain([store_many()]).collect());
    match compile(&texts, &methods, &["keyvalue"], &std::collections::BTreeMap::new()) {
        Ok(definition) => definition.api,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

#[tokio::test]
async fn writes_with_preconditions_call_the_conditional_rpc() {
    for (header, revision, revisions, exists) in [
        (("if-match", "\"7\""), 7, vec![], false),
        (("if-match", "\"7--br\", \"9\""), 0, vec![7, 9], false),
        (("if-match", "*"), 0, vec![], true),
        (("if-none-match", "*"), 0, vec![], false),
    ] {
        let door = door();
        let reply = Ok(Output::one(CompareAndStoreResponse { revision: 12 }).into());
        let answer = door.will(reply).ask("PUT /demo/things/a", &[header], b"text").await;
        assert_eq!((answer.status, answer.header("etag"), answer.json()), (200, "\"12\"", json!({"revision": 12})), "{header:?}");
        let seen = door.seen();
        let sent = CompareAndStoreRequest::decode(seen.messages[0].as_ref()).unwrap();
        assert_eq!((&*seen.method, &*sent.key, &sent.value[..]), ("CompareAndStore", "a", &b"text"[..]));
        assert_eq!((sent.expected_revision, sent.expected_revisions, sent.must_exist), (revision, revisions, exists), "{header:?}");
    }
    let door = door();
    let gone = Ok(Output::one(CompareAndRemoveResponse { removed: true }).into());
    let answer = door.will(gone).ask("DELETE /demo/things/a", &[("if-match", "\"7\"")], b"").await;
    assert_eq!(answer.json(), json!({"removed": true}));
    assert_eq!(CompareAndRemoveRequest::decode(door.seen().messages[0].as_ref()).unwrap().expected_revision, 7);
    // Without a precondition, the RPC of the route is called.
    assert_eq!(door.will(stored(3)).ask("PUT /demo/things/a", &[], b"text").await.status, 200);
    assert_eq!(door.seen().method, "Store");
}

#[tokio::test]
async fn failed_preconditions_are_412_unless_the_definition_says_otherwise() {
    let door = door();
    let mismatch = || Err(Error::new(Code::Aborted, "REVISION_MISMATCH", "another").with("current_revision", "9"));
    let tag = [("if-match", "\"7\"")];
    let answer = door.will(mismatch()).ask("PUT /demo/things/a", &tag, b"").await;
    assert_eq!((answer.status, answer.json()["metadata"]["current_revision"].clone()), (412, json!("9")));
    assert_eq!(door.will(mismatch()).ask("PUT /demo/things/a?kind=x", &tag, b"").await.status, 409, "the case of the route");
    assert_eq!(door.will(mismatch()).ask("PUT /demo/things/a", &[], b"").await.status, 409, "not a precondition of the request");
    door.handler.seen.lock().unwrap().clear();
    // A tag that is not of this gateway never matches, and nothing is called.
    assert_eq!(door.ask("PUT /demo/things/a", &[("if-match", "W/\"7\"")], b"").await.status, 412);
    for (request, headers, reason) in [
        ("POST /demo/things/a", vec![("if-match", "\"7\"")], "PRECONDITION_UNSUPPORTED"),
        ("DELETE /demo/things/a", vec![("if-none-match", "*")], "PRECONDITION_UNSUPPORTED"),
        ("PUT /demo/things/a", vec![("if-none-match", "\"7\"")], "PRECONDITION_UNSUPPORTED"),
        ("PUT /demo/things/a", vec![("if-match", "*"), ("if-none-match", "*")], "PRECONDITION_UNSUPPORTED"),
        ("PUT /demo/things/a", vec![("if-match", "7")], "INVALID_PRECONDITION"),
    ] {
        let answer = door.ask(request, &headers, b"").await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!(reason)), "{request} {headers:?}");
    }
    assert!(door.nothing_seen());
    // A definition that has the header as a parameter does what it wants with it.
    assert_eq!(door.will(stored(3)).ask("PATCH /demo/things/a", &tag, b"").await.status, 200);
    let seen = door.seen();
    assert_eq!((&*seen.method, StoreRequest::decode(seen.messages[0].as_ref()).unwrap().value), ("Store", Bytes::from_static(b"\"7\"")));
}

#[tokio::test]
async fn event_streams_resume_after_the_last_event() {
    let door = door();
    let events = [("accept", "text/event-stream"), ("last-event-id", "c-a")];
    let answer = door.will(scanned(vec![entry("b")])).ask("GET /demo/things", &events, b"").await;
    assert!(answer.text().contains("id: c-b\ndata: {\"key\":\"b\"}\n\n"), "{}", answer.text());
    let cursor = |seen: &Seen| ScanRequest::decode(seen.messages[0].as_ref()).unwrap().cursor;
    assert_eq!(cursor(&door.seen()), "c-a");
    let over = door.will(scanned(vec![])).ask("GET /demo/things", &events, b"").await;
    assert_eq!((over.status, over.body.len()), (204, 0), "the client does not reconnect");
    // Only event streams resume.
    for (path, headers) in [("/demo/things", &events[1..]), ("/demo/all", &events[1..])] {
        let answer = door.will(scanned(vec![entry("b")])).ask(&format!("GET {path}"), headers, b"").await;
        assert_eq!((answer.status, cursor(&door.seen())), (200, String::new()), "{path}");
    }
    // A definition that has the header as a parameter resumes by itself.
    door.will(scanned(vec![entry("b")])).ask("GET /demo/since", &events, b"").await;
    let sent = ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap();
    assert_eq!((&*sent.start_key, &*sent.cursor), ("c-a", ""));
}

fn keys(seen: &Seen) -> Vec<(String, Bytes)> {
    let decoded = seen.messages.iter().map(|message| StoreRequest::decode(message.as_ref()).unwrap());
    decoded.map(|request| (request.key, request.value)).collect()
}

#[tokio::test]
async fn request_streams_are_read_item_by_item() {
    let door = door();
    let (list, lines) = (("content-type", "application/json"), ("content-type", "application/x-ndjson"));
    for (content_type, body) in [
        (list, "[{\"value\":\"AQ==\"}, {\"value\":\"Ag==\",\"flags\":9}]"),
        (lines, "{\"value\":\"AQ==\"}\n{\"value\":\"Ag==\"}\n"),
        (("content-type", "application/jsonl"), "{\"value\":\"AQ==\"}\n{\"value\":\"Ag==\"}"),
    ] {
        let answer = door.will(stored(1)).ask("POST /demo/many/k", &[content_type], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(keys(&door.seen()), [("k".to_owned(), Bytes::from_static(&[1])), ("k".to_owned(), Bytes::from_static(&[2]))]);
    }
    assert_eq!(door.will(stored(1)).ask("POST /demo/items", &[lines], b"{\"text\":\"a\"}\n{\"text\":\"b\"}").await.status, 200);
    assert_eq!(keys(&door.seen()).into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a0", "b1"]);

    // Together the items are larger than the limit of a message.
    let many = "{\"text\":\"aaaaaaaaaaaaaaaaaaaa\"}\n".repeat(LIMIT);
    assert_eq!(door.will(stored(1)).ask("POST /demo/items", &[lines], many.as_bytes()).await.status, 200);
    assert_eq!(door.seen().messages.len(), LIMIT);
    // A response that uses the body needs all of it.
    let answer = door.will(stored(1)).ask("POST /demo/counted", &[lines], b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n").await;
    assert_eq!((answer.json(), keys(&door.seen()).len()), (json!({"count": 2, "revision": 1}), 2));
    assert_eq!(door.ask("POST /demo/counted", &[lines], many.as_bytes()).await.status, 413);

    for (path, content_type, body, status, place) in [
        ("many/k", list, "[{\"value\":\"AQ==\"},\n {\"flags\":10}]", 400, "[1].flags"),
        ("many/k", list, "[{\"value\":\"not base64\"}]", 400, "[0].value"),
        ("many/k", lines, "{}\n{\"nope\":1}\n", 400, ""),
        ("many/k", list, "[{}, x]", 400, "line\":\"1\""),
        ("many/k", list, "[{}", 400, "does not end"),
        ("many/k", ("content-type", "text/plain"), "{}", 415, ""),
        ("many/k", ("x-none", ""), "", 400, "BODY_REQUIRED"),
        ("items", lines, "{\"text\":\"a\"}\n{\"text\":7}\n", 400, "text"),
    ] {
        let answer = door.ask(&format!("POST /demo/{path}"), &[content_type], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(place), "{body}: {}", answer.text());
    }
    let large = format!("{{\"text\":\"{}\"}}", "a".repeat(LIMIT));
    assert_eq!(door.ask("POST /demo/items", &[lines], large.as_bytes()).await.status, 413);
}
