//! Clients that register overlapping schemas, each at one gateway, and look for each at another.

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
    lost: AtomicUsize,
}

/// Far longer than the gateway that was killed is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// A path of the registry; colons in names of subjects are written as clients write them.
pub fn path(text: &str) -> String {
    format!("/registry{}", text.replace(':', "%3A"))
}

/// A record that may follow any other of its name, since its field has a default.
fn record(name: &str, field: &str) -> Value {
    json!({"type": "record", "name": name, "fields": [{"name": field, "type": ["null", "string"], "default": null}]})
}

/// What a client registers in a round.
fn wanted(client: usize, round: usize) -> (String, Value) {
    let context = if round % 3 == 2 { ":.other:" } else { "" };
    let (subject, schema) = match round % 4 {
        // The same under the same subject: one version, whoever is first.
        0 => (format!("same-{}", client % 5), record("Same", &format!("f{}", client % 5))),
        // The same under different subjects: one id.
        1 => (format!("own-{client}"), record("Shared", &format!("f{}", round % 8))),
        // Different ones under one subject: each is a version.
        _ => ("many".to_owned(), record("Many", &format!("f{client}_{round}"))),
    };
    (format!("{context}{subject}"), schema)
}

impl Load {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        Self { addresses: addresses.to_vec(), acknowledged: AtomicUsize::new(0), lost: AtomicUsize::new(0) }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// How many calls ended without an answer.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// Waits until so many are acknowledged.
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
            let (subject, schema) = wanted(client, round);
            let body = json!({"schema": schema.to_string()}).to_string();
            let answer = self.ask(client, "POST", &path(&format!("/subjects/{subject}/versions")), &body).await.json();
            let (version, id) = (answer["version"].as_u64().unwrap(), answer["id"].as_u64().unwrap());
            let one = Registered { subject, version, id, schema };
            self.look(client + round + 1, &one).await;
            done.push(one);
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        done
    }

    /// Whoever is asked now knows what was acknowledged before.
    async fn look(&self, gateway: usize, one: &Registered) {
        let Registered { subject, version, id, schema } = one;
        let answer = self.ask(gateway, "GET", &path(&format!("/subjects/{subject}/versions/{version}")), "").await.json();
        assert_eq!((answer["id"].as_u64(), answer["subject"].as_str()), (Some(*id), Some(&**subject)), "{one:?}");
        assert_eq!(&text(&answer), schema);
        let answer = self.ask(gateway, "GET", &path(&format!("/schemas/ids/{id}?subject={subject}")), "").await.json();
        assert_eq!(&text(&answer), schema, "{one:?}");
    }

    /// Asks a gateway, and another one if that is not there.
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
            self.lost.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        unreachable!()
    }
}

/// The schema of an answer.
pub fn text(answer: &Value) -> Value {
    serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap()
}
