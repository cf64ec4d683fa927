//! `Idempotency-Key`: a repeated write is executed once, even if it is sent to another gateway.

use std::time::Duration;

use prism::{
    call::Code,
    proto::patterns::keyvalue::v1::{RemoveRequest, RemoveResponse, StoreRequest, StoreResponse},
};
use serde_json::json;
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    servers::Redis,
};

use super::{backend::Backend, wire};

async fn put(gateway: &Gateway, path: &str, key: &str, body: &str) -> Answer {
    let headers = [("idempotency-key", key)];
    http::send(gateway.address, "PUT", path, if key.is_empty() { &[] } else { &headers }, body.to_owned()).await.unwrap()
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

fn reason(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned())
}

/// Two gateways over the same backend behave as one.
async fn across(backend: &str) {
    let config = format!("backends:\n  shared: {backend}\nnamespaces:\n  - {{name: a, pattern: keyvalue, slots: {{storage: shared}}}}\n");
    let gateways = [Gateway::start(&config).await, Gateway::start(&config).await];
    let (one, other) = (&gateways[0], &gateways[1]);

    let first = put(one, "/a/v1/values/x", "\"k1\"", "v").await;
    assert_eq!((first.status, replayed(&first)), (200, false), "{}", first.text());
    let again = put(other, "/a/v1/values/x", "k1", "v").await;
    assert_eq!((again.status, replayed(&again), again.json()), (200, true, first.json()));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    assert_eq!(reason(&put(other, "/a/v1/values/x", "k1", "w").await), (422, "IDEMPOTENCY_KEY_REUSED".to_owned()));
    // The stored replies are in a keyspace of their own, so the namespace has one key.
    assert_eq!(http::get(one.address, "/a/v1/count").await.unwrap().json(), json!({"count": "1"}));

    // An error that repeating can't change is replayed too.
    let refused = [("idempotency-key", "k2"), ("if-none-match", "*")];
    for (gateway, again) in [(one, false), (other, true)] {
        let answer = http::send(gateway.address, "PUT", "/a/v1/values/x", &refused, "z").await.unwrap();
        assert_eq!((reason(&answer), replayed(&answer)), ((412, "REVISION_MISMATCH".to_owned()), again));
    }

    // Of many concurrent calls with one key, one is executed. The others get its reply, or an error that says when to retry.
    let calls = (0..24).map(|index| put(&gateways[index % 2], "/a/v1/values/y", "k3", "v"));
    let answers = futures::future::join_all(calls).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(done.iter().filter(|answer| !replayed(answer)).count(), 1);
    assert!(done.iter().all(|answer| answer.json() == done[0].json()));
    for waiting in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(reason(waiting), (409, "IDEMPOTENCY_KEY_IN_FLIGHT".to_owned()));
        assert_eq!(waiting.headers["retry-after"], "1");
    }
    let late = put(one, "/a/v1/values/y", "k3", "v").await;
    assert_eq!((replayed(&late), late.json()), (true, done[0].json()));

    // The same over gRPC.
    let remove = wire::frame(&RemoveRequest { key: "x".to_owned() });
    let headers = [("x-prism-namespace", "a"), ("idempotency-key", "k4")];
    for (gateway, again) in [(one, false), (other, true)] {
        let reply = wire::grpc(gateway.address, &wire::path("Remove"), &headers, remove.clone()).await;
        assert!(reply.message::<RemoveResponse>().removed);
        assert_eq!(reply.headers.contains_key("idempotency-replayed"), again);
    }
    let other_rpc = wire::grpc(one.address, &wire::path("Store"), &headers, remove.clone()).await;
    assert_eq!((other_rpc.code(), other_rpc.error().reason()), (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED"));
    let web = wire::grpc_web(one.address, &wire::path("Remove"), &headers, remove).await;
    assert!(web.headers.contains_key("idempotency-replayed"), "{web:?}");
}

#[tokio::test]
async fn two_gateways_over_one_redis() {
    let redis = Redis::start().unwrap();
    across(&format!("{{type: redis, url: '{}'}}", redis.url())).await;
}

#[tokio::test]
async fn two_gateways_over_one_file() {
    let folder = tempfile::tempdir().unwrap();
    across(&format!("{{type: sqlite, path: '{}'}}", folder.path().join("shared.db").display())).await;
}

#[tokio::test]
async fn a_namespace_can_require_keys_and_keep_replies_shortly() {
    let gateway = Gateway::start(
        "
backends:
  ram: {type: memory}
namespaces:
  - name: strict
    pattern: keyvalue
    slots: {storage: ram}
    idempotency: {required: true, retention: 300ms}
",
    )
    .await;
    let missing = put(&gateway, "/strict/v1/values/a", "", "v").await;
    assert_eq!(reason(&missing), (400, "IDEMPOTENCY_KEY_REQUIRED".to_owned()));
    assert_eq!(missing.json()["errors"][0]["parameter"], "Idempotency-Key");
    let store = wire::frame(&StoreRequest { key: "a".to_owned(), ..StoreRequest::default() });
    for reply in [
        wire::grpc(gateway.address, &wire::path("Store"), &[], store.clone()).await,
        wire::grpc_web(gateway.address, &wire::path("Store"), &[], store.clone()).await,
    ] {
        assert_eq!((reply.code(), reply.error().reason()), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REQUIRED"));
    }
    assert_eq!(http::get(gateway.address, "/strict/v1/count").await.unwrap().status, 200);
    assert_eq!(reason(&put(&gateway, "/strict/v1/values/a", "two words", "v").await), (400, "INVALID_IDEMPOTENCY_KEY".to_owned()));

    let first = put(&gateway, "/strict/v1/values/a", "k", "v").await;
    assert_eq!(first.json(), json!({"revision": "1"}));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let later = put(&gateway, "/strict/v1/values/a", "k", "v").await;
    assert_eq!((replayed(&later), later.json()), (false, json!({"revision": "2"})));
    let reply = wire::grpc(gateway.address, &wire::path("Store"), &[("idempotency-key", "g")], store).await;
    assert_eq!(reply.message::<StoreResponse>().revision, 3);
}

#[tokio::test]
async fn remote_namespace_forwards_idempotency_keys() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&format!("namespaces:\n{}", backend.namespace("far", ""))).await;
    assert_eq!(put(&gateway, "/far/v1/values/a", "any thing, at all", "v").await.status, 200);
    assert_eq!(backend.last("Store")["idempotency-key"], "any thing, at all");
}
