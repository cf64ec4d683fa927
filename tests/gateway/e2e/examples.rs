//! The files in `examples/`: each is valid, and does what its first lines say.

use std::{fs, path::Path, process::Command};
use test_support::{
    gateway::{Gateway, Setup},
    http,
    servers::{Kafka, Nats, Postgres, Redis},
};

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

#[test]
fn all_generated_schemas_are_valid() {
    let mut names: Vec<_> = fs::read_dir(example(""))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_prism")).args(["validate", &example(&name)]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(output.stderr.is_empty(), "{name} has warnings: {output:?}");
    }
}

#[tokio::test]
async fn redis_serves_sessions() {
    let redis = Redis::start().unwrap();
    let setup =
        Setup { args: &["--config", &example("redis.yaml")], env: &[("PRISM_BACKENDS_REDIS_MAIN_URL", &redis.url())], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let stored = http::send(gateway.address, "PUT", "/sessions/v1/values/ada", &[], "logged in").await.unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());
    let response = http::get(gateway.address, "/sessions/v1/values/ada").await.unwrap();
    assert_eq!((response.status, response.text()), (200, "logged in"));
    // Another gateway has the same data, because Redis stores it.
    let other = setup.launch();
    other.ready().await;
    assert_eq!(http::get(other.address, "/sessions/v1/values/ada").await.unwrap().text(), "logged in");
}

#[tokio::test]
async fn objects_are_stored_in_a_folder() {
    let setup = Setup { args: &["--config", &example("objects.yaml")], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let headers = [("content-type", "image/jpeg")];
    let stored = http::send(gateway.address, "PUT", "/photos/v1/objects/2026/photo.jpg", &headers, "a photo").await.unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());
    let read = http::get(gateway.address, "/photos/v1/objects/2026/photo.jpg").await.unwrap();
    assert_eq!((read.text(), read.headers["content-type"].to_str().unwrap()), ("a photo", "image/jpeg"));
    let listed = http::get(gateway.address, "/photos/v1/objects?prefix=2026/").await.unwrap();
    assert_eq!(listed.json()["objects"][0]["key"], "2026/photo.jpg");
}

