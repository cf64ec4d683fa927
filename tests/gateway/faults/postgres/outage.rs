//! The PostgreSQL server stops under load and starts again, hangs, or holds a lock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prism::{
    call::{Code, Context},
    proto::models::{
        keyvalue::v1::SetRequest,
        queue::v1::{CompleteRequest, DequeueRequest, DequeueWithTimeoutRequest, EnqueueRequest},
    },
};
use serde_json::json;
use test_support::servers::Postgres;

use super::super::{away, backend, connected, context, gateway, get, healthy, keyvalue, metrics, outage, set, slot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    outage::killed_and_started_again_under_load(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    outage::a_server_that_is_not_there_yet(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    outage::a_backend_that_was_closed(&Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn the_gateway_survives_its_server() {
    gateway::the_gateway_survives_its_server(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    outage::a_watch_outlives_the_server(&mut Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    outage::a_server_that_hangs(&Postgres::start().unwrap(), Duration::from_secs(5)).await;
}

#[tokio::test]
async fn connections_that_stall() {
    outage::connections_that_stall(&Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn connections_that_are_cut() {
    outage::connections_that_are_cut(&Postgres::start().unwrap()).await;
}

#[tokio::test]
async fn messages_and_leases_outlive_the_server() {
    let mut server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let (queue, leases) = (interfaces.queue_basic.unwrap(), interfaces.queue_visibility.unwrap());
    for payload in ["1", "2"] {
        let request = EnqueueRequest { queue: "jobs".to_owned(), payload: payload.into(), ..EnqueueRequest::default() };
        queue.enqueue(&context(), request).await.unwrap();
    }
    let request = DequeueWithTimeoutRequest { queue: "jobs".to_owned(), ..DequeueWithTimeoutRequest::default() };
    let lease = leases.dequeue_with_timeout(&context(), request).await.unwrap().messages.remove(0).lease;
    let dequeue = |wait| DequeueRequest { queue: "jobs".to_owned(), limit: 10, wait };
    server.kill();
    // A call that waits for a message ends when the server is not there.
    let began = Instant::now();
    away(&queue.dequeue(&context(), dequeue(Some(prost_types::Duration { seconds: 20, nanos: 0 }))).await.unwrap_err(), began);
    server.resume().unwrap();
    healthy(&backend).await;
    leases.complete(&context(), CompleteRequest { lease }).await.unwrap();
    let left = queue.dequeue(&context(), dequeue(None)).await.unwrap().messages;
    assert_eq!(left.iter().map(|message| &message.payload[..]).collect::<Vec<_>>(), [b"2"]);
}

#[tokio::test]
async fn connections_that_the_server_closed_are_replaced() {
    let server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    for round in 0..5 {
        set(&store, "k", round.to_string()).await.unwrap();
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prism'").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(get(&store, "k").await.unwrap().unwrap(), round.to_string());
    }
}

/// Runs a transaction of another program that locks the row of a key for two seconds.
async fn lock_row(server: &Arc<Postgres>) -> tokio::task::JoinHandle<()> {
    let locking = server.clone();
    let holder = tokio::task::spawn_blocking(move || {
        locking.sql("BEGIN; SELECT 1 FROM prism.entries WHERE key = 'k' FOR UPDATE; SELECT pg_sleep(2); COMMIT").unwrap();
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    holder
}

const ACTIVE: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'prism' AND state <> 'idle'";

#[tokio::test]
async fn statements_are_canceled_at_the_deadline() {
    let server = Arc::new(Postgres::start().unwrap());
    let backend = connected(&*server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    let holder = lock_row(&server).await;
    let request = || SetRequest { key: "k".into(), value: "w".into(), ..SetRequest::default() };
    let began = Instant::now();
    let error = store.set(&Context::internal("shop").with_timeout(Duration::from_millis(200)), request()).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error:?}");
    // A caller who leaves cancels its statement too.
    let leaving = Context::internal("shop");
    assert!(tokio::time::timeout(Duration::from_millis(100), store.set(&leaving, request())).await.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(server.sql(ACTIVE).unwrap(), "0");
    holder.await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v", "a canceled write has no effect");
}

#[tokio::test]
async fn calls_wait_for_a_connection_in_a_bounded_queue() {
    let server = Arc::new(Postgres::start().unwrap());
    let settings = json!({"url": server.url(), "request_timeout": "1s", "max_connections": 1, "max_waiting": 2});
    let backend = backend("postgres", settings).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    let holder = lock_row(&server).await;
    let waiting = futures::future::join_all((0..3).map(|_| async { set(&store, "k", "w").await }));
    let beyond = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        let error = get(&store, "k").await.unwrap_err();
        away(&error, began);
        assert!(began.elapsed() < Duration::from_millis(100) && error.message().contains("wait for a connection"), "{error:?}");
    };
    let began = Instant::now();
    let (results, ()) = futures::join!(waiting, beyond);
    results.iter().for_each(|result| away(result.as_ref().unwrap_err(), began));
    holder.await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn connections_are_in_the_metrics() {
    metrics::connections_are_in_the_metrics(&mut Postgres::start().unwrap()).await;
}
