//! SessionStore over each backend: sessions that end by themselves, tokens, changes by several gateways, and the sessions of a user.

use std::{any::Any, time::Duration};

use prost_types::Timestamp;
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    servers::{Nats, Postgres, Redis},
};

/// Gateways over one backend.
struct Sessions {
    gateways: Vec<Gateway>,
    _server: Option<Box<dyn Any>>,
    _folder: tempfile::TempDir,
}

impl Sessions {
    async fn start(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (backend, server): (String, Option<Box<dyn Any>>) = match kind {
            "memory" => ("{type: memory}".to_owned(), None),
            "sqlite" => (format!("{{type: sqlite, path: {}}}", folder.path().join("sessions.db").display()), None),
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
        let config = format!(
            "backends:\n  store: {backend}\nnamespaces:\n  - name: web\n    pattern: session-store\n    slots: {{sessions: store}}\n    \
             settings: {{idle_timeout: 1h, lifetime: 2h, rotation_grace: 0ms, max_session_size: 4KiB}}\n"
        );
        // Memory and SQLite belong to one process.
        let mut gateways = vec![Gateway::start(&config).await];
        if server.is_some() {
            gateways.push(Gateway::start(&config).await);
        }
        Self { gateways, _server: server, _folder: folder }
    }

    /// Sends a request to one of the gateways.
    async fn ask(&self, gateway: usize, line: &str, token: &str, body: &Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let headers = [("session-token", token), ("content-type", "application/json"), ("accept", "application/json")];
        let headers = if token.is_empty() { &headers[1..] } else { &headers };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let address = self.gateways[gateway % self.gateways.len()].address;
        http::send(address, method, &format!("/web/v1/{path}"), headers, body).await.unwrap()
    }

    async fn done(&self, gateway: usize, line: &str, token: &str, body: Value) -> Value {
        let answer = self.ask(gateway, line, token, &body).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        answer.json()
    }

    async fn refused(&self, line: &str, token: &str, body: Value) -> (u16, String) {
        let answer = self.ask(1, line, token, &body).await;
        (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned())
    }

    async fn create(&self, body: Value) -> (String, Value) {
        let created = self.done(0, "POST sessions", "", body).await;
        (created["token"].as_str().unwrap().to_owned(), created["session"].clone())
    }

    async fn ids(&self, user: &str) -> Vec<String> {
        let listed = self.done(1, &format!("GET users/{user}/sessions"), "", Value::Null).await;
        listed.as_array().unwrap().iter().map(|one| id(&one["session"])).collect()
    }
}

fn id(session: &Value) -> String {
    session["id"].as_str().unwrap().to_owned()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn not_found() -> (u16, String) {
    (404, "SESSION_NOT_FOUND".to_owned())
}

/// What a service does with a session from login to logout, over two gateways.
async fn a_session_from_login_to_logout(kind: &str) {
    let sessions = Sessions::start(kind).await;
    let (token, session) = sessions.create(json!({"user": "ada", "data": {"cart": "3 books", "theme": "dark"}})).await;
    assert_eq!((session["user"].as_str(), session["idleTimeout"].as_str()), (Some("ada"), Some("3600s")));
    assert_eq!(time(&session["endTime"]).seconds - time(&session["createTime"]).seconds, 7200);
    assert!(token.starts_with(session["id"].as_str().unwrap()));

    let read = sessions.done(1, "GET session", &token, Value::Null).await["session"].clone();
    assert_eq!(read["data"], json!({"cart": "3 books", "theme": "dark"}));
    let changed = sessions.done(0, "PATCH session", &token, json!({"set": {"cart": "4 books"}, "delete": ["theme", "absent"]})).await;
    assert_eq!(changed["session"]["data"], json!({"cart": "4 books"}));
    let revision: u64 = changed["session"]["revision"].as_str().unwrap().parse().unwrap();
    assert!(revision > read["revision"].as_str().unwrap().parse().unwrap());

    let stale = json!({"set": {"cart": ""}, "expectedRevision": read["revision"]});
    assert_eq!(sessions.refused("PATCH session", &token, stale).await, (409, "REVISION_MISMATCH".to_owned()));
    let current = json!({"set": {"cart": "5 books"}, "expectedRevision": revision.to_string()});
    sessions.done(1, "PATCH session", &token, current).await;

    let rotated = sessions.done(1, "POST session:rotate", &token, json!({})).await;
    let next = rotated["token"].as_str().unwrap();
    assert_eq!((id(&rotated["session"]), rotated["session"]["data"].clone()), (id(&session), json!({"cart": "5 books"})));
    assert_eq!(sessions.refused("GET session", &token, Value::Null).await, not_found());
    assert_eq!(sessions.refused("POST session:rotate", &token, json!({})).await, not_found());
    assert_eq!(sessions.done(0, "GET session", next, Value::Null).await["session"]["data"], json!({"cart": "5 books"}));

    assert_eq!(sessions.done(0, "DELETE session", &token, Value::Null).await["ended"], json!(false));
    assert_eq!(sessions.done(0, "DELETE session", next, Value::Null).await["ended"], json!(true));
    assert_eq!(sessions.refused("GET session", next, Value::Null).await, not_found());
    assert_eq!(sessions.done(1, "DELETE session", next, Value::Null).await["ended"], json!(false));
    assert!(sessions.ids("ada").await.is_empty());
}

/// Idle sessions end, use keeps them, and none lives longer than its lifetime.
async fn sessions_end_by_themselves(kind: &str) {
    let sessions = Sessions::start(kind).await;
    let (idle, _) = sessions.create(json!({"user": "ada", "idleTimeout": "1s"})).await;
    let (used, first) = sessions.create(json!({"user": "ada", "idleTimeout": "1.5s"})).await;
    let (short, end) = sessions.create(json!({"user": "ada", "idleTimeout": "1800s", "lifetime": "2s"})).await;
    assert_eq!(end["expireTime"], end["endTime"]);
    let mut last = time(&first["expireTime"]);
    for turn in 0..8 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let read = sessions.done(turn, "GET session", &used, Value::Null).await;
        let expires = time(&read["session"]["expireTime"]);
        assert!((expires.seconds, expires.nanos) >= (last.seconds, last.nanos));
        last = expires;
    }
    assert_eq!(sessions.refused("GET session", &idle, Value::Null).await, not_found());
    assert_eq!(sessions.refused("PATCH session", &short, json!({"set": {"a": "b"}})).await, not_found());
    assert_eq!(sessions.ids("ada").await, [id(&first)]);

    // A look is no use.
    let before = sessions.done(0, "GET session?peek=true", &used, Value::Null).await["session"]["expireTime"].clone();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(sessions.done(1, "GET session?peek=true", &used, Value::Null).await["session"]["expireTime"], before);

    let extended = sessions.done(0, "POST session:extend", &used, json!({"idleTimeout": "600s", "lifetime": "7200s"})).await;
    assert_eq!(extended["session"]["idleTimeout"], json!("600s"));
    assert!(time(&extended["session"]["endTime"]).seconds >= time(&first["endTime"]).seconds);
    assert!(time(&extended["session"]["expireTime"]).seconds > last.seconds + 500);
    sessions.done(0, "POST session:extend", &used, json!({"lifetime": "1s"})).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(sessions.refused("GET session", &used, Value::Null).await, not_found());
}

/// Requests of one browser arrive at once, at several gateways; no change is lost.
async fn changes_at_once_are_all_kept(kind: &str) {
    let sessions = Sessions::start(kind).await;
    let (token, _) = sessions.create(json!({"user": "ada"})).await;
    let change = |at: usize| sessions.done(at, "PATCH session", &token, json!({"set": {(format!("field-{at}")): "set"}}));
    futures::future::join_all((0..8).map(change)).await;
    let read = sessions.done(0, "GET session", &token, Value::Null).await;
    assert_eq!(read["session"]["data"].as_object().unwrap().len(), 8);
}

/// The sessions of a user are listed and ended, those of others stay.
async fn all_sessions_of_a_user_are_ended(kind: &str) {
    let sessions = Sessions::start(kind).await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(sessions.create(json!({"user": "ada/1 \u{e9}"})).await);
    }
    let (other, _) = sessions.create(json!({"user": "ada"})).await;
    let user = "ada%2F1%20%C3%A9";
    let mut ids: Vec<_> = tokens.iter().map(|(_, session)| id(session)).collect();
    ids.sort();
    let listed = sessions.ids(user).await;
    assert_eq!(listed, ids);