#[tokio::test]
async fn jobs_are_done_once() {
    let setup = Setup { args: &["--config", &example("jobs.yaml")], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    for duplicate in [false, true] {
        let put = http::send(gateway.address, "PUT", "/jobs/v1/queues/thumbnails/jobs/photo-7", &[], "photo 7").await.unwrap();
        assert_eq!(put.json()["duplicate"], duplicate, "{}", put.text());
    }
    let headers = [("content-type", "application/json")];
    let taken = http::send(gateway.address, "POST", "/jobs/v1/queues/thumbnails:take", &headers, "{\"wait\": \"10s\"}").await.unwrap();
    assert_eq!(taken.json()["jobs"][0]["id"], "photo-7");
    let counts = http::get(gateway.address, "/jobs/v1/queues/thumbnails").await.unwrap().json();
    assert_eq!((counts["ready"].clone(), counts["leased"].clone()), ("0".into(), "1".into()));
}

#[tokio::test]
async fn a_group_receives_what_another_namespace_publishes() {
    let setup = Setup { args: &["--config", &example("messages.yaml")], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let published = http::send(gateway.address, "POST", "/orders/v1/topics/orders.eu:publish?key=customer-7", &[], "paid").await.unwrap();
    assert_eq!(published.status, 200, "{}", published.text());
    let path = "/billing/v1/topics/orders.eu/groups/invoices:receive";
    let received = http::send(gateway.address, "POST", path, &[("content-type", "application/json")], "{\"wait\": \"10s\"}").await.unwrap();
    assert_eq!(received.json()["messages"][0]["key"], "customer-7", "{}", received.text());
}

#[tokio::test]
async fn a_message_to_a_fleet_waits_for_its_devices() {
    let setup = Setup { args: &["--config", &example("multicast.yaml")], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let device = r#"{"metadata": {"region": "eu", "version": 3}, "ttl": "60s"}"#;
    let registered = http::send(gateway.address, "PUT", "/fleet/v1/identities/device-7", &headers, device).await.unwrap();
    assert_eq!(registered.status, 200, "{}", registered.text());
    let message = r#"{"filter": "metadata.region == \"eu\"", "payload": "cmVib290"}"#;
    let sent = http::send(gateway.address, "POST", "/fleet/v1/multicast", &headers, message).await.unwrap();
    assert_eq!(sent.json()[0]["result"]["status"], "STATUS_STORED", "{}", sent.text());
}

#[tokio::test]
async fn an_account_is_rebuilt_from_its_events() {
    let setup = Setup { args: &["--config", &example("events.yaml")], ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let events = "/accounts/v1/aggregates/account-7/events";
    let opened = r#"{"expectedVersion": "0", "events": [{"type": "opened"}]}"#;
    let appended = http::send(gateway.address, "POST", events, &headers, opened).await.unwrap();
    assert_eq!(appended.json()["version"], "1", "{}", appended.text());
    let again = http::send(gateway.address, "POST", events, &headers, opened).await.unwrap();
    assert_eq!((again.status, &again.json()["reason"]), (409, &"VERSION_MISMATCH".into()));
    let loaded = http::send(gateway.address, "GET", events, &headers, "").await.unwrap();
    assert_eq!(loaded.json()[0]["event"]["type"], "opened", "{}", loaded.text());
    let all = http::send(gateway.address, "GET", "/accounts/v1/events", &headers, "").await.unwrap();
    assert_eq!(all.json()[0]["event"]["aggregate"], "account-7", "{}", all.text());
}

#[tokio::test]
async fn postgres_stores_orders() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.url();
    let env = [("PRISM_BACKENDS_ORDERS_DB_URL", &*url)];
    let setup = Setup { args: &["--config", &example("postgres.yaml")], env: &env, ..Setup::default() };
    let gateway = setup.launch();
    gateway.ready().await;
    let stored = http::send(gateway.address, "PUT", "/orders/v1/values/4711", &[], "two books").await.unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());
    let other = setup.launch();
    other.ready().await;
    assert_eq!(http::get(other.address, "/orders/v1/values/4711").await.unwrap().text(), "two books");
}

#[tokio::test]
async fn nats_and_redis_share_the_work() {
    let (nats, redis) = (Nats::start().unwrap(), Redis::start().unwrap());
    let env = [
        ("PRISM_BACKENDS_CACHE_URL", &*redis.url()),
        ("PRISM_BACKENDS_MESSAGES_URL", &*nats.url()),
        ("PRISM_LISTENERS_REGISTRY_ADDRESS", "127.0.0.1:0"),
    ];
    let setup = Setup { args: &["--config", &example("nats-redis/prism.yaml")], env: &env, ..Setup::default() };
    let (one, other) = (setup.launch(), setup.launch());
    one.ready().await;
    other.ready().await;
    for namespace in ["sessions", "settings"] {
        let path = format!("/{namespace}/v1/values/key");
        let stored = http::send(one.address, "PUT", &path, &[], "value").await.unwrap();
        assert_eq!(stored.status, 200, "{}", stored.text());
        assert_eq!(http::get(other.address, &path).await.unwrap().text(), "value");
    }
    // Both gateways register schemas at the same time, and agree on their versions.
    let path = "/subjects/a/versions";
    for (index, gateway) in [&one, &other, &one].into_iter().enumerate() {
        let schema = format!(r#"{{"schema": "{{\"type\": \"fixed\", \"name\": \"a\", \"size\": {}}}"}}"#, index + 1);
        let compatibility = http::send(gateway.listeners["registry"], "PUT", "/config", &[], r#"{"compatibility": "NONE"}"#).await.unwrap();
        assert_eq!(compatibility.status, 200, "{}", compatibility.text());
        let registered = http::send(gateway.listeners["registry"], "POST", path, &[], schema).await.unwrap();
        assert_eq!((registered.status, &registered.json()["id"]), (200, &(index + 1).into()), "{}", registered.text());
    }
    assert_eq!(http::get(other.listeners["registry"], path).await.unwrap().json(), serde_json::json!([1, 2, 3]));
}

#[tokio::test]
async fn kafka_carries_events() {
    let (kafka, redis) = (Kafka::start().unwrap(), Redis::start().unwrap());
    let env = [("PRISM_BACKENDS_EVENTS_URL", &*kafka.url()), ("PRISM_BACKENDS_STATE_URL", &*redis.url())];
    let setup = Setup { args: &["--config", &example("kafka.yaml")], env: &env, ..Setup::default() };
    let (one, other) = (setup.launch(), setup.launch());
    one.ready().await;
    other.ready().await;
    let published = http::send(one.address, "POST", "/orders/v1/topics/orders.eu:publish?key=customer-7", &[], "paid").await.unwrap();
    assert_eq!(published.status, 200, "{}", published.text());
    // The other gateway has the message.
    let headers = [("content-type", "application/json")];
    let path = "/billing/v1/topics/orders.eu/groups/invoices:receive";
    let received = http::send(other.address, "POST", path, &headers, r#"{"wait": "10s"}"#).await.unwrap();
    assert_eq!(received.status, 200, "{}", received.text());
    assert_eq!(received.json()["messages"][0]["key"], "customer-7", "{}", received.text());
}

#[tokio::test]
async fn gateways_share_a_schema_registry_in_redis() {
    let redis = Redis::start().unwrap();
    let env = [("PRISM_BACKENDS_REDIS_MAIN_URL", &*redis.url()), ("PRISM_LISTENERS_REGISTRY_ADDRESS", "127.0.0.1:0")];
    let setup = Setup { args: &["--config", &example("schema-registry.yaml")], env: &env, ..Setup::default() };
    let (one, mut other) = (setup.launch(), setup.launch());
    one.ready().await;
    other.ready().await;
    let path = "/subjects/a/versions";
    let registered = http::send(one.listeners["registry"], "POST", path, &[], r#"{"schema": "\"string\""}"#).await.unwrap();
    assert_eq!((registered.status, &registered.json()["id"]), (200, &1.into()), "{}", registered.text());
    assert_eq!(http::get(other.listeners["registry"], path).await.unwrap().json(), serde_json::json!([1]));
    assert!(other.terminate().await.success());
    assert!(!other.log().contains("did not end in time"), "{}", other.log());
}

#[tokio::test]
async fn notes_yaml_serves_its_own_api() {
    let gateway = Setup { args: &["--config", &example("notes.yaml")], ..Setup::default() }.launch();
    gateway.ready().await;
    let text = [("content-type", "text/plain")];
    let written = http::send(gateway.address, "PUT", "/notes/today?days=2", &text, "buy milk").await.unwrap();
    assert_eq!((written.status, written.text()), (201, ""));
    let read = http::get(gateway.address, "/notes/today").await.unwrap();
    assert_eq!(read.json(), serde_json::json!({"id": "today", "text": "buy milk", "revision": 1}));
    assert_eq!(http::get(gateway.address, "/pad/v1/values/today").await.unwrap().text(), "buy milk", "the same data by REST");
}

#[tokio::test]
async fn two_gateways_yaml_chains_two_gateways() {
    let behind = Gateway::start("").await;
    let env = [("PRISM_NAMESPACES_FAR_REMOTE_URL", behind.url())];
    let env = [(env[0].0, env[0].1.as_str())];
    let front = Setup { args: &["--config", &example("two-gateways.yaml")], env: &env, ..Setup::default() }.launch();
    front.ready().await;
    http::send(behind.address, "PUT", "/default/v1/values/a", &[], "1").await.unwrap();
    let keys = http::get(front.address, "/far/v1/keys").await.unwrap();
    assert_eq!(keys.status, 200);
    assert!(keys.text().contains("\"a\""), "{}", keys.text());
}

#[tokio::test]
async fn hosts_yaml_serves_each_host() {
    let setup = Setup {
        args: &["--config", &example("hosts.yaml")],
        env: &[("PRISM_LISTENERS_INTERNAL_ADDRESS", "127.0.0.1:0")],
        ..Setup::default()
    };
    let gateway = setup.launch();
    gateway.ready().await;
    let host = [("host", "accounts.example.com")];
    let stored = http::send(gateway.address, "PUT", "/v1/values/a", &host, "1").await.unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(http::send(gateway.address, "GET", "/v1/values/a", &host, "").await.unwrap().text(), "1");
    assert_eq!(http::get(gateway.address, "/v1/values/a").await.unwrap().status, 404);
    assert_eq!(http::get(gateway.address, "/cache/v1/count").await.unwrap().status, 200);
    let origin = [("origin", "https://app.example.com")];
    let shared = http::send(gateway.address, "GET", "/cache/v1/count", &origin, "").await.unwrap();
    assert_eq!(shared.headers["access-control-allow-origin"], "https://app.example.com");
}
