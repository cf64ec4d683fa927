//! Clients that register overlapping schemas at one gateway each, and then read each schema at another gateway.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use test_support::http::{self, Answer};

/// A registration that was acknowledged.
#[derive(Clone, Debug)]
pub struct Registered {
    pub subject: String,
    pub version: u64,
    pub id: u64,
    pub schema: Value,
}

pub struct Load {
    addresses: Vec<SocketAddr>,
    acknowledged: AtomicUsize,
    lost_responses: AtomicUsize,
}

/// Much longer than the killed gateway is down.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a path of the registry. Colons in subject names are escaped, as clients escape them.
pub fn path(text: &str) -> String {
    format!("/registry{}", text.replace(':', "%3A"))
}

/// Returns a record schema. It is compatible with every other record of its name, because its field has a default.
fn record(name: &str, field: &str) -> Value {
    json!({"type": "record", "name": name, "fields": [{"name": field, "type": ["null", "string"], "default": null}]})
}

/// Returns the subject and the schema that a client registers in a round.
fn registration_of(client: usize, round: usize) -> (String, Value) {
    let context = if round % 3 == 2 { ":.other:" } else { "" };
    let (subject, schema) = match round % 4 {
        // Several clients register the same schema in the same subject: the result is one version.
        0 => (format!("same-{}", client % 5), record("Same", &format!("f{}", client % 5))),
        // Each client registers the same schema in a subject of its own: the result is one id.
        1 => (format!("own-{client}"), record("Shared", &format!("f{}", round % 8))),
        // All clients register different schemas in one subject: each becomes a version.
        _ => ("many".to_owned(), record("Many", &format!("f{client}_{round}"))),
    };
    (format!("{context}{subject}"), schema)
}

impl Load {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        Self { addresses: addresses.to_vec(), acknowledged: AtomicUsize::new(0), lost_responses: AtomicUsize::new(0) }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Number of calls that ended without a response.
    pub fn lost_responses(&self) -> usize {
        self.lost_responses.load(Ordering::SeqCst)
    }

    /// Waits until this number of registrations is acknowledged.
    pub async fn reached(&self, count: usize) {
        let began = Instant::now();
        while self.acknowledged() < count {
            assert!(began.elapsed() < PATIENCE, "only {} of {count}", self.acknowledged());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn client(self: Arc<Self>, client: usize, rounds: usize) -> Vec<Registered> {
        let mut done = Vec::new();
        for round in 0..rounds {
            let (subject, schema) = registration_of(client, round);
            let body = json!({"schema": schema.to_string()}).to_string();
            let answer = self.ask(client, "POST", &path(&format!("/subjects/{subject}/versions")), &body).await.json();
            let (version, id) = (answer["version"].as_u64().unwrap(), answer["id"].as_u64().unwrap());
            let one = Registered { subject, version, id, schema };
            self.check_visible(client + round + 1, &one).await;
            done.push(one);
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        done
    }

    /// Checks that a gateway returns a registration that was acknowledged before.
    async fn check_visible(&self, gateway: usize, one: &Registered) {
        let Registered { subject, version, id, schema } = one;
        let answer = self.ask(gateway, "GET", &path(&format!("/subjects/{subject}/versions/{version}")), "").await.json();
        assert_eq!((answer["id"].as_u64(), answer["subject"].as_str()), (Some(*id), Some(&**subject)), "{one:?}");
        assert_eq!(&text(&answer), schema);
        let answer = self.ask(gateway, "GET", &path(&format!("/schemas/ids/{id}?subject={subject}")), "").await.json();
        assert_eq!(&text(&answer), schema, "{one:?}");
    }

    /// Sends a request to a gateway, and to the next one while the first is down.
    async fn ask(&self, gateway: usize, method: &str, path: &str, body: &str) -> Answer {
        let began = Instant::now();
        for attempt in 0.. {
            let address = self.addresses[(gateway + attempt) % self.addresses.len()];
            let headers = [("content-type", "application/vnd.schemaregistry.v1+json")];
            match http::send(address, method, path, &headers, body.to_owned()).await {
                Ok(answer) => {
                    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
                    return answer;
                }
                Err(error) => assert!(began.elapsed() < PATIENCE, "{method} {path}: {error}"),
            }
            self.lost_responses.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        unreachable!()
    }
}

/// Returns the schema in a response.
pub fn text(answer: &Value) -> Value {
    serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap()
}
