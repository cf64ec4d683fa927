//! What a gateway leaves behind that is killed between the two steps of an append.

#![allow(clippy::unwrap_used, clippy::pedantic)]

use std::{sync::Arc, time::Duration};

use super::{
    log::{Append, Log},
    store::{Head, Store},
};
use futures::TryStreamExt as _;
use prism_call::{
    Context,
    proto::event_sourcing::v1::{Commit, CommittedEvent},
};
use prism_driver::{Backend, BackendSettings, Keyspace};
use prism_driver_memory::KIND;
use prism_slot::Slot;

async fn backend() -> Arc<dyn Backend> {
    (KIND.connect)(BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() }).await.unwrap()
}

fn store(backend: &Arc<dyn Backend>) -> Store {
    let keyspace = Keyspace { namespace: "test".to_owned(), slot: "events".to_owned() };
    Store::new(&Slot::fill(&keyspace, "ram", "memory", &**backend)).unwrap()
}

fn events(kinds: &[&str]) -> Vec<CommittedEvent> {
    kinds.iter().map(|kind| CommittedEvent { r#type: (*kind).to_owned(), ..CommittedEvent::default() }).collect()
}

/// Appends as a gateway does that is killed at once: the commit is in `head`, and nowhere else.
async fn append_and_die(backend: &Arc<dyn Backend>, aggregate: &str, kinds: &[&str]) -> Head {
    let (store, context) = (store(backend), Context::internal("test"));
    let head = store.head(&context).await.unwrap();
    let version = store.version(&context, aggregate).await.unwrap();
    let commit = Commit {
        aggregate: aggregate.to_owned(),
        first_version: version + 1,
        first_position: head.position() + 1,
        events: events(kinds),
        ..Commit::default()
    };
    store.replace(&context, &head, commit).await.unwrap().unwrap()
}

fn log(backend: &Arc<dyn Backend>) -> Log {
    Log::new(store(backend), None, Duration::from_millis(10), 1 << 20)
}

async fn kinds(log: &Log, aggregate: &str) -> Vec<String> {
    let context = Context::internal("test");
    let version = log.settled_version(&context, aggregate).await.unwrap();
    let events: Vec<_> = log.store.events(&context, aggregate.to_owned(), 1, version).await.unwrap().try_collect().await.unwrap();
    events.into_iter().map(|event| event.r#type).collect()
}

#[tokio::test]
async fn the_next_call_settles_the_events_of_a_killed_gateway() {
    let context = Context::internal("test");
    for aggregate in ["a", "b"] {
        let backend = backend().await;
        append_and_die(&backend, "a", &["one", "two"]).await;
        // A version, a load, and an append to the same or another aggregate.
        assert_eq!(log(&backend).version(&context, "a").await.unwrap(), 2);
        let append =
            Append { aggregate: aggregate.to_owned(), expected_version: None, events: events(&["three"]), first_id: String::new() };
        let appended = log(&backend).append(&context, append).await.unwrap();
        assert_eq!((appended.position, appended.version), (3, if aggregate == "a" { 3 } else { 1 }));
        assert_eq!(kinds(&log(&backend), "a").await[..2], ["one", "two"]);
        assert_eq!(log(&backend).settled_head(&context).await.unwrap().position(), 3);
    }
    let backend = backend().await;
    append_and_die(&backend, "a", &["one"]).await;
    assert_eq!(kinds(&log(&backend), "a").await, ["one"]);
}

#[tokio::test]
async fn a_slow_gateway_that_settles_an_old_commit_changes_nothing() {
    let (backend, context) = (backend().await, Context::internal("test"));
    let old = append_and_die(&backend, "a", &["one"]).await;
    let append = |kind| Append { aggregate: "a".to_owned(), expected_version: None, events: events(&[kind]), first_id: String::new() };
    log(&backend).append(&context, append("two")).await.unwrap();
    store(&backend).settle(&context, &old).await.unwrap();
    assert_eq!(log(&backend).version(&context, "a").await.unwrap(), 2);
    log(&backend).append(&context, append("three")).await.unwrap();
    assert_eq!(kinds(&log(&backend), "a").await, ["one", "two", "three"]);
    // It has lost the race for its own commit.
    assert!(store(&backend).replace(&context, &old, Commit::default()).await.unwrap().is_none());
}
