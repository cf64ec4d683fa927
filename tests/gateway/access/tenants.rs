//! Namespaces that separate the data of tenants: nobody sees, counts or removes what another tenant has.

use std::{any::Any, collections::BTreeMap, net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http,
    poll::until,
    servers::{Nats, Postgres, Redis},
};

use super::caller::{Action, PROTOCOLS, call, create_key};

/// Tenants whose names are alike, and one whose name is not readable in the name of a keyspace.
const TENANTS: [&str; 4] = ["acme", "ACME", "acme.two", "Über & Söhne / ../acme"];
/// Random calls of each tenant.
const CALLS: usize = 60;

struct Arena {
    gateway: Gateway,
    /// A key of each tenant; the last one is of a caller without a tenant.
    keys: Vec<String>,
    _server: Option<Box<dyn Any>>,
    _folder: tempfile::TempDir,
}

impl Arena {
    async fn start(kind: &str, scope: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (backend, server): (String, Option<Box<dyn Any>>) = match kind {
            "memory" => ("{type: memory}".to_owned(), None),
            "sqlite" => (format!("{{type: sqlite, path: '{}'}}", folder.path().join("data.db").display()), None),
            "redis" => {
                let server = Redis::start().unwrap();
                (format!("{{type: redis, url: \"{}\"}}", server.url()), Some(Box::new(server)))
            }
            "postgres" => {
                let server = Postgres::start().unwrap();
                (format!("{{type: postgres, url: \"{}\"}}", server.url()), Some(Box::new(server)))
            }
            "nats" => {
                let server = Nats::start().unwrap();
                (format!("{{type: nats, url: \"{}\"}}", server.url()), Some(Box::new(server)))
            }
            other => panic!("{other}"),
        };
        let file = folder.path().join("keys.yaml");
        let mut keys: Vec<_> = TENANTS.iter().map(|tenant| create_key(&file, &["--subject", "ada", "--tenant", tenant])).collect();
        keys.push(create_key(&file, &["--subject", "ada"]));
        let config = format!(
            "
authenticators:
  keys: {{type: api-key, file: '{}'}}
listeners:
  main: {{authentication: [keys]}}
backends: {{store: {backend}, ram: {{type: memory}}}}
namespaces:
  - {{name: values, pattern: keyvalue, slots: {{storage: store}}, scope: {scope}}}
  - {{name: jobs, pattern: work-queue, slots: {{jobs: ram}}, scope: {scope}}}
  - {{name: sessions, pattern: session-store, slots: {{sessions: store}}, scope: {scope}}}
  - {{name: schemas, pattern: schema-registry, slots: {{storage: store}}, scope: {scope}}}
",
            file.display()
        );
        Self { gateway: Gateway::start(&config).await, keys, _server: server, _folder: folder }
    }

    /// Calls an RPC of a pattern over Connect with JSON. Returns the status and the reply.
    async fn rpc(&self, who: usize, namespace: &str, service: &str, rpc: &str, body: &Value, more: &[(&str, &str)]) -> (u16, Value) {
        let headers = [&[("x-api-key", self.keys[who].as_str()), ("content-type", "application/json")], more].concat();
        let path = format!("/{namespace}/prism.patterns.{service}/{rpc}");
        let answer = http::send(self.gateway.address, "POST", &path, &headers, body.to_string()).await.unwrap();
        (answer.status, answer.json())
    }

    async fn values(&self, who: usize, rpc: &str, body: &Value) -> (u16, Value) {
        self.rpc(who, "values", "keyvalue.v1.KeyValueService", rpc, body, &[]).await
    }

    async fn rest(&self, who: usize, line: &str, body: &str) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let headers = [("x-api-key", self.keys[who].as_str()), ("content-type", "application/json"), ("accept", "application/json")];
        let answer = http::send(self.gateway.address, method, path, &headers, body.to_owned()).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    async fn graphql(&self, who: usize, query: &str) -> Value {
        let body = json!({"query": query}).to_string();
        self.rest(who, "POST /values/graphql", &body).await.1
    }
}

/// What a tenant must see.
type Model = BTreeMap<String, String>;

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

