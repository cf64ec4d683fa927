//! The NATS server stops under load and starts again, hangs, or loses its connections.

use std::time::{Duration, Instant};

use prism::{call::Code, proto::models::keyvalue::v1::GetRequest};
use serde_json::json;
use test_support::servers::Nats;

use super::super::{
    away, backend, connected, context, get, healthy, keyvalue, outage,
    proxy::{Mode, Proxy},
    set,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    outage::killed_and_started_again_under_load(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    outage::a_server_that_is_not_there_yet(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    outage::a_backend_that_was_closed(&Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    outage::a_watch_outlives_the_server(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    let server = Nats::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    server.pause(true);
    let hung = Instant::now();
    // A caller with a shorter timeout gets its error at that timeout.
    let context = context().with_timeout(Duration::from_millis(300));
    let error = store.get(&context, GetRequest { key: "k".into() }).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable), "{error:?}");
    assert!(hung.elapsed() < Duration::from_millis(600), "answered after {:?}", hung.elapsed());
    // Long enough that the connection is given up, and attempts to connect fail.
    while hung.elapsed() < Duration::from_secs(10) {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(backend.health().await.is_err());
    server.pause(false);
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
    set(&store, "k", "w").await.unwrap();
}

#[tokio::test]
async fn connections_that_are_cut() {
    let server = Nats::start().unwrap();
    let proxy = Proxy::start(server.port()).await;
    let url = format!("nats://127.0.0.1:{}", proxy.port);
    let backend = backend("nats", json!({"url": url, "request_timeout": "1s"})).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    for round in 0..3 {
        set(&store, "k", round.to_string()).await.unwrap();
        proxy.set(Mode::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..3 {
            let began = Instant::now();
            away(&set(&store, "k", "lost").await.unwrap_err(), began);
        }
        proxy.set(Mode::Forward);
        healthy(&backend).await;
        assert_eq!(get(&store, "k").await.unwrap().unwrap(), round.to_string());
    }
}
