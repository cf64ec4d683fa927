//! The frontends `consul-kv` and `etcd-v3` over memory and SQLite, and `upstash-redis` over memory and Redis, used by published clients of
//! Consul, etcd and Upstash and by plain HTTP requests.
//!
//! The Python suites in `clients/` also run against Consul and etcd themselves, to check that the cases are right: `.tools/python/bin/python
//! tests/clients/foreign/clients/etcd_v3.py --original http://127.0.0.1:2379`.

use std::{net::SocketAddr, process::Command};

use serde_json::json;
use test_support::{gateway::Gateway, http, servers::Redis};

use super::suite::{self, installed};

/// Minimum numbers of cases. If fewer run, some were not found.
const CONSUL_CASES: usize = 39;
const ETCD_CASES: usize = 44;
const UPSTASH_CASES: usize = 22;
const KAFKA_CASES: usize = 9;

/// The clients of both systems support no base path, so each API of each namespace has a listener of its own.
const CONFIG: &str = "
listeners:
  main: {}
  consul-ram: {address: '127.0.0.1:0'}
  consul-disk: {address: '127.0.0.1:0'}
  etcd-ram: {address: '127.0.0.1:0'}
  etcd-disk: {address: '127.0.0.1:0'}
backends:
  ram: {type: memory, max_bytes: 256MiB}
  disk: {type: sqlite, path: prism-data/prism.db}
namespaces:
  - name: ram
    pattern: keyvalue
    slots: {storage: ram}
    frontends:
      - {frontend: consul-kv, listener: consul-ram, base_path: /}
      - {frontend: etcd-v3, listener: etcd-ram, base_path: /}
  - name: disk
    pattern: keyvalue
    slots: {storage: disk}
    frontends:
      - {frontend: consul-kv, listener: consul-disk, base_path: /}
      - {frontend: etcd-v3, listener: etcd-disk, base_path: /}
";

#[tokio::test]
async fn clients_of_consul() {
    let gateway = Gateway::start(CONFIG).await;
    for listener in ["consul-ram", "consul-disk"] {
        python("consul_kv.py", gateway.listeners[listener], CONSUL_CASES);
    }
}

#[tokio::test]
async fn clients_of_etcd() {
    let gateway = Gateway::start(CONFIG).await;
    for listener in ["etcd-ram", "etcd-disk"] {
        python("etcd_v3.py", gateway.listeners[listener], ETCD_CASES);
    }
}

#[tokio::test]
async fn producers_of_kafka_rest() {
    let gateway = Gateway::start(
        "
listeners: {main: {}, kafka: {address: '127.0.0.1:0'}}
backends: {disk: {type: sqlite, path: prism-data/prism.db}}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: disk}, frontends: [rest, {frontend: kafka-rest, listener: kafka, base_path: /}]}
  - name: billing
    pattern: consumer
    slots: {messaging: {backend: disk, keyspace: orders}, progress: disk}
    frontends: [{frontend: rest, listener: kafka}]
",
    )
    .await;
    python("kafka_rest.py", gateway.listeners["kafka"], KAFKA_CASES);
}

/// Its frontend binds lists, sets and sorted sets too, so it is over the pattern `interfaces`. The token of the client is an API key.
#[tokio::test]
async fn clients_of_upstash_redis() {
    let folder = installed("tests/clients/foreign");
    installed("tests/clients/foreign/node_modules/@upstash/redis");
    let redis = Redis::start().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("keys.yaml");
    let mut command = Command::new(test_support::gateway::program());
    let created = suite::output(command.args(["auth", "key", "create", "--subject", "ada", "--file"]).arg(&file));
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let config = format!(
        "
authenticators:
  keys: {{type: api-key, file: '{}'}}
listeners:
  main: {{}}
  ram: {{address: '127.0.0.1:0', authentication: [keys]}}
  server: {{address: '127.0.0.1:0', authentication: [keys]}}
backends:
  ram: {{type: memory, max_bytes: 256MiB}}
  server: {{type: redis, url: '{}'}}
namespaces:
  - {{name: ram, pattern: interfaces, slots: {{backend: ram}}, frontends: [{{frontend: upstash-redis, listener: ram}}]}}
  - {{name: server, pattern: interfaces, slots: {{backend: server}}, frontends: [{{frontend: upstash-redis, listener: server}}]}}
",
        file.display(),
        redis.url()
    );
    let gateway = Gateway::start(&config).await;
    for listener in ["ram", "server"] {
        let environment = [("PRISM_URL", format!("http://{}", gateway.listeners[listener])), ("PRISM_TOKEN", token.clone())];
        suite::npm(&folder, environment, UPSTASH_CASES);
    }
}

/// The APIs are bindings of one namespace, so each reads what the other writes.
#[tokio::test]
async fn apis_of_one_namespace_share_its_data() {
    let gateway = Gateway::start(CONFIG).await;
    for backend in ["ram", "disk"] {
        let consul = gateway.listeners[&format!("consul-{backend}")];
        let etcd = gateway.listeners[&format!("etcd-{backend}")];
        let written = http::send(consul, "PUT", "/v1/kv/foo?flags=7", &[], "bar").await.unwrap();
        assert_eq!((written.status, written.text()), (200, "true"));
        let read = http::send(etcd, "POST", "/v3/kv/range", &[], r#"{"key": "Zm9v"}"#).await.unwrap();
        assert_eq!((read.status, &read.json()["kvs"][0]["value"]), (200, &json!("YmFy")), "{}", read.text());
        let index = read.json()["kvs"][0]["mod_revision"].as_str().unwrap().to_owned();
        let removed = http::send(consul, "DELETE", &format!("/v1/kv/foo?cas={index}"), &[], "").await.unwrap();
        assert_eq!((removed.status, removed.text()), (200, "true"));
        let read = http::send(etcd, "POST", "/v3/kv/range", &[], r#"{"key": "Zm9v"}"#).await.unwrap();
        assert_eq!((read.status, read.json().get("kvs")), (200, None));
    }
}

/// Runs a suite against a listener.
fn python(script: &str, address: SocketAddr, cases: usize) {
    let script = installed("tests/clients/foreign/clients").join(script);
    suite::python(".tools/python", &script, &format!("http://{address}"), cases);
}
