//! Paths, methods and content types of all operations.

use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::{CONFIG, answers, ask, avro, error};

const NONE: Value = Value::Null;
const TYPE: &str = "application/vnd.schemaregistry.v1+json";

fn header<'a>(answer: &'a http::Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn registry_metadata_routes() {
    let gateway = Gateway::start(CONFIG).await;
    let scope = json!({"path": [], "clusters": {"kafka-cluster": "registry", "schema-registry-cluster": "schema-registry"}});
    answers(
        &gateway,
        "/sr",
        &[
            ("GET /", NONE, 200, json!({})),
            ("GET /v1/metadata/id", NONE, 200, json!({"id": "", "scope": scope})),
            ("GET /v1/metadata/version", NONE, 200, json!({"version": "8.1.0", "commitId": ""})),
            ("GET /v1/metadata/deployment", NONE, 200, json!({"attributes": ["opensource"]})),
            ("GET /schemas/types", NONE, 200, json!(["JSON", "PROTOBUF", "AVRO"])),
            ("GET /subjects", NONE, 200, json!([])),
            ("GET /mode", NONE, 200, json!({"mode": "READWRITE"})),
        ],
    )
    .await;
    assert_eq!(ask(&gateway, "GET /sr", &NONE).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods() {
    let gateway = Gateway::start(CONFIG).await;
    let unknown = || error(404, "HTTP 404 Not Found");
    let refused = || error(405, "HTTP 405 Method Not Allowed");
    answers(
        &gateway,
        "/sr",
        &[
            ("GET /subjects/", NONE, 200, json!([])),
            ("GET /contexts/.x/subjects/", NONE, 200, json!([])),
            ("GET /nowhere", NONE, 404, unknown()),
            ("GET /subjects/a/nowhere", NONE, 404, unknown()),
            ("POST /contexts/.x/nowhere", json!({}), 404, unknown()),
            ("GET /contexts/.x", NONE, 405, refused()),
            ("PUT /subjects", json!({}), 405, refused()),
            ("DELETE /schemas/ids/1", NONE, 405, refused()),
            ("GET /compatibility/subjects/a/versions", NONE, 405, refused()),
        ],
    )
    .await;
    for (line, allow) in [
        ("PUT /sr/subjects", "GET, HEAD, OPTIONS"),
        ("PATCH /sr/config/a", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("GET /sr/subjects/a", "DELETE, OPTIONS, POST"),
        ("PATCH /sr/contexts/.x/subjects/a/versions", "GET, HEAD, OPTIONS, POST"),
    ] {
        let answer = ask(&gateway, line, &NONE).await;
        assert_eq!((answer.status, header(&answer, "allow"), header(&answer, "content-type")), (405, allow, TYPE), "{line}");
    }
    let answer = ask(&gateway, "OPTIONS /sr/config", &NONE).await;
    assert_eq!((answer.status, header(&answer, "allow")), (204, "DELETE, GET, HEAD, OPTIONS, PUT"));
    // A path outside of the base path has no routes of the registry.
    assert_eq!(ask(&gateway, "GET /subjects", &NONE).await.status, 404);
}

#[tokio::test]
async fn heads_and_types() {
    let gateway = Gateway::start(CONFIG).await;
    assert_eq!(ask(&gateway, "POST /sr/subjects/a/versions", &avro(json!("string"))).await.status, 200);
    for (path, kind) in [
        ("/sr/subjects", TYPE),
        ("/sr/contexts/./subjects/a/versions/1", TYPE),
        ("/sr/schemas/ids/1", TYPE),
        ("/sr/schemas/ids/1/schema", "text/plain"),
        ("/sr/subjects/a/versions/latest/schema", "text/plain"),
    ] {
        let get = http::send(gateway.address, "GET", path, &[("accept", "text/html")], "").await.unwrap();
        let head = http::send(gateway.address, "HEAD", path, &[], "").await.unwrap();
        assert_eq!((get.status, header(&get, "content-type")), (200, kind), "{path}");
        assert_eq!((head.status, header(&head, "content-type"), head.body.len()), (200, kind, 0), "{path}");
        assert_eq!(header(&head, "content-length"), get.body.len().to_string(), "{path}");
    }
    let head = http::send(gateway.address, "HEAD", "/sr/schemas/ids/2", &[], "").await.unwrap();
    assert_eq!((head.status, head.body.len()), (404, 0));
}

/// Clients send unknown parameters, unknown members and several content types.
#[tokio::test]
async fn unknown_fields_and_content_types_are_ignored() {
    let gateway = Gateway::start(CONFIG).await;
    let body = json!({"schema": "\"string\"", "unknown": {"a": [1]}}).to_string();
    for kind in ["application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/octet-stream", ""] {
        let path = "/sr/subjects/a/versions?unknown=1&deleted";
        let answer = http::send(gateway.address, "POST", path, &[("content-type", kind)], body.clone()).await.unwrap();
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(1)), "{kind:?}");
    }
}
