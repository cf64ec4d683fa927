//! HTTP APIs from definitions, bound to namespaces.

use std::{fs, path::Path};

use serde_json::json;
use test_support::{
    gateway::{Gateway, Setup},
    http::{self, Answer},
};

const DOCUMENT: &str = r#"
openapi: 3.1.0
info: {title: Things, version: "1"}
paths:
  /{tenant}/things/{key}:
    parameters:
      - {name: tenant, in: path, required: true, schema: {type: string}}
      - {name: key, in: path, required: true, schema: {type: string}}
    get:
      operationId: readThing
      responses:
        "200": {description: It., content: {application/json: {}, application/vnd.things+json: {}}}
    put:
      operationId: writeThing
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [text], properties: {text: {type: string}, once: {type: boolean}}}}}}
      responses: {"200": {description: It is kept., content: {application/json: {}}}, "409": {description: It is there.}}
  /{tenant}/things:
    parameters: [{name: tenant, in: path, required: true, schema: {type: string}}]
    get:
      operationId: listThings
      parameters: [{name: stream, in: query, schema: {type: boolean}, allowEmptyValue: true}]
      responses: {"200": {description: All of them., content: {application/json: {}}}}
  /{tenant}/version:
    parameters: [{name: tenant, in: path, required: true, schema: {type: string}}]
    get:
      operationId: version
      responses: {"200": {description: The version., content: {application/json: {}}}}
"#;

const DEFINITION: &str = r#"
frontend: things
openapi: api.yaml
pattern: keyvalue
base_path: /
namespace: path.tenant
max_gathered: 5
settings:
  conflict: {default: 409, description: The status of a thing that is there already.}
errors:
  body: {error: error.message, code: error.code}
routes:
  readThing:
    rpc: Retrieve
    request: {key: path.key}
    response:
      headers: {ETag: "'\"' + string(reply.revision) + '\"'"}
      body: {text: string(reply.value), tenant: request.namespace}
  writeThing:
    - when: has(body.once) && body.once
      rpc: CompareAndStore
      request: {key: path.key, value: bytes(body.text)}
      response: {body: {revision: reply.revision}}
      errors: {REVISION_MISMATCH: {status: settings.conflict, message: "'it is there'"}}
    - rpc: Store
      request: {key: path.key, value: bytes(body.text)}
      response: {body: {revision: reply.revision}}
  listThings:
    - when: has(query.stream)
      rpc: Scan
      response: {body: {key: reply.key}}
    - rpc: Scan
      response: {body: {$each: replies, $item: item.key}}
  version:
    response: {body: {version: "'1'", of: request.path}}
"#;

const CONFIG: &str = "
listeners:
  main: {}
  inner: {address: '127.0.0.1:0'}
backends: {ram: {type: memory}}
frontends:
  things: {definition: FOLDER/things.yaml}
namespaces:
  - name: red
    pattern: keyvalue
    slots: {storage: ram}
    frontends: [rest, {frontend: things, listener: main}, {frontend: grpc, enabled: false}]
  - name: blue
    pattern: keyvalue
    slots: {storage: ram}
    frontends:
      - {frontend: things, listener: main}
      - {frontend: things, listener: inner, base_path: '/api/{namespace}', settings: {conflict: 412}}
";

fn written(folder: &Path, definition: &str) -> String {
    fs::write(folder.join("api.yaml"), DOCUMENT).unwrap();
    fs::write(folder.join("things.yaml"), definition).unwrap();
    CONFIG.replace("FOLDER", &folder.display().to_string())
}

async fn put(address: std::net::SocketAddr, path: &str, body: &str) -> Answer {
    http::send(address, "PUT", path, &[("content-type", "application/json")], body.to_owned()).await.unwrap()
}

async fn get(address: std::net::SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    http::send(address, "GET", path, headers, "").await.unwrap()
}

