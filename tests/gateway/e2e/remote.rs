//! A namespace that is served by another gateway.

use std::time::{Duration, Instant};

use ::http::HeaderMap;
use prism::{
    call::{Code, Error},
    proto::{google::rpc, patterns::keyvalue::v1::*},
};
use prost::Message as _;
use test_support::{gateway::Gateway, http};
use tonic::Status;

use super::{backend::Backend, wire};

const BEHIND: &str = "
backends:
  ram: {type: memory}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";

/// Starts a gateway that keeps the data, and a second one that forwards to it and has no backend.
async fn start_two_gateways() -> (Gateway, Gateway) {
    let behind = Gateway::start(BEHIND).await;
    let front = Gateway::start(&format!(
        "namespaces:\n  - {{name: front, pattern: keyvalue, remote: {{url: '{}', namespace: store}}}}\n",
        behind.url()
    ))
    .await;
    (behind, front)
}

fn store(key: &str, value: &'static str) -> StoreRequest {
    StoreRequest { key: key.to_owned(), value: value.into(), ttl: None, flags: 0 }
}

fn retrieve(key: &str) -> RetrieveRequest {
    RetrieveRequest { key: key.to_owned() }
}

/// Reads the error as a gRPC client does.
fn read(status: &Status) -> Error {
    Error::from_status(rpc::Status::decode(status.details()).unwrap())
}

#[tokio::test]
async fn every_protocol_reaches_the_remote_namespace() {
    let (behind, front) = start_two_gateways().await;
    let (client, origin) = (front.client("front"), behind.client("store"));

    let stored: StoreResponse = client.call("Store", store("a/1", "one")).await.unwrap().into_inner();
    let retrieved: RetrieveResponse = origin.call("Retrieve", retrieve("a/1")).await.unwrap().into_inner();
    assert_eq!((&retrieved.value[..], retrieved.revision), (&b"one"[..], stored.revision));

    let put = http::send(front.address, "PUT", "/front/v1/values/a/2", &[], "two").await.unwrap();
    assert_eq!(put.status, 200, "{}", put.text());
    let got = http::get(front.address, "/front/v1/values/a/2").await.unwrap();
    assert_eq!((got.status, got.text()), (200, "two"));

    let scan = ScanRequest { prefix: "a/".to_owned(), ..ScanRequest::default() };
    let mut answers = client.stream::<ScanResponse>("Scan", scan).await.unwrap();
    let mut keys = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        keys.push(answer.key);
    }
    assert_eq!(keys, ["a/1", "a/2"]);

    // The remote gateway returns its own name for the namespace.
    let response: GetCapabilitiesResponse = client.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap().into_inner();
    assert_eq!(response.capabilities.unwrap().namespace, "store");
}

#[tokio::test]
async fn errors_of_the_remote_are_forwarded_unchanged() {
    let (behind, front) = start_two_gateways().await;
    let (client, origin) = (front.client("front"), behind.client("store"));
    let compare = |expected_revision| CompareAndStoreRequest { key: "a".to_owned(), expected_revision, ..Default::default() };
    client.call::<CompareAndStoreResponse>("CompareAndStore", compare(0)).await.unwrap();

    let through_front = client.call::<CompareAndStoreResponse>("CompareAndStore", compare(0)).await.unwrap_err();
    let directly = origin.call::<CompareAndStoreResponse>("CompareAndStore", compare(0)).await.unwrap_err();
    assert_eq!(
        (through_front.code(), through_front.message(), through_front.details()),
        (directly.code(), directly.message(), directly.details())
    );
    let error = read(&through_front);
    assert_eq!((error.code(), error.reason()), (Code::Aborted, "REVISION_MISMATCH"));
    assert!(error.get("current_revision").is_some_and(|revision| revision != "0"));

    let error = read(&client.call::<StoreResponse>("Store", store("", "")).await.unwrap_err());
    assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("INVALID_KEY", "key"));
    let problem = http::get(front.address, "/front/v1/values/absent").await.unwrap();
    assert_eq!((problem.status, &problem.json()["reason"]), (404, &"KEY_NOT_FOUND".into()));
}

#[tokio::test]
async fn remote_may_go_away_and_come_back() {
    let (behind, front) = start_two_gateways().await;
    let client = front.client("front");
    client.call::<StoreResponse>("Store", store("a", "1")).await.unwrap();

    let mut behind = behind;
    behind.kill();
    let began = Instant::now();
    let error = read(&client.call::<StoreResponse>("Store", store("a", "2")).await.unwrap_err());
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "REMOTE_UNAVAILABLE"), "{error:?}");
    assert!(error.retry_after().is_some());
    assert!(began.elapsed() < Duration::from_secs(5));
    let problem = http::get(front.address, "/front/v1/values/a").await.unwrap();
    assert_eq!(problem.status, 503);
    assert!(problem.headers.contains_key("retry-after"));

    let _behind = behind.restart().await;
    client.call::<StoreResponse>("Store", store("a", "3")).await.unwrap();
    let retrieved: RetrieveResponse = client.call("Retrieve", retrieve("a")).await.unwrap().into_inner();
    assert_eq!(retrieved.value, "3");
}

#[tokio::test]
async fn credentials_are_forwarded_only_if_the_configuration_says_so() {
    let backend = Backend::start().await;
    let trusting = backend.namespace("trusting", "").replace("namespace: there", "namespace: there, forward_credentials: true");
    let gateway = Gateway::start(&format!("namespaces:\n{trusting}{}", backend.namespace("plain", ""))).await;
    let credentials = [("authorization", "Bearer mine"), ("x-other", "kept")];
    for (namespace, forwarded) in [("trusting", Some("Bearer mine")), ("plain", None)] {
        let value = |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let answer = http::send(gateway.address, "PUT", &format!("/{namespace}/v1/values/a"), &credentials, "x").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rest = backend.last("Store");
        let body = wire::frame(&CountRequest::default());
        let headers = [&credentials[..], &[("x-prism-namespace", namespace)]].concat();
        let reply = wire::grpc(gateway.address, &wire::path("Count"), &headers, body).await;
        assert_eq!(reply.code(), Code::Ok, "{reply:?}");
        for headers in [rest, backend.last("Count")] {
            assert_eq!(value(&headers, "authorization").as_deref(), forwarded, "{namespace} {headers:?}");
            assert_eq!(value(&headers, "x-other").as_deref(), Some("kept"), "{namespace}");
        }
    }
}
