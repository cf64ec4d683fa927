//! Tickets for event streams, for clients that can't send headers.

use std::{path::Path, process::Command};

use http_body_util::BodyExt as _;
use test_support::{
    gateway::{Gateway, Setup},
    http::{self, Answer},
};

use super::{caller::create_key, streams::rest};

const TICKET: &str = "application/vnd.prism.ticket+json";
const WATCH: &str = "/orders/v1/watch";

fn config(file: &Path, more: &str) -> String {
    format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys]}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: orders, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: other, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: open, pattern: keyvalue, slots: {{storage: ram}}, authentication: [keys, anonymous]}}
{more}
",
        file.display()
    )
}

/// Asks for a ticket.
async fn ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Answer {
    let all: Vec<_> = [("accept", TICKET)].iter().chain(headers).copied().collect();
    http::send(gateway.address, "POST", path, &all, "").await.unwrap()
}

/// Returns a ticket for the owner of a key.
async fn ticket(gateway: &Gateway, path: &str, key: &str) -> String {
    let answer = ask(gateway, path, &[("x-api-key", key)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.json()["expireTime"].as_str().unwrap().ends_with('Z'), "{}", answer.text());
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

/// Begins a stream with a ticket, and returns the status.
async fn status(gateway: &Gateway, path: &str, ticket: &str) -> u16 {
    status_of(gateway, "GET", path, ticket, "text/event-stream").await
}

async fn status_of(gateway: &Gateway, method: &str, path: &str, ticket: &str, accept: &str) -> u16 {
    let path = format!("{path}{}ticket={ticket}", if path.contains('?') { '&' } else { '?' });
    http::open_request(gateway.address, method, &path, &[("accept", accept)], String::new()).await.status().as_u16()
}

fn revoke(file: &Path, id: &str) {
    let arguments = ["auth", "key", "revoke", id, "--file", file.to_str().unwrap()];
    assert!(Command::new(env!("CARGO_BIN_EXE_prism")).args(arguments).status().unwrap().success());
}

#[tokio::test]
async fn a_ticket_opens_the_stream_of_its_path_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada"]);
    let config = config(&file, "log: {level: trace, access: all}");
    let gateway = Gateway::start(&config).await;
    let good = ticket(&gateway, WATCH, &key).await;
    assert_eq!(status(&gateway, WATCH, &good).await, 200);
    assert_eq!(status(&gateway, &format!("{WATCH}?prefix=a%2F"), &good).await, 200, "the query is free");
    assert_eq!(status(&gateway, "/other/v1/watch", &good).await, 401, "another namespace");
    assert_eq!(status(&gateway, "/orders/v1/keys", &good).await, 401, "another path");
    assert_eq!(status(&gateway, "/open/v1/watch", &good).await, 401, "wrong credentials are refused where none are needed");
    assert_eq!(status_of(&gateway, "GET", WATCH, &good, "application/x-ndjson").await, 401, "no stream of events");
    assert_eq!(status_of(&gateway, "PUT", "/orders/v1/values/a", &good, "text/event-stream").await, 401, "a write");
    let mut forged = good.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    for wrong in [forged.as_str(), &good[..good.len() - 8], "prism_ticket_", "prism_ticket_AAAA"] {
        assert_eq!(status(&gateway, WATCH, wrong).await, 401, "{wrong}");
    }
    // A ticket needs credentials, and a stream.
    assert_eq!(ask(&gateway, WATCH, &[]).await.status, 401);
    assert_eq!(ask(&gateway, WATCH, &[("x-api-key", "prism_a_b")]).await.status, 401);
    assert_eq!(ask(&gateway, "/open/v1/watch", &[]).await.json()["reason"], "NO_CREDENTIALS");
    assert_eq!(ask(&gateway, "/orders/v1/values/a", &[("x-api-key", &key)]).await.json()["reason"], "NO_EVENT_STREAM");
    assert_eq!(ask(&gateway, "/orders/v1/nothing", &[("x-api-key", &key)]).await.status, 404);
    let log = gateway.log();
    assert!(log.contains("Watch") && !log.contains("prism_ticket_") && !log.contains(&key), "{log}");
}

#[tokio::test]
async fn a_stream_with_a_ticket_ends_when_its_key_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada", "--id", "revoked"]);
    create_key(&file, &["--subject", "ada", "--id", "kept"]);
    let gateway = Gateway::start(&config(&file, "")).await;
    let ticket = ticket(&gateway, WATCH, &key).await;
    let path = format!("{WATCH}?ticket={ticket}");
    let mut events = http::open_with(gateway.address, &path, &[("accept", "text/event-stream")]).await.into_body();
    events.frame().await.expect("an event").unwrap();
    revoke(&file, "revoked");
    let text = rest(events).await;
    assert!(text.contains("ACCESS_ENDED"), "{text}");
    assert_eq!(status(&gateway, WATCH, &ticket).await, 401);
}

#[tokio::test]
async fn gateways_with_the_same_key_accept_the_tickets_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada"]);
    let start = async |tickets: &str| {
        let config = config(&file, tickets);
        let env = [("TICKETS", "an old key of more than 32 characters"), ("NEW_TICKETS", "a new key of more than 32 characters!")];
        let gateway = Setup { config: &config, env: &env, ..Setup::default() }.launch();
        gateway.ready().await;
        gateway
    };
    let old = start("tickets: {keys: ['${env:TICKETS}']}").await;
    let both = start("tickets: {keys: ['${env:NEW_TICKETS}', '${env:TICKETS}'], lifetime: 10m}").await;
    let own = start("").await;
    let issued = ticket(&old, WATCH, &key).await;
    assert_eq!(status(&both, WATCH, &issued).await, 200);
    assert_eq!(status(&own, WATCH, &issued).await, 401);
    assert_eq!(status(&old, WATCH, &ticket(&both, WATCH, &key).await).await, 401);
}

#[tokio::test]
async fn a_ticket_allows_no_more_than_its_caller_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let reader = create_key(&file, &["--subject", "ada", "--group", "readers"]);
    let other = create_key(&file, &["--subject", "eve"]);
    let policy = "policy: {roles: {reader: \"'readers' in principal.groups\"}, rules: [{name: readers, roles: [reader], access: read}]}";
    let gateway = Gateway::start(&config(&file, policy)).await;
    assert_eq!(status(&gateway, WATCH, &ticket(&gateway, WATCH, &reader).await).await, 200);
    assert_eq!(status(&gateway, WATCH, &ticket(&gateway, WATCH, &other).await).await, 403);
    // The tenants of both are different.
    let scoped = config(&file, "").replace("name: orders,", "name: orders, scope: {by: subject},");
    let gateway = Gateway::start(&scoped).await;
    let stored = http::send(gateway.address, "PUT", "/orders/v1/values/a", &[("x-api-key", &other)], "x").await.unwrap();
    assert_eq!(stored.status, 200);
    for (key, sees) in [(&reader, false), (&other, true)] {
        let path = format!("{WATCH}?ticket={}", ticket(&gateway, WATCH, key).await);
        let mut events = http::open_with(gateway.address, &path, &[("accept", "text/event-stream")]).await.into_body();
        let mut text = String::new();
        while !text.contains("caught_up") {
            text.push_str(&String::from_utf8_lossy(events.frame().await.expect("an event").unwrap().data_ref().unwrap()));
        }
        assert_eq!(text.contains("event: entry"), sees, "{text}");
    }
}