#[tokio::test]
async fn a_path_parameter_chooses_the_namespace_and_bindings_decide_settings() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&written(folder.path(), DEFINITION)).await;
    let (main, inner) = (gateway.address, gateway.listeners["inner"]);
    assert_eq!(put(main, "/red/things/a", r#"{"text":"red a"}"#).await.status, 200);
    assert_eq!(put(main, "/blue/things/a", r#"{"text":"blue a"}"#).await.status, 200);
    assert_eq!(get(main, "/red/things/a", &[]).await.json(), json!({"text": "red a", "tenant": "red"}));
    assert_eq!(get(main, "/blue/things/a", &[]).await.json(), json!({"text": "blue a", "tenant": "blue"}));
    assert_eq!(get(main, "/red/v1/values/a", &[]).await.text(), "red a", "the same data by the namespace's REST");
    let refused = get(main, "/green/things/a", &[]).await;
    assert_eq!((refused.status, refused.json()), (404, json!({"error": "there is no namespace green here", "code": 404})));

    let again = r#"{"text":"again","once":true}"#;
    let conflict = put(main, "/blue/things/a", again).await;
    assert_eq!((conflict.status, conflict.json()), (409, json!({"error": "it is there", "code": 409})));
    let conflict = put(inner, "/api/blue/blue/things/a", again).await;
    assert_eq!((conflict.status, conflict.json()), (412, json!({"error": "it is there", "code": 412})));
    assert_eq!(put(main, "/blue/things/b", again).await.status, 200);
    assert_eq!(get(main, "/blue/version", &[]).await.json(), json!({"version": "1", "of": "/blue/version"}));
}

#[tokio::test]
async fn streams_are_collected_or_sent_item_by_item() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&written(folder.path(), DEFINITION)).await;
    for key in ["a", "b", "c"] {
        put(gateway.address, &format!("/red/things/{key}"), r#"{"text":"x"}"#).await;
    }
    assert_eq!(get(gateway.address, "/red/things", &[]).await.json(), json!(["a", "b", "c"]));
    let lines = get(gateway.address, "/red/things?stream", &[]).await;
    assert_eq!(
        (lines.text(), lines.headers["content-type"].as_bytes()),
        ("{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n", "application/x-ndjson".as_bytes())
    );
    let events = get(gateway.address, "/red/things?stream", &[("accept", "text/event-stream")]).await;
    assert!(events.text().contains("data: {\"key\":\"b\"}\n\n"), "{}", events.text());
    let list = get(gateway.address, "/red/things?stream=true", &[("accept", "application/json")]).await;
    assert_eq!(list.json(), json!([{"key": "a"}, {"key": "b"}, {"key": "c"}]));
    for key in ["d", "e", "f"] {
        put(gateway.address, &format!("/red/things/{key}"), r#"{"text":"x"}"#).await;
    }
    let refused = get(gateway.address, "/red/things", &[]).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("more than 5 items"), "{}", refused.text());
}

#[tokio::test]
async fn mapped_routes_follow_http_semantics() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&written(folder.path(), DEFINITION)).await;
    let address = gateway.address;
    put(address, "/red/things/a", r#"{"text":"x"}"#).await;
    let read = get(address, "/red/things/a", &[("x-request-id", "it-is-me")]).await;
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(read.headers["x-request-id"], "it-is-me");
    let known = get(address, "/red/things/a", &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.text()), (304, ""));
    let head = http::send(address, "HEAD", "/red/things/a", &[], "").await.unwrap();
    assert_eq!((head.status, head.text(), &head.headers["content-length"]), (200, "", &read.headers["content-length"]));
    let vendor = get(address, "/red/things/a", &[("accept", "application/vnd.things+json")]).await;
    assert_eq!(vendor.headers["content-type"], "application/vnd.things+json");
    for (method, path, headers, body, wanted) in [
        ("GET", "/red/things/a", vec![("accept", "text/html")], "", 406),
        ("DELETE", "/red/things/a", vec![], "", 405),
        ("GET", "/blue/thing", vec![], "", 404),
        ("GET", "/red/things/none", vec![], "", 404),
        ("GET", "/red/things?limit=1", vec![], "", 400),
        ("PUT", "/red/things/a", vec![("content-type", "text/plain")], "x", 415),
        ("PUT", "/red/things/a", vec![("content-type", "application/json")], "{", 400),
        ("PUT", "/red/things/a", vec![("content-type", "application/json")], "{\"text\":1}", 400),
        ("PUT", "/red/things/a", vec![], "", 400),
    ] {
        let answer = http::send(address, method, path, &headers, body).await.unwrap();
        assert_eq!(answer.status, wanted, "{method} {path} {body}");
        assert_eq!(answer.json()["code"], wanted, "the API's own body: {}", answer.text());
        assert_eq!(answer.headers.contains_key("allow"), wanted == 405);
    }
    let huge = format!("{{\"text\":\"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(put(address, "/red/things/a", &huge).await.json()["code"], 413);
    let metrics = get(gateway.admin, "/metrics", &[]).await;
    assert!(metrics.text().contains("rpc=\"Retrieve\"") || metrics.text().contains("Retrieve"), "calls are counted by their RPC");
}

#[tokio::test]
async fn writes_follow_preconditions() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&written(folder.path(), DEFINITION)).await;
    let write = |header: (&'static str, String), body: &'static str| {
        let headers = [("content-type".to_owned(), "application/json".to_owned()), (header.0.to_owned(), header.1)];
        let address = gateway.address;
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            http::send(address, "PUT", "/red/things/a", &headers, body).await.unwrap()
        }
    };
    let any = || "*".to_owned();
    assert_eq!(write(("if-match", any()), r#"{"text":"0"}"#).await.status, 412, "there is nothing");
    assert_eq!(write(("if-none-match", any()), r#"{"text":"1"}"#).await.status, 200);
    let there = write(("if-none-match", any()), r#"{"text":"2"}"#).await;
    assert_eq!((there.status, there.json()["code"].clone()), (412, json!(412)), "in the API's own form: {}", there.text());
    let tag = get(gateway.address, "/red/things/a", &[]).await.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(write(("if-match", tag.clone()), r#"{"text":"3"}"#).await.status, 200);
    assert_eq!(write(("if-match", tag.clone()), r#"{"text":"4"}"#).await.status, 412);
    assert_eq!(get(gateway.address, "/red/things/a", &[]).await.json()["text"], "3");
    let refused = write(("if-match", tag), r#"{"text":"5","once":true}"#).await;
    assert_eq!(refused.status, 400, "the RPC of this case has no conditional form: {}", refused.text());
}

#[tokio::test]
async fn mapped_routes_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&written(folder.path(), DEFINITION)).await;
    let text = "long ".repeat(1000);
    let body = zstd::bulk::compress(json!({"text": text}).to_string().as_bytes(), 1).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    assert_eq!(http::send(gateway.address, "PUT", "/red/things/a", &headers, body).await.unwrap().status, 200);

    let accepted = ("accept-encoding", "gzip;q=0.5, zstd");
    let read = get(gateway.address, "/red/things/a", &[accepted]).await;
    assert_eq!((&read.headers["content-encoding"], &read.headers["vary"]), (&"zstd".parse().unwrap(), &"accept-encoding".parse().unwrap()));
    let plain = zstd::stream::decode_all(&read.body[..]).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&plain).unwrap()["text"], text);
    let tag = read.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.ends_with("--zstd\""), "{tag}");
    let known = get(gateway.address, "/red/things/a", &[accepted, ("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.headers["etag"].to_str().unwrap()), (304, &*tag));

    let refused = http::send(gateway.address, "PUT", "/red/things/a", &[headers[0], ("content-encoding", "snappy")], "x").await.unwrap();
    assert_eq!((refused.status, &refused.headers["accept-encoding"]), (415, &"gzip, br, zstd".parse().unwrap()));
    assert_eq!(refused.json()["code"], 415, "the API's own body: {}", refused.text());
}

#[tokio::test]
async fn invalid_definition_prevents_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = DEFINITION.replace("{key: path.key}", "{kee: path.key}").replace("rpc: Store\n", "rpc: Stoer\n");
    let config = written(folder.path(), &wrong);
    let output = Setup { config: &config, ..Setup::default() }.refused(folder.path());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let file = folder.path().join("things.yaml");
    for (place, problem) in [("15:15", "`kee`; did you mean `key`?"), ("25:12", "unknown RPC `Stoer`; did you mean `Store`?")] {
        assert!(text.contains(&format!("{}:{place}: ", file.display())) && text.contains(problem), "{text}");
    }
}
