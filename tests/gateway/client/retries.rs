//! Calls that are repeated, and deadlines.

use std::time::Duration;

use prism_client::{
    CallOptions, Code, Connection, RetryPolicy,
    keyvalue::{CompareAndStoreRequest, KeyValueClient, RetrieveRequest, StoreRequest},
    work_queue::{TakeRequest, WorkQueueClient},
};

use super::{connect, start};

fn patient() -> RetryPolicy {
    RetryPolicy { attempts: 100, min_pause: Duration::from_millis(50), max_pause: Duration::from_millis(200) }
}

#[tokio::test]
async fn reads_and_idempotent_writes_survive_a_restart() {
    let mut gateway = start().await;
    let connection = Connection::to(&gateway.url()).retry(patient()).connect().unwrap();
    let client = KeyValueClient::open(&connection, "default").await.unwrap();
    client.store(StoreRequest { key: "a".to_owned(), value: "1".into(), ..Default::default() }).await.unwrap();
    gateway.kill();
    let calls = {
        let client = client.clone();
        tokio::spawn(async move {
            let read = client.retrieve(RetrieveRequest { key: "a".to_owned() }).await;
            let write = client.store(StoreRequest { key: "b".to_owned(), value: "2".into(), ..Default::default() }).await;
            (read, write)
        })
    };
    let _gateway = gateway.restart().await;
    let (read, write) = calls.await.unwrap();
    assert_eq!(&read.unwrap().value[..], b"1");
    assert!(write.is_ok(), "{write:?}");
}

#[tokio::test]
async fn other_writes_are_repeated_with_a_key_only() {
    let mut gateway = start().await;
    let change = || CompareAndStoreRequest { key: "a".to_owned(), value: "1".into(), ..Default::default() };
    let plain = Connection::to(&gateway.url()).retry(patient()).connect().unwrap();
    let plain = KeyValueClient::open(&plain, "default").await.unwrap();
    let keyed = Connection::to(&gateway.url()).retry(patient()).idempotency_keys().connect().unwrap();
    let keyed = KeyValueClient::open(&keyed, "default").await.unwrap();
    gateway.kill();
    let error = plain.compare_and_store(change()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let call = tokio::spawn(async move { keyed.compare_and_store(change()).await });
    let gateway = gateway.restart().await;
    call.await.unwrap().unwrap();
    // The same key and the same request are executed once, so the second reply is that of the first call.
    let client = KeyValueClient::open(&connect(&gateway), "default").await.unwrap();
    let options = CallOptions::new().idempotency_key("once").unwrap();
    let request = || CompareAndStoreRequest { key: "once".to_owned(), value: "1".into(), ..Default::default() };
    let first = client.with(options.clone()).compare_and_store(request()).await.unwrap();
    let second = client.with(options).compare_and_store(request()).await.unwrap();
    assert_eq!(first.revision, second.revision);
    let error = client.compare_and_store(request()).await.unwrap_err();
    assert_eq!(error.reason(), "REVISION_MISMATCH", "{error}");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let gateway = start().await;
    let jobs = WorkQueueClient::open(&connect(&gateway), "jobs").await.unwrap();
    let wait = prost_types::Duration { seconds: 20, nanos: 0 };
    let request = TakeRequest { queue: "empty".to_owned(), wait: Some(wait), ..Default::default() };
    let short = jobs.with(CallOptions::new().timeout(Duration::from_millis(100)));
    match short.take(request).await {
        // The long poll ends before the deadline.
        Ok(reply) => assert!(reply.jobs.is_empty()),
        Err(error) => assert_eq!(error.code(), Code::DeadlineExceeded, "{error}"),
    }
}

#[tokio::test]
async fn a_gateway_that_is_down_is_reported_within_the_deadline() {
    let mut gateway = start().await;
    let connection = Connection::to(&gateway.url()).timeout(Duration::from_millis(500)).retry(patient()).connect().unwrap();
    let client = KeyValueClient::open(&connection, "default").await.unwrap();
    gateway.kill();
    let error = client.retrieve(RetrieveRequest { key: "a".to_owned() }).await.unwrap_err();
    assert!(matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded), "{error}");
}
