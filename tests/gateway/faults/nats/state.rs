//! The server responds, but with errors or unexpected data.

use prism::{call::Code, proto::models::keyvalue::v1::DeleteRequest};
use serde_json::json;
use test_support::servers::{Nats, NatsOptions};

use super::super::{backend, connected, context, get, healthy, keyvalue, set, slot};

#[tokio::test]
async fn full_server_refuses_writes_and_serves_reads() {
    let configuration = "accounts { a: { users: [{ user: a, password: a }], jetstream: { max_store: 6MB } } }\nno_auth_user: a";
    let server = Nats::start_with(NatsOptions { configuration: configuration.to_owned(), ..NatsOptions::default() }).unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    let mut stored = Vec::new();
    let error = loop {
        let key = format!("k{}", stored.len());
        match set(&store, &key, vec![1; 256 << 10]).await {
            Ok(_) => stored.push(key),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "the server never runs out of space");
    };
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "BACKEND_FULL"), "{error:?}");
    // No refused write is stored, and deleting makes room again.
    assert_eq!(get(&store, &format!("k{}", stored.len())).await.unwrap(), None);
    for key in &stored {
        assert_eq!(get(&store, key).await.unwrap().unwrap().len(), 256 << 10);
        let request = DeleteRequest { key: key.clone().into() };
        assert!(store.delete(&context(), request).await.unwrap().deleted);
    }
    set(&store, "again", "v").await.unwrap();
}

#[tokio::test]
async fn values_that_the_server_does_not_take_are_refused() {
    // The last one of two settings counts.
    let server = Nats::start_with(NatsOptions { configuration: "max_payload: 512KB".to_owned(), ..NatsOptions::default() }).unwrap();
    let backend = backend("nats", json!({"url": server.url()})).await;
    healthy(&backend).await;
    let limit = usize::try_from(slot(&backend).limits.max_value_bytes).unwrap();
    assert_eq!(limit, (512 - 128) << 10);
    let store = keyvalue(&backend);
    set(&store, "k", vec![1; limit]).await.unwrap();
    let error = set(&store, "k", vec![1; limit + 1]).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, "VALUE_TOO_LARGE"), "{error:?}");
    assert_eq!(error.get("limit"), Some(limit.to_string().as_str()));
}

#[tokio::test]
async fn streams_of_other_programs_are_not_touched() {
    let server = Nats::start().unwrap();
    let other = backend("nats", json!({"url": server.url(), "subject_prefix": "prism.shop.data."})).await;
    healthy(&other).await;
    // Its streams have subjects below those of this keyspace, but other names.
    set(&keyvalue(&other), "k", "theirs").await.unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "mine").await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "mine");
    assert_eq!(get(&keyvalue(&other), "k").await.unwrap().unwrap(), "theirs");
}

#[tokio::test]
async fn without_jetstream() {
    let server = Nats::start_with(NatsOptions {
        configuration: "accounts { a: { users: [{ user: a, password: a }] } }\nno_auth_user: a".to_owned(),
        ..NatsOptions::default()
    })
    .unwrap();
    let backend = backend("nats", json!({"url": server.url()})).await;
    let error = loop {
        match backend.health().await {
            Err(error) if error.message().contains("can't be reached") => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "BACKEND_UNSUPPORTED"), "{error:?}");
}
