//! External decisions, over the evaluation API of AuthZEN.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http, poll::until};

use super::{
    caller::{Action, PROTOCOLS, call},
    service,
    streams::rest,
};

fn config(point: SocketAddr, rules: &str) -> String {
    format!(
        "
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: events, pattern: interfaces, slots: {{backend: ram}}}}
policy:
  decision_point: {{url: 'http://{point}/access/v1/evaluation', token: t0ken, cache_lifetime: 1s}}
  log: {{denied: 1}}
{rules}
"
    )
}

/// Starts a decision point that allows everything as long as the switch is on.
async fn start(switch: Arc<AtomicBool>) -> SocketAddr {
    service::start(move |parts, body| {
        let question: Value = serde_json::from_str(body).unwrap();
        let is_right = parts.uri.path() == "/access/v1/evaluation" && parts.headers["authorization"] == "Bearer t0ken";
        let allowed = question["subject"]["type"] == "anonymous" && switch.load(Ordering::SeqCst);
        (if is_right { 200 } else { 401 }, json!({"decision": allowed}))
    })
    .await
}

#[tokio::test]
async fn each_protocol_asks_the_decision_point() {
    let allowed = Arc::new(AtomicBool::new(true));
    let gateway = Gateway::start(&config(start(allowed.clone()).await, "")).await;
    for protocol in PROTOCOLS {
        allowed.store(true, Ordering::SeqCst);
        let send = async || call(gateway.address, protocol, "store", Action::Store("a"), &[]).await;
        until("allowed", || async {
            let outcome = send().await;
            if outcome.code == "OK" { Ok(()) } else { Err(format!("{outcome:?}")) }
        })
        .await;
        allowed.store(false, Ordering::SeqCst);
        until("denied", || async {
            let outcome = send().await;
            if (outcome.code, &*outcome.reason) == ("PERMISSION_DENIED", "POLICY_DENIED") { Ok(()) } else { Err(format!("{outcome:?}")) }
        })
        .await;
    }
    assert!(gateway.log().contains("(decision point)"), "{}", gateway.log());
}

#[tokio::test]
async fn the_decision_point_can_not_allow_what_a_rule_denies() {
    let allowed = Arc::new(AtomicBool::new(true));
    let rules = "  rules: [{name: reads, access: read}]";
    let gateway = Gateway::start(&config(start(allowed.clone()).await, rules)).await;
    assert_eq!(call(gateway.address, "rest", "store", Action::Store("a"), &[]).await.code, "PERMISSION_DENIED");
    assert_eq!(call(gateway.address, "rest", "store", Action::Retrieve("a"), &[]).await.code, "NOT_FOUND");
}

#[tokio::test]
async fn a_decision_point_that_is_away_allows_nothing() {
    // The port of a listener that has ended.
    let away = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&config(away, "")).await;
    for protocol in PROTOCOLS {
        let outcome = call(gateway.address, protocol, "store", Action::Retrieve("a"), &[]).await;
        assert_eq!((outcome.code, &*outcome.reason), ("UNAVAILABLE", "DECISION_POINT_UNAVAILABLE"), "{protocol}");
    }
}

#[tokio::test]
async fn a_changed_decision_ends_open_streams() {
    let allowed = Arc::new(AtomicBool::new(true));
    let gateway = Gateway::start(&config(start(allowed.clone()).await, "")).await;
    let (headers, body) = ([("content-type", "application/json")], "{\"stream\": \"orders\", \"payload\": \"Zmlyc3Q=\"}");
    let appended = http::send(gateway.address, "POST", "/events/v1/stream_basic/Append", &headers, body).await.unwrap();
    assert_eq!(appended.status, 200);
    let path = "/events/v1/stream_basic/Read?stream=orders&follow=true";
    let mut events = http::open_with(gateway.address, path, &[("accept", "text/event-stream")]).await.into_body();
    events.frame().await.expect("an event").unwrap();
    allowed.store(false, Ordering::SeqCst);
    let text = rest(events).await;
    assert!(text.contains("ACCESS_ENDED"), "{text}");
}