/// One random call, and what it must answer by the model of its tenant.
async fn step(arena: &Arena, who: usize, model: &mut Model, random: &mut StdRng) {
    let key = format!("k{}", random.random_range(0..6));
    let value = format!("v{}", random.random_range(0..1000));
    let known = model.get(&key).cloned();
    match random.random_range(0..9) {
        0 => {
            assert_eq!(arena.values(who, "Store", &json!({"key": key, "value": encoded(&value)})).await.0, 200);
            model.insert(key, value);
        }
        1 => {
            let (status, _) = arena.rest(who, &format!("PUT /values/v1/values/{key}"), &value).await;
            assert!(status < 300);
            model.insert(key, value);
        }
        2 => {
            let (status, reply) = arena.values(who, "Retrieve", &json!({"key": key})).await;
            let wanted = known.as_deref().map(encoded);
            assert_eq!((status, reply["value"].as_str()), (if known.is_some() { 200 } else { 404 }, wanted.as_deref()));
        }
        3 => {
            let (_, reply) = arena.values(who, "Remove", &json!({"key": key})).await;
            assert_eq!(reply["removed"].as_bool().unwrap_or_default(), model.remove(&key).is_some());
        }
        4 => {
            let (_, reply) = arena.rest(who, "GET /values/v1/keys?limit=100", "").await;
            let found: Model = reply.as_array().unwrap().iter().map(|entry| (text(&entry["key"]), decoded(&entry["value"]))).collect();
            assert_eq!(found, *model);
        }
        5 => {
            let (_, reply) = arena.values(who, "Count", &json!({"prefix": "k"})).await;
            assert_eq!(reply["count"].as_str().unwrap_or("0"), model.len().to_string());
        }
        6 => {
            let reply = arena.graphql(who, "{ scanConnection(first: 50) { nodes { key value } } }").await;
            let nodes = reply["data"]["scanConnection"]["nodes"].as_array().unwrap_or_else(|| panic!("{reply}"));
            let found: Model = nodes.iter().map(|entry| (text(&entry["key"]), decoded(&entry["value"]))).collect();
            assert_eq!(found, *model);
        }
        7 => {
            let (status, _) = arena.values(who, "CompareAndStore", &json!({"key": key, "value": encoded(&value)})).await;
            assert_eq!(status == 200, known.is_none(), "a key of another tenant is not there");
            model.entry(key).or_insert(value);
        }
        _ => {
            let keys: Vec<_> = (0..6).map(|number| format!("k{number}")).collect();
            let (_, reply) = arena.values(who, "RetrieveBatch", &json!({"keys": keys})).await;
            let results = reply["results"].as_array().unwrap();
            let found: Model = results
                .iter()
                .filter(|one| !one["entry"].is_null())
                .map(|one| (text(&one["key"]), decoded(&one["entry"]["value"])))
                .collect();
            assert_eq!(found, *model);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn decoded(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(text(value)).unwrap()).unwrap()
}

async fn tenants_are_separate_over(kind: &str) {
    let arena = Arena::start(kind, "{by: tenant}").await;
    let mut models = vec![Model::new(); TENANTS.len()];
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..CALLS * TENANTS.len() {
        let who = random.random_range(0..TENANTS.len());
        step(&arena, who, &mut models[who], &mut random).await;
    }

    // The same idempotency key of two tenants is two calls.
    for (who, value) in [(0, "first"), (1, "second"), (0, "first"), (1, "second")] {
        let body = json!({"key": "once", "value": encoded(value)});
        let replied = arena.rpc(who, "values", "keyvalue.v1.KeyValueService", "Store", &body, &[("idempotency-key", "same")]).await;
        assert_eq!(replied.0, 200, "{replied:?}");
    }
    for (who, value) in [(0, "first"), (1, "second")] {
        assert_eq!(decoded(&arena.values(who, "Retrieve", &json!({"key": "once"})).await.1["value"]), value);
    }

    // Removing everything removes nothing of the others.
    assert_eq!(arena.values(1, "RemoveRange", &json!({"all": true})).await.0, 200);
    for (who, model) in models.iter().enumerate() {
        let (_, reply) = arena.values(who, "Count", &json!({"prefix": "k"})).await;
        let left = if who == 1 { 0 } else { model.len() };
        assert_eq!(reply["count"].as_str().unwrap_or("0"), left.to_string(), "{}", TENANTS[who]);
    }
}

#[tokio::test]
async fn tenants_are_separate_over_memory() {
    tenants_are_separate_over("memory").await;
}

#[tokio::test]
async fn tenants_are_separate_over_sqlite() {
    tenants_are_separate_over("sqlite").await;
}

#[tokio::test]
async fn tenants_are_separate_over_redis() {
    tenants_are_separate_over("redis").await;
}

#[tokio::test]
async fn tenants_are_separate_over_postgres() {
    tenants_are_separate_over("postgres").await;
}

#[tokio::test]
async fn tenants_are_separate_over_nats() {
    tenants_are_separate_over("nats").await;
}

#[tokio::test]
async fn every_pattern_separates_tenants() {
    let arena = Arena::start("sqlite", "{by: tenant}").await;
    let schema = json!({"schema": "\"string\""}).to_string();
    for (who, tenant) in TENANTS.iter().enumerate() {
        let (status, reply) = arena.rest(who, "POST /jobs/v1/queues/q/jobs", &json!({"payload": encoded(tenant)}).to_string()).await;
        assert!(status < 300, "{reply}");
        let (status, reply) = arena.rest(who, "POST /sessions/v1/sessions", &json!({"user": "ada"}).to_string()).await;
        assert!(status < 300, "{reply}");
        if who == 0 {
            let (status, reply) = arena.rest(who, "POST /schemas/v1/subjects/orders/versions", &schema).await;
            assert!(status < 300, "{status} {reply}");
        }
    }
    for (who, own) in TENANTS.iter().enumerate() {
        let (_, sessions) = arena.rest(who, "GET /sessions/v1/users/ada/sessions", "").await;
        assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
        let (_, taken) = arena.rest(who, "POST /jobs/v1/queues/q:take", &json!({"limit": 10}).to_string()).await;
        let text = taken.to_string();
        for (other, tenant) in TENANTS.iter().enumerate() {
            assert_eq!(text.contains(&encoded(tenant)), other == who, "{own}: {text}");
        }
        let (_, subjects) = arena.rest(who, "GET /schemas/v1/subjects", "").await;
        assert_eq!(subjects.to_string().contains("orders"), who == 0, "{subjects}");
    }
}

#[tokio::test]
async fn callers_without_a_tenant_are_refused_over_every_protocol() {
    let arena = Arena::start("memory", "{by: tenant}").await;
    let key = arena.keys.last().unwrap().as_str();
    for protocol in PROTOCOLS {
        for action in [Action::Store("a"), Action::Retrieve("a")] {
            let outcome = call(arena.gateway.address, protocol, "values", action, &[("x-api-key", key)]).await;
            assert_eq!((outcome.code, outcome.reason.as_str()), ("PERMISSION_DENIED", "NO_TENANT"), "{protocol}");
        }
    }
    let who = TENANTS.len();
    let reply = arena.graphql(who, "{ retrieve(key: \"a\") { value } }").await;
    assert_eq!(reply["errors"][0]["extensions"]["reason"], "NO_TENANT", "{reply}");
    // What a namespace can do is no data of anybody.
    assert_eq!(arena.rest(who, "GET /values/v1/capabilities", "").await.0, 200);
}

#[tokio::test]
async fn callers_of_one_tenant_may_be_separate_too() {
    let arena = Arena::start("memory", "{by: subject}").await;
    for (who, tenant) in ["one", "two", "three", "four", "five"].into_iter().enumerate() {
        assert_eq!(arena.values(who, "Store", &json!({"key": "mine", "value": encoded(tenant)})).await.0, 200);
    }
    for (who, tenant) in ["one", "two", "three", "four", "five"].into_iter().enumerate() {
        assert_eq!(decoded(&arena.values(who, "Retrieve", &json!({"key": "mine"})).await.1["value"]), tenant);
    }
}

#[tokio::test]
async fn tenants_that_are_served_at_once_are_limited() {
    let arena = Arena::start("memory", "{by: tenant, max_open: 1}").await;
    for who in [0, 1, 0, 1] {
        // A call ends a moment after its client has the reply.
        until("served, because the other tenant does nothing", || async {
            let (status, reply) = arena.values(who, "Store", &json!({"key": "mine", "value": encoded(TENANTS[who])})).await;
            if status == 200 { Ok(()) } else { Err(format!("{status} {reply}")) }
        })
        .await;
    }
    let waiting = take_slowly(arena.gateway.address, arena.keys[0].clone());
    until("refused", || async {
        let (status, reply) = arena.rest(1, "POST /jobs/v1/queues/q/jobs", &json!({"payload": ""}).to_string()).await;
        if (status, reply["reason"].as_str()) == (429, Some("TENANTS_IN_USE")) { Ok(()) } else { Err(format!("{status} {reply}")) }
    })
    .await;
    waiting.abort();
    until("served", || async {
        let (status, reply) = arena.rest(1, "POST /jobs/v1/queues/q/jobs", &json!({"payload": ""}).to_string()).await;
        if status < 300 { Ok(()) } else { Err(format!("{status} {reply}")) }
    })
    .await;
}

/// A call that waits for a job. It is repeated, because it is refused as long as a call of another tenant has not ended.
fn take_slowly(address: SocketAddr, key: String) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let body = json!({"wait": "20s"}).to_string();
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json"), ("x-request-timeout", "60s")];
        loop {
            let _ = http::send(address, "POST", "/jobs/v1/queues/q:take", &headers, body.clone()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}
