//! How long a stream may stay open.

use std::{fs, path::Path, process::Command};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use test_support::{gateway::Gateway, http};

use super::caller::create_key;

fn config(file: &Path) -> String {
    format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys]}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: events, pattern: interfaces, slots: {{backend: ram}}}}
",
        file.display()
    )
}

async fn append(gateway: &Gateway, key: &str) -> u16 {
    let (body, headers) =
        ("{\"stream\": \"orders\", \"payload\": \"Zmlyc3Q=\"}", [("x-api-key", key), ("content-type", "application/json")]);
    http::send(gateway.address, "POST", "/events/v1/stream_basic/Append", &headers, body).await.unwrap().status
}

/// Follows a stream, and returns after its first event.
async fn follow(gateway: &Gateway, key: &str) -> Incoming {
    follow_path(gateway, key, "/events/v1/stream_basic/Read?stream=orders&follow=true").await
}

/// Follows the stream at a path, and returns after its first event.
pub async fn follow_path(gateway: &Gateway, key: &str, path: &str) -> Incoming {
    let headers = [("x-api-key", key), ("accept", "text/event-stream")];
    let mut events = http::open_with(gateway.address, path, &headers).await.into_body();
    events.frame().await.expect("an event").unwrap();
    events
}

/// Reads a stream to its end.
pub async fn rest(events: Incoming) -> String {
    String::from_utf8(events.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let revoked = create_key(&file, &["--subject", "ada", "--id", "revoked"]);
    let kept = create_key(&file, &["--subject", "ada", "--id", "kept"]);
    let gateway = Gateway::start(&config(&file)).await;
    assert_eq!(append(&gateway, &kept).await, 200);
    let (ended, mut open) = (follow(&gateway, &revoked).await, follow(&gateway, &kept).await);
    let arguments = ["auth", "key", "revoke", "revoked", "--file", file.to_str().unwrap()];
    assert!(Command::new(env!("CARGO_BIN_EXE_prism")).args(arguments).status().unwrap().success());
    let text = rest(ended).await;
    assert!(text.contains("ACCESS_ENDED"), "{text}");
    assert_eq!(append(&gateway, &kept).await, 200);
    let event = open.frame().await.expect("the stream goes on").unwrap();
    assert!(!String::from_utf8_lossy(event.data_ref().unwrap()).contains("ACCESS_ENDED"));
}

#[tokio::test]
async fn an_anonymous_stream_ends_when_authentication_becomes_required() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada"]);
    let closed = config(&file);
    let gateway = Gateway::start(&closed.replace("authentication: [keys]", "authentication: [anonymous]")).await;
    assert_eq!(append(&gateway, "").await, 200);
    let events = follow(&gateway, "").await;
    fs::write(gateway.folder().join("prism.yaml"), closed).unwrap();
    let text = rest(events).await;
    assert!(text.contains("NAMESPACE_CHANGED"), "{text}");
    assert_eq!(append(&gateway, "").await, 401);
    assert_eq!(append(&gateway, &key).await, 200);
}

#[tokio::test]
async fn a_stream_ends_when_its_key_expires() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let kept = create_key(&file, &["--subject", "ada"]);
    let short = create_key(&file, &["--subject", "ada", "--expires", "5s"]);
    let gateway = Gateway::start(&config(&file)).await;
    assert_eq!(append(&gateway, &kept).await, 200);
    let text = rest(follow(&gateway, &short).await).await;
    assert!(text.contains("CREDENTIALS_EXPIRED"), "{text}");
    assert_eq!(append(&gateway, &short).await, 401);
}
