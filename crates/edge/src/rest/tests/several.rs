//! Routes of a definition that make several calls: steps before the RPC, further attempts, and forwarded requests.

use std::sync::LazyLock;

use super::*;
use prism_frontend::{
    definition::{DocumentFolders, Texts, compile},
    mapping::Api,
};

const DOCUMENT: &str = "
openapi: 3.1.0
info: {title: Counters, version: '1'}
paths:
  /run:
    post:
      operationId: run
      requestBody: {required: true, content: {application/json: {schema: {type: array, minItems: 1, items: {type: string}}}}}
      responses: {'200': {description: The result., content: {application/json: {}}}}
  /batch:
    post:
      operationId: batch
      requestBody: {required: true, content: {application/json: {schema: {type: array, items: {}}}}}
      responses: {'200': {description: The results., content: {application/json: {}}}}
  /path/{words}:
    get:
      operationId: inPath
      parameters: [{name: words, in: path, required: true, schema: {type: array, items: {type: string}}}]
      responses: {'200': {description: The result., content: {application/json: {}}}}
";

const DEFINITION: &str = "
frontend: counters
openapi: counters.yaml
pattern: keyvalue
errors: {content_type: application/json, body: {error: error.reason}}
paths: {'/path/{words}': '/path/{words=**}'}
routes:
  run:
    let: {words: 'body.map(word, word)'}
    switch: words[0]
    cases:
      add:
        let: {total: 'int(string(current.value)) + int(words[2])'}
        first:
          current: {rpc: Retrieve, request: {key: 'words[1]'}}
          check: {when: current.revision == 99u, error: {code: FAILED_PRECONDITION, reason: FROZEN}}
          skipped: {when: size(words) > 3, rpc: Exists, request: {key: 'words[3]'}}
        rpc: Store
        request: {key: 'words[1]', value: bytes(string(total))}
        again: reply.revision == 0u
        response: {body: {total: total, skipped: skipped.exists}}
      count:
        first:
          found: {each: 'words.slice(1, size(words))', when: item != 'x', rpc: Exists, request: {key: item}}
        rpc: Exists
        request: {key: \"'last'\"}
        response: {body: 'found.map(one, one.exists)'}
      get: {rpc: Retrieve, request: {key: 'words[1]'}, response: {body: {value: string(reply.value)}}}
    else:
      error: {code: UNIMPLEMENTED, reason: UNKNOWN_WORD}
  batch:
    forward: {to: run, each: body, body: item}
  inPath:
    forward: {to: run, body: path.words}
";

fn door() -> Door {
    static API: LazyLock<Arc<Api>> = LazyLock::new(|| {
        let texts = Texts {
            name: "definition".to_owned(),
            text: DEFINITION.to_owned(),
            document_name: "document".to_owned(),
            document: Ok(DOCUMENT.to_owned()),
            folders: DocumentFolders::default(),
        };
        match compile(&texts, &|_: &str| Some(methods()), &["keyvalue"], &std::collections::BTreeMap::new()) {
            Ok(definition) => definition.api,
            Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    });
    let handler = Arc::new(Scripted::default());
    Door { handler: handler.clone(), ..Door::serving(handler, HttpRoutes::Mapped(API.clone())) }
}

fn calls(door: &Door) -> Vec<String> {
    door.handler.seen.lock().unwrap().drain(..).map(|seen| seen.method).collect()
}

#[tokio::test]
async fn the_reply_of_a_step_is_used_by_the_call() {
    let door = door();
    let answer = door.will(retrieved(b"40", 7)).will(stored(8)).ask("POST /demo/run", &[], br#"["add", "a", "2"]"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"total": 42, "skipped": false})));
    let seen = door.seen();
    let sent = StoreRequest::decode(seen.messages[0].as_ref()).unwrap();
    assert_eq!((&*seen.method, &*sent.key, &sent.value[..]), ("Store", "a", &b"42"[..]));
    assert_eq!(calls(&door), ["Retrieve"]);
}

#[tokio::test]
async fn a_step_that_fails_or_refuses_ends_the_request() {
    let door = door();
    let missing = Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "there is no key"));
    let answer = door.will(missing).ask("POST /demo/run", &[], br#"["add", "a", "2"]"#).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "KEY_NOT_FOUND"})));
    let answer = door.will(retrieved(b"40", 99)).ask("POST /demo/run", &[], br#"["add", "a", "2"]"#).await;
    assert_eq!(answer.json(), json!({"error": "FROZEN"}));
    assert_eq!(calls(&door), ["Retrieve", "Retrieve"]);
}

#[tokio::test]
async fn steps_and_call_run_again_a_limited_number_of_times() {
    let door = door();
    door.will(retrieved(b"1", 7)).will(stored(0)).will(retrieved(b"5", 8)).will(stored(9));
    let answer = door.ask("POST /demo/run", &[], br#"["add", "a", "2"]"#).await;
    assert_eq!(answer.json()["total"], 7);
    assert_eq!(calls(&door), ["Retrieve", "Store", "Retrieve", "Store"]);
    for _ in 0..32 {
        door.will(retrieved(b"1", 7)).will(stored(0));
    }
    let answer = door.ask("POST /demo/run", &[], br#"["add", "a", "2"]"#).await;
    assert_eq!(answer.json(), json!({"error": "TOO_MUCH_CONTENTION"}));
    assert_eq!(calls(&door).len(), 64);
}

#[tokio::test]
async fn several_calls_can_not_be_executed_once() {
    let door = door();
    let answer = door.ask("POST /demo/run", &[("idempotency-key", "k")], br#"["add", "a", "2"]"#).await;
    assert_eq!((answer.status, answer.json()), (400, json!({"error": "IDEMPOTENCY_KEY_UNSUPPORTED"})));
    let answer = door.ask("POST /demo/run", &[("if-match", "\"7\"")], br#"["add", "a", "2"]"#).await;
    assert_eq!((answer.status, answer.json()), (400, json!({"error": "PRECONDITION_UNSUPPORTED"})));
    let answer = door.ask("POST /demo/batch", &[("if-match", "\"7\"")], br#"[["get", "a"]]"#).await;
    assert_eq!((answer.status, answer.json()), (400, json!({"error": "PRECONDITION_UNSUPPORTED"})));
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn a_step_is_repeated_for_each_item() {
    let door = door();
    let answer = door.ask("POST /demo/run", &[], br#"["count", "a", "x", "b"]"#).await;
    assert_eq!(answer.json(), json!([true, false, true]), "the item x is skipped");
    assert_eq!(calls(&door), ["Exists", "Exists", "Exists"]);
}

#[tokio::test]
async fn forwarded_requests_are_served_one_by_one() {
    let door = door();
    door.will(retrieved(b"one", 1)).will(Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "none"))).will(retrieved(b"three", 1));
    let body = br#"[["get", "a"], ["get", "b"], ["what"], [], ["get", "c"]]"#;
    let answer = door.ask("POST /demo/batch", &[("idempotency-key", "\"k\"")], body).await;
    let wanted =
        json!([{"value": "one"}, {"error": "KEY_NOT_FOUND"}, {"error": "UNKNOWN_WORD"}, {"error": "INVALID_FIELD"}, {"value": "three"}]);
    assert_eq!((answer.status, answer.header("content-type"), answer.json()), (200, "application/json", wanted));
    let keys: Vec<String> = {
        let seen = door.handler.seen.lock().unwrap();
        seen.iter().map(|seen| seen.metadata["idempotency-key"].to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys, ["\"k:0\"", "\"k:1\"", "\"k:4\""]);
    assert_eq!(door.ask("POST /demo/batch", &[], b"[]").await.json(), json!([]));
    let too_many = serde_json::to_vec(&vec![0; 1001]).unwrap();
    assert_eq!(door.ask("POST /demo/batch", &[], &too_many).await.json(), json!({"error": "TOO_MANY_ITEMS"}));
}

#[tokio::test]
async fn a_forwarded_request_can_have_the_segments_of_its_path() {
    let door = door();
    let answer = door.will(retrieved(b"v", 1)).ask("GET /demo/path/get/a%2Fb%20c", &[], b"").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"value": "v"})));
    let seen = door.seen();
    assert_eq!(prism_call::proto::patterns::keyvalue::v1::RetrieveRequest::decode(seen.messages[0].as_ref()).unwrap().key, "a/b c");
    assert_eq!(door.ask("GET /demo/path/", &[], b"").await.json(), json!({"error": "INVALID_FIELD"}));
}
