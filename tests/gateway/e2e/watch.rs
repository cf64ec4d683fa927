//! Watches of a key-value namespace over each protocol, with one cursor.

use futures::StreamExt as _;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};

use super::websocket::Client;

const CONFIG: &str = "
backends:
  ram: {type: memory, watch_history: 5}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
  - {name: other, pattern: keyvalue, slots: {storage: ram}}
";
const SSE: (&str, &str) = ("accept", "text/event-stream");

/// The events of a stream that is open.
struct Events {
    body: BodyDataStream<Incoming>,
    text: String,
}

/// One event: its name, id and data.
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Events {
    async fn open(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = http::open_with(gateway.address, path, &[&[SSE], headers].concat()).await;
        assert_eq!(response.status(), 200);
        Self { body: BodyDataStream::new(response.into_body()), text: String::new() }
    }

    async fn next(&mut self) -> Event {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
                if event.contains("data:") {
                    let data = serde_json::from_str(&field("data:")).unwrap();
                    return Event { name: field("event:"), id: field("id:"), data };
                }
            }
            self.text.push_str(std::str::from_utf8(&self.body.next().await.expect("more events").unwrap()).unwrap());
        }
    }

    /// The names and keys of the next events, and the id of the last one.
    async fn take(&mut self, count: usize) -> (Vec<String>, String) {
        let (mut texts, mut last) = (Vec::new(), String::new());
        for _ in 0..count {
            let Event { name, id, data } = self.next().await;
            assert_eq!(data["cursor"], json!(id));
            let key = data.as_object().unwrap().values().find_map(|value| value["key"].as_str()).unwrap_or_default();
            texts.push(format!("{name} {key}").trim().to_owned());
            last = id;
        }
        (texts, last)
    }
}

async fn write(gateway: &Gateway, method: &str, path: &str) -> Answer {
    let answer = http::send(gateway.address, method, path, &[], "v").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

async fn fill(gateway: &Gateway) {
    for key in ["a", "b", "x"] {
        write(gateway, "PUT", &format!("/store/v1/values/{key}")).await;
    }
}

#[tokio::test]
async fn an_event_source_resumes_with_its_last_id() {
    let gateway = Gateway::start(CONFIG).await;
    fill(&gateway).await;
    let mut events = Events::open(&gateway, "/store/v1/watch", &[]).await;
    let first = events.next().await;
    assert_eq!((&*first.name, &first.data["entry"]["key"], &first.data["entry"]["value"]), ("entry", &json!("a"), &json!("dg==")));
    assert_eq!(events.take(3).await.0, ["entry b", "entry x", "caught_up"]);
    write(&gateway, "PUT", "/store/v1/values/c").await;
    write(&gateway, "DELETE", "/store/v1/keys/b").await;
    let (changes, last) = events.take(2).await;
    assert_eq!(changes, ["stored c", "removed b"]);
    drop(events);

    write(&gateway, "PUT", "/store/v1/values/d").await;
    let mut resumed = Events::open(&gateway, "/store/v1/watch", &[("last-event-id", &last)]).await;
    assert_eq!(resumed.take(2).await.0, ["stored d", "caught_up"]);
    // In the middle of the entries. What was written since then comes as changes.
    let mut resumed = Events::open(&gateway, "/store/v1/watch", &[("last-event-id", &first.id)]).await;
    assert_eq!(resumed.take(5).await.0, ["entry x", "stored c", "removed b", "stored d", "caught_up"]);
}

#[tokio::test]
async fn a_gap_is_an_event_and_the_entries_follow() {
    let gateway = Gateway::start(CONFIG).await;
    fill(&gateway).await;
    let (_, last) = Events::open(&gateway, "/store/v1/watch?prefix=a", &[]).await.take(2).await;
    for number in 0..10 {
        write(&gateway, "PUT", &format!("/store/v1/values/many{number}")).await;
    }
    let (events, gap) = Events::open(&gateway, "/store/v1/watch?prefix=a", &[("last-event-id", &last)]).await.take(1).await;
    assert_eq!(events, ["gap"]);
    // A client that has seen only the gap gets all entries.
    let events = Events::open(&gateway, "/store/v1/watch?prefix=a", &[("last-event-id", &gap)]).await.take(2).await.0;
    assert_eq!(events, ["entry a", "caught_up"]);
    let refused = http::send(gateway.address, "GET", "/store/v1/watch?cursor=x", &[SSE], "").await.unwrap();
    assert_eq!((refused.status, &refused.json()["reason"]), (400, &json!("INVALID_CURSOR")));
    let refused = http::send(gateway.address, "GET", "/store/v1/watch?key=a&prefix=a", &[SSE], "").await.unwrap();
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_watch_goes_on_over_another_protocol() {
    let gateway = Gateway::start(CONFIG).await;
    fill(&gateway).await;
    let (_, over_sse) = Events::open(&gateway, "/store/v1/watch", &[]).await.take(4).await;

    write(&gateway, "PUT", "/store/v1/values/b").await;
    write(&gateway, "DELETE", "/store/v1/keys/a").await;
    let mut client = Client::connect(gateway.address, "/websocket").await;
    let call = json!({"method": "prism.patterns.keyvalue.v1.KeyValueService/Watch", "namespace": "store"});
    client.send(json!({"id": 1, "call": call, "message": {"cursor": over_sse}})).await;
    let stored = client.next().await;
    assert_eq!(stored["message"]["stored"]["key"], "b", "{stored}");
    let over_websocket = stored["message"]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(client.next().await["message"]["removed"], json!({"key": "a", "previousRevision": "1", "expired": false}));
    assert_eq!(client.next().await["message"]["caughtUp"], json!({}));
    write(&gateway, "PUT", "/store/v1/values/c").await;
    assert_eq!(client.next().await["message"]["stored"]["key"], "c");

    let query = r#"subscription Watch($cursor: String) {
        watch(cursor: $cursor) { entry { key } caughtUp stored { key value } removed { key expired } gap }
    }"#;
    let body = json!({"query": query, "variables": {"cursor": over_websocket}}).to_string();
    let headers = [SSE, ("content-type", "application/json")];
    let response = http::open_request(gateway.address, "POST", "/store/graphql", &headers, body).await;
    assert_eq!(response.status(), 200);
    let mut events = Events { body: BodyDataStream::new(response.into_body()), text: String::new() };
    let removed = events.next().await;
    assert_eq!((&*removed.name, &removed.data["data"]["watch"]["removed"]), ("next", &json!({"key": "a", "expired": false})));
    let stored = events.next().await;
    assert_eq!(stored.data["data"]["watch"]["stored"], json!({"key": "c", "value": "dg=="}));
    let over_graphql = stored.data["extensions"]["cursor"].as_str().unwrap().to_owned();

    write(&gateway, "DELETE", "/store/v1/keys/c").await;
    let response = http::open_with(gateway.address, &format!("/store/v1/watch?cursor={over_graphql}"), &[]).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut body = BodyDataStream::new(response.into_body());
    let mut text = String::new();
    while text.lines().count() < 2 || !text.ends_with('\n') {
        text.push_str(std::str::from_utf8(&body.next().await.expect("more lines").unwrap()).unwrap());
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["removed"]["key"], "c", "{text}");
    assert_eq!(lines[1]["caughtUp"], json!({}), "{text}");
}
