//! The Redis server stops under load and starts again.

use std::time::{Duration, Instant};

use prism::{call::Code, proto::models::keyvalue::v1::GetRequest};
use test_support::servers::{Options, Redis};

use super::{
    super::{away, connected, context, get, healthy, keyvalue, outage, set},
    command,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    outage::killed_and_started_again_under_load(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    outage::a_server_that_is_not_there_yet(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    outage::a_backend_that_was_closed(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    outage::a_watch_outlives_the_server(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    let arguments = ["--enable-debug-command", "local"].map(str::to_owned).to_vec();
    let server = Redis::start_with(Options { arguments, ..Options::default() }).unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    let _sleeping = command(&server, "DEBUG SLEEP 4", false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let hung = Instant::now();
    // A caller with a shorter timeout gets its error at that timeout.
    let context = context().with_timeout(Duration::from_millis(300));
    let error = store.get(&context, GetRequest { key: "k".into() }).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable), "{error:?}");
    assert!(hung.elapsed() < Duration::from_millis(600), "answered after {:?}", hung.elapsed());
    while hung.elapsed() < Duration::from_millis(2500) {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(backend.health().await.is_err());
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
}