    let page = sessions.done(0, &format!("GET users/{user}/sessions?limit=2"), "", Value::Null).await;
    let cursor = page[1]["cursor"].as_str().unwrap();
    let rest = sessions.done(1, &format!("GET users/{user}/sessions?cursor={cursor}"), "", Value::Null).await;
    let both: Vec<_> = page.as_array().unwrap().iter().chain(rest.as_array().unwrap()).map(|one| id(&one["session"])).collect();
    assert_eq!(both, ids);

    for (wrong, ended) in [("ada", false), (user, true), (user, false)] {
        let done = sessions.done(0, &format!("DELETE users/{wrong}/sessions/{}", ids[0]), "", Value::Null).await;
        assert_eq!(done["ended"], json!(ended), "{wrong}");
    }
    let kept = tokens.iter().find(|(_, session)| id(session) == ids[1]).unwrap();
    let done = sessions.done(1, &format!("DELETE users/{user}/sessions?exceptId={}", ids[1]), "", Value::Null).await;
    assert_eq!(done["ended"], json!("3"));
    assert_eq!(sessions.ids(user).await, [ids[1].clone()]);
    sessions.done(0, "GET session", &kept.0, Value::Null).await;
    assert_eq!(sessions.done(0, &format!("DELETE users/{user}/sessions"), "", Value::Null).await["ended"], json!("1"));
    assert_eq!(sessions.refused("GET session", &kept.0, Value::Null).await, not_found());
    sessions.done(1, "GET session", &other, Value::Null).await;
}

