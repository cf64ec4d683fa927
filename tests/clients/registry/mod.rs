//! Published clients of Confluent's Schema Registry, unchanged, run against `frontends/confluent-schema-registry.yaml` over SQLite and
//! Redis.
//!
//! The suites in `clients/` run against any registry: `.tools/registry-clients/bin/python
//! tests/clients/registry/clients/confluent_kafka_registry.py http://127.0.0.1:8081`, and in this folder
//! `REGISTRY_URL=http://127.0.0.1:8081 npm test`.

mod converter;

use std::{path::PathBuf, process::Command};

use test_support::{gateway::Gateway, servers::Redis};

use super::suite::{self, installed};

/// A gateway with one registry at two paths: the root, where clients expect it, and a base path.
const CONFIG: &str = "
listeners:
  main: {}
  registry: {address: '127.0.0.1:0'}
backends:
  store: BACKEND
namespaces:
  - name: schemas
    pattern: schema-registry
    slots: {storage: store}
    frontends:
      - {frontend: confluent-schema-registry, listener: registry, base_path: /}
      - {frontend: confluent-schema-registry, base_path: /below/a/path}
";

/// A gateway, and the server of its backend if there is one.
struct Registry {
    gateway: Gateway,
    _redis: Option<Redis>,
}

impl Registry {
    async fn over_sqlite() -> Self {
        let backend = "{type: sqlite, path: prism-data/prism.db}";
        Self { gateway: Gateway::start(&CONFIG.replace("BACKEND", backend)).await, _redis: None }
    }

    async fn over_redis() -> Self {
        let redis = Redis::start().unwrap();
        let backend = format!("{{type: redis, url: '{}'}}", redis.url());
        Self { gateway: Gateway::start(&CONFIG.replace("BACKEND", &backend)).await, _redis: Some(redis) }
    }

    /// The URL of the registry at the root.
    fn url(&self) -> String {
        format!("http://{}", self.gateway.listeners["registry"])
    }

    /// The URL of the registry below a base path.
    fn url_below(&self) -> String {
        format!("{}/below/a/path", self.gateway.url())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confluent_kafka_of_python() {
    for registry in [Registry::over_sqlite().await, Registry::over_redis().await] {
        python("confluent_kafka_registry.py", &registry.url(), 24);
        python("confluent_kafka_serdes.py", &registry.url(), 17);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_schema_registry_client() {
    for registry in [Registry::over_sqlite().await, Registry::over_redis().await] {
        python("python_schema_registry_client.py", &registry.url(), 7);
        python("python_schema_registry_client.py", &registry.url_below(), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confluentinc_of_javascript() {
    for registry in [Registry::over_sqlite().await, Registry::over_redis().await] {
        node("confluentinc.test.js", &registry.url(), 14);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkajs() {
    for registry in [Registry::over_sqlite().await, Registry::over_redis().await] {
        node("kafkajs.test.js", &registry.url(), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_registry_converter_of_rust() {
    for registry in [Registry::over_sqlite().await, Registry::over_redis().await] {
        converter::cases(&registry.url()).await;
        converter::cases(&registry.url_below()).await;
    }
}

fn folder() -> PathBuf {
    installed("tests/clients/registry")
}

/// Runs a suite in Python.
fn python(script: &str, url: &str, cases: usize) {
    suite::python(".tools/registry-clients", &folder().join("clients").join(script), url, cases);
}

/// Runs a suite in JavaScript.
fn node(script: &str, url: &str, cases: usize) {
    installed("tests/clients/registry/node_modules/@confluentinc/schemaregistry");
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=tap", &format!("clients/{script}")]).current_dir(folder()).env("REGISTRY_URL", url);
    suite::judge(&suite::output(&mut command), cases);
}
