//! `frontends/confluent-schema-registry.yaml` over REST: status, code and message of errors (one case for each row of the definition),
//! contexts by path and by name, routes, and sequences of requests. The published clients run in `tests/clients/registry`.

mod contexts;
mod errors;
mod keys;
mod routes;
mod sequences;
mod tags;

use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};

const CONFIG: &str = "
backends: {ram: {type: memory, max_bytes: 64MiB}}
namespaces:
  - name: registry
    pattern: schema-registry
    slots: {storage: ram}
    frontends:
      - {frontend: confluent-schema-registry, base_path: /sr}
      - {frontend: confluent-schema-registry, base_path: /newer, settings: {incompatible_code: 40901}}
";

/// A request (`POST /subjects/a/versions`), its body, and the status and body of the response; null means no body.
type Case = (&'static str, Value, u16, Value);

async fn ask(gateway: &Gateway, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    // The default content type of curl, which must work too.
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    http::send(gateway.address, method, path, &headers, body).await.unwrap()
}

/// Sends the requests in order, each below `base`, and reports all unexpected responses at once.
async fn answers(gateway: &Gateway, base: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (line, body, status, expected) in cases {
        let answer = ask(gateway, &line.replacen(' ', &format!(" {base}"), 1), body).await;
        let actual = if answer.body.is_empty() { Value::Null } else { answer.json() };
        if (answer.status, &actual) != (*status, expected) {
            wrong.push(format!("{line}\n  expected {status} {expected}\n  got      {} {actual}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn error(code: u32, message: &str) -> Value {
    json!({"error_code": code, "message": message})
}

/// Returns the request body that registers an Avro schema.
fn avro(schema: Value) -> Value {
    json!({"schema": schema.to_string()})
}

/// Returns an Avro record with these fields of type long.
fn record(fields: &[&str]) -> Value {
    let fields: Vec<Value> = fields.iter().map(|name| json!({"name": name, "type": "long"})).collect();
    json!({"type": "record", "name": "Order", "fields": fields})
}