/// Bad requests are refused, with the name of the field.
async fn bad_requests_are_refused(kind: &str) {
    let sessions = Sessions::start(kind).await;
    let (token, _) = sessions.create(json!({"user": "ada"})).await;
    let many: serde_json::Map<_, _> = (0..257).map(|at| (at.to_string(), json!(""))).collect();
    for (line, body, field) in [
        ("POST sessions", json!({}), "user"),
        ("POST sessions", json!({"user": "a\0b"}), "user"),
        ("POST sessions", json!({"user": "a".repeat(257)}), "user"),
        ("POST sessions", json!({"user": "a", "data": {"": "x"}}), "data"),
        ("POST sessions", json!({"user": "a", "data": many}), "data"),
        ("POST sessions", json!({"user": "a", "data": {"a": "x".repeat(5000)}}), "data"),
        ("POST sessions", json!({"user": "a", "lifetime": "7201s"}), "lifetime"),
        ("POST sessions", json!({"user": "a", "idleTimeout": "0s"}), "idle_timeout"),
        ("PATCH session", json!({"set": {"a": "b"}, "delete": ["a"]}), "delete"),
        ("PATCH session", json!({"set": many}), "set"),
        ("POST session:extend", json!({"lifetime": "100000s"}), "lifetime"),
    ] {
        let answer = sessions.ask(0, line, if line.contains("sessions") { "" } else { &token }, &body).await;
        assert_eq!(answer.status, 400, "{line} {body}: {}", answer.text());
        let named = answer.json()["errors"].to_string().replace("idleTimeout", "idle_timeout");
        assert!(named.contains(field), "{line} {field}: {}", answer.text());
    }
    for wrong in [token.replace('.', ".A"), token[..token.len() - 1].to_owned(), "x".to_owned()] {
        assert_eq!(sessions.refused("GET session", &wrong, Value::Null).await, not_found());
    }
    assert_eq!(sessions.ask(0, "GET session", "", &Value::Null).await.status, 400);
    assert_eq!(sessions.done(0, "GET session", &token, Value::Null).await["session"]["data"], json!({}));
}

/// One test for each backend and behaviour.
macro_rules! over_backends {
    ($($backend:ident)*) => {$(
        mod $backend {
            over_backends!(@ $backend a_session_from_login_to_logout sessions_end_by_themselves changes_at_once_are_all_kept
                all_sessions_of_a_user_are_ended bad_requests_are_refused);
        }
    )*};
    (@ $backend:ident $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            super::$case(stringify!($backend)).await;
        }
    )*};
}

over_backends!(memory sqlite redis postgres nats);
