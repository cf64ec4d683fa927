//! The server responds, but with errors or unexpected tables.

use std::time::{Duration, Instant};

use futures::future::join_all;
use prism::{
    call::Code,
    proto::models::keyvalue::v1::{CountRequest, ExpireRequest, GetRequest},
};
use serde_json::json;
use test_support::{poll::until, servers::Postgres};

use super::super::{Server as _, away, backend, connected, context, get, healthy, keyvalue, set, slot};

#[tokio::test]
async fn a_standby() {
    let server = Postgres::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    server.sql("ALTER DATABASE postgres SET default_transaction_read_only = on").unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prism'").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    away(&set(&store, "k", "w").await.unwrap_err(), began);
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn gateways_that_start_together_create_the_tables_once() {
    let server = Postgres::start().unwrap();
    let backends = join_all((0..8).map(|_| backend(server.kind(), server.settings()))).await;
    join_all(backends.iter().map(healthy)).await;
    for backend in &backends {
        set(&keyvalue(backend), "k", "v").await.unwrap();
    }
    assert_eq!(server.sql("SELECT count(*) = max(version) FROM prism.migrations").unwrap(), "t");
    assert_eq!(server.sql("SELECT count(*) FROM prism.keyspaces WHERE namespace <> ''").unwrap(), "1");
}

#[tokio::test]
async fn tables_that_prism_does_not_know() {
    let server = Postgres::start().unwrap();
    server.sql("CREATE SCHEMA taken; CREATE TABLE taken.entries (number integer)").unwrap();
    server.sql("CREATE SCHEMA newer; CREATE TABLE newer.migrations (version integer); INSERT INTO newer.migrations VALUES (1000)").unwrap();
    server.sql("CREATE USER guest").unwrap();
    let guest = server.url().replace("prism@", "guest@");
    for (values, reason, word) in [
        (json!({"url": server.url(), "schema": "taken"}), "BACKEND_MISCONFIGURED", "schema"),
        (json!({"url": server.url(), "schema": "newer"}), "BACKEND_UNSUPPORTED", "newer Prism"),
        (json!({"url": guest}), "BACKEND_PERMISSION", "schema"),
    ] {
        let backend = backend("postgres", values).await;
        let error = get(&keyvalue(&backend), "k").await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, reason), "{error:?}");
        assert!(error.message().contains(word), "{error:?}");
    }
    // The right to use an existing schema is enough.
    server.sql("CREATE SCHEMA prism AUTHORIZATION guest").unwrap();
    let backend = backend("postgres", json!({"url": guest})).await;
    healthy(&backend).await;
    set(&keyvalue(&backend), "k", "v").await.unwrap();
}

#[tokio::test]
async fn expired_rows_are_removed() {
    let server = Postgres::start().unwrap();
    let backend = backend("postgres", json!({"url": server.url(), "sweep_interval": "100ms"})).await;
    let store = keyvalue(&backend);
    let interfaces = slot(&backend).interfaces;
    let (ttl, scan) = (interfaces.keyvalue_ttl.unwrap(), interfaces.keyvalue_scan.unwrap());
    for key in ["a", "b"] {
        set(&store, key, "v").await.unwrap();
    }
    let request = ExpireRequest { key: "a".into(), ttl: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }) };
    ttl.expire(&context(), request).await.unwrap();
    until("one row", || async {
        let rows = server.sql("SELECT count(*) FROM prism.entries").unwrap();
        if rows == "1" { Ok(()) } else { Err(rows) }
    })
    .await;
    assert_eq!(scan.count(&context(), CountRequest::default()).await.unwrap().count, 1);
    assert!(store.get(&context(), GetRequest { key: "b".into() }).await.unwrap().entry.is_some());
}
