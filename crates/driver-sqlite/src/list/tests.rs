//! Tests of waiting calls in the database. The behaviour suites test the interfaces.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use serde_json::json;

use crate::backend::Sqlite;
use prism_call::{
    Context, Error,
    proto::{
        Interfaces,
        models::list::v1::{BlockingPopLeftRequest, Element, PushRightRequest},
    },
};
use prism_driver::{Backend as _, BackendSettings, Keyspace, time};

async fn open(path: &Path) -> Arc<Sqlite> {
    open_with(path, 10).await
}

async fn open_with(path: &Path, max_waiting_pops: u32) -> Arc<Sqlite> {
    let values = json!({"path": path, "sweep_interval": "100ms", "max_waiting_pops": max_waiting_pops}).as_object().cloned().unwrap();
    Arc::new(Sqlite::open(&BackendSettings { name: "local".into(), values }).await.unwrap())
}

fn interfaces_of(backend: &Sqlite) -> Interfaces {
    backend.keyspace(&Keyspace { namespace: "n".into(), slot: "s".into() })
}

async fn push(backend: &Sqlite, value: &'static str) {
    let request = PushRightRequest { key: "list".into(), values: vec![value.into()], only_if_exists: false };
    interfaces_of(backend).list_basic.unwrap().push_right(&Context::internal("n"), request).await.unwrap();
}

async fn wait(backend: &Sqlite, millis: i64) -> Result<Option<Element>, Error> {
    let request = BlockingPopLeftRequest { keys: vec!["list".into()], wait: Some(time::duration(millis)) };
    Ok(interfaces_of(backend).list_blocking.unwrap().blocking_pop_left(&Context::internal("n"), request).await?.element)
}

/// A call of another gateway that waits for the list, until a time at which the gateway's row expires.
fn older_call(path: &Path, expires: i64) {
    let connection = Connection::open(path).unwrap();
    let keyspace: i64 = connection.query_row("SELECT id FROM keyspaces", [], |row| row.get(0)).unwrap();
    connection
        .execute("INSERT INTO list_waiters (keyspace, key, number, gateway) VALUES (?1, CAST('list' AS BLOB), 0, 7)", [keyspace])
        .unwrap();
    connection.execute("INSERT INTO waiting_gateways (id, expires) VALUES (7, ?1)", [expires]).unwrap();
}

/// Waits until the table of waiting calls has this many rows.
async fn until_waiting(path: &Path, count: i64) {
    let connection = Connection::open(path).unwrap();
    while connection.query_row("SELECT count(*) FROM list_waiters", [], |row| row.get::<_, i64>(0)).unwrap() != count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn calls_of_a_crashed_gateway_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path).await;
    push(&backend, "0").await;
    assert_eq!(wait(&backend, 0).await.unwrap().unwrap().value, "0");
    older_call(&path, time::now() + 300);
    let call = tokio::spawn({
        let backend = backend.clone();
        async move { wait(&backend, 60_000).await.unwrap().unwrap().value }
    });
    until_waiting(&path, 2).await;
    push(&backend, "1").await;
    assert_eq!(call.await.unwrap(), "1");
    until_waiting(&path, 0).await;
    backend.close().await;
}

#[tokio::test]
async fn a_wait_does_not_end_without_an_element_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path).await;
    push(&backend, "0").await;
    assert_eq!(wait(&backend, 0).await.unwrap().unwrap().value, "0");
    older_call(&path, time::now() + 3_600_000);
    let call = tokio::spawn({
        let backend = backend.clone();
        async move { wait(&backend, 500).await.unwrap().unwrap().value }
    });
    until_waiting(&path, 2).await;
    push(&backend, "1").await;
    assert_eq!(call.await.unwrap(), "1");
    backend.close().await;
}

#[tokio::test]
async fn the_number_of_waiting_calls_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open_with(&path, 1).await;
    let first = tokio::spawn({
        let backend = backend.clone();
        async move { wait(&backend, 60_000).await }
    });
    until_waiting(&path, 1).await;
    assert_eq!(wait(&backend, 1000).await.unwrap_err().reason(), "TOO_MANY_WAITERS");
    assert_eq!(wait(&backend, 0).await.unwrap(), None);
    first.abort();
    until_waiting(&path, 0).await;
    push(&backend, "1").await;
    assert_eq!(wait(&backend, 1000).await.unwrap().unwrap().value, "1");
    backend.close().await;
}

#[tokio::test]
async fn a_gateway_that_closes_leaves_no_waiting_calls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path).await;
    let call = tokio::spawn({
        let backend = backend.clone();
        async move { wait(&backend, 60_000).await }
    });
    until_waiting(&path, 1).await;
    backend.close().await;
    until_waiting(&path, 0).await;
    assert_eq!(call.await.unwrap().unwrap_err().reason(), "BACKEND_UNAVAILABLE");
}

#[tokio::test]
async fn calls_of_several_processes_are_served_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let (one, other) = (open(&path).await, open(&path).await);
    let mut calls = Vec::new();
    for (waiting, backend) in (1..).zip([&other, &one, &one, &other, &one]) {
        let backend = backend.clone();
        calls.push(tokio::spawn(async move { wait(&backend, 60_000).await.unwrap().unwrap().value }));
        until_waiting(&path, waiting).await;
    }
    // One push for the first two calls, and one for each of the others.
    let request = PushRightRequest { key: "list".into(), values: vec!["0".into(), "1".into()], only_if_exists: false };
    interfaces_of(&one).list_basic.unwrap().push_right(&Context::internal("n"), request).await.unwrap();
    let mut calls = calls.into_iter();
    for expected in ["0", "1"] {
        assert_eq!(calls.next().unwrap().await.unwrap(), expected);
    }
    for (expected, call) in ["2", "3", "4"].into_iter().zip(calls) {
        push(&one, expected).await;
        assert_eq!(call.await.unwrap(), expected);
    }
    until_waiting(&path, 0).await;
    one.close().await;
    other.close().await;
}
