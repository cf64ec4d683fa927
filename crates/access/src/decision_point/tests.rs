use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use prism_call::{Method, Peer, Principal, proto};

use super::*;
use crate::tests::server::TestServer;

fn open(url: &str, more: &Value) -> DecisionPoint {
    let mut all = json!({"url": url});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    DecisionPoint::open(all.as_object().unwrap()).unwrap()
}

async fn decide(point: &DecisionPoint, subject: &str, rpc: &str) -> ExternalDecision {
    let methods = Method::of_service(proto::descriptors(), "prism.patterns.keyvalue.v1.KeyValueService").unwrap();
    let method = methods.iter().find(|method| method.name == rpc).unwrap();
    let principal = Principal {
        tenant: "acme".into(),
        groups: vec!["readers".into()],
        claims: "{\"level\":3}".into(),
        ..Principal::new(subject, AuthenticationMethod::Jwt)
    };
    let peer = Peer { address: Some("192.0.2.1:7".parse().unwrap()), listener: "main".into(), ..Peer::default() };
    let call = CallFacts { principal: &principal, peer: &peer, namespace: "orders", pattern: "keyvalue", method, protocol: "grpc" };
    match point.decide(&call) {
        Deciding::Known(decision) => Ok(decision),
        Deciding::Asking(work) => work.await,
    }
}

#[tokio::test]
async fn the_request_tells_who_calls_what() {
    let seen = Arc::<Mutex<Vec<(Option<String>, Value)>>>::default();
    let requests = seen.clone();
    let server = TestServer::start(move |request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let allowed = body["action"]["properties"]["access"] == "read";
        requests.lock().unwrap().push((request.header("authorization").map(str::to_owned), body));
        Some((200, json!({"decision": allowed, "context": {"reason_user": {"en": "x"}}}).to_string()))
    });
    let point = open(&format!("{}/access/v1/evaluation", server.await.url), &json!({"token": "t0ken"}));
    assert_eq!(decide(&point, "ada", "Retrieve").await, Ok(true));
    assert_eq!(decide(&point, "ada", "Store").await, Ok(false));
    // Both decisions are kept.
    assert_eq!((decide(&point, "ada", "Retrieve").await, decide(&point, "ada", "Store").await), (Ok(true), Ok(false)));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].0.as_deref(), Some("Bearer t0ken"));
    let expected = json!({
        "subject": {"type": "user", "id": "ada", "properties": {"method": "jwt", "tenant": "acme", "groups": ["readers"], "claims": {"level": 3}}},
        "action": {"name": "Retrieve", "properties": {"access": "read"}},
        "resource": {"type": "namespace", "id": "orders", "properties": {"pattern": "keyvalue"}},
        "context": {"protocol": "grpc", "listener": "main", "address": "192.0.2.1", "tls": false},
    });
    assert_eq!(seen[0].1, expected);
}

#[tokio::test]
async fn equal_questions_share_one_request_and_each_caller_has_an_own_decision() {
    let server = TestServer::start(|request| {
        let allowed = request.body.contains("\"id\":\"ada\"");
        Some((200, json!({"decision": allowed}).to_string()))
    });
    let server = server.await;
    let point = open(&server.url, &json!({}));
    let decisions = join_all((0..40).map(|number| decide(&point, if number % 2 == 0 { "ada" } else { "eve" }, "Store"))).await;
    for (number, decision) in decisions.into_iter().enumerate() {
        assert_eq!(decision, Ok(number % 2 == 0));
    }
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_decision_counts_for_its_lifetime() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = TestServer::start(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Some((200, json!({"decision": first}).to_string()))
    });
    let point = open(&server.await.url, &json!({"cache_lifetime": "1s"}));
    assert_eq!(decide(&point, "ada", "Store").await, Ok(true));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(decide(&point, "ada", "Store").await, Ok(false));
}

#[tokio::test]
async fn without_a_decision_there_is_none() {
    for answer in ["", "[]", "{}", "{\"decision\": \"true\"}", "{\"decision\": 1}", "{\"decision\": null}", "true"] {
        let server = TestServer::start(move |_| Some((200, answer.to_owned()))).await;
        assert_eq!(decide(&open(&server.url, &json!({})), "ada", "Store").await, Err(ServiceUnavailable), "{answer}");
    }
    for status in [301, 400, 401, 403, 404, 500, 503] {
        let server = TestServer::start(move |_| Some((status, "{\"decision\": true}".to_owned()))).await;
        assert_eq!(decide(&open(&server.url, &json!({})), "ada", "Store").await, Err(ServiceUnavailable), "{status}");
    }
    let silent = TestServer::start(|_| None).await;
    assert_eq!(decide(&open(&silent.url, &json!({"timeout": "50ms"})), "ada", "Store").await, Err(ServiceUnavailable));
    assert_eq!(decide(&open("http://127.0.0.1:1", &json!({})), "ada", "Store").await, Err(ServiceUnavailable));
}

#[test]
fn settings_are_checked() {
    let settings = json!({"url": "http://pdp.example.com", "token": "a b", "timeout": "2m", "cache_lifetime": "2h", "ca_file": "/none"});
    let problems = check(settings.as_object().unwrap()).unwrap_err();
    for setting in ["url", "token", "timeout", "cache_lifetime", "ca_file"] {
        assert!(problems.iter().any(|problem| problem.setting == setting), "{setting}: {problems:?}");
    }
}
