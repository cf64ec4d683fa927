//! The journal and the state, over a storage that fails on demand. The integration tests of the pattern check the RPCs.

#![allow(clippy::unwrap_used, clippy::pedantic)]

mod age;
mod disk;
mod faults;
mod gateways;
mod history;
mod identity;
mod inline;
mod race;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lru::LruCache;

use self::disk::Disk;
use super::{
    PARSED_SCHEMAS, SchemaRegistry,
    identity::Guid,
    journal::{Journal, Plan, Sizes},
    state::{State, StoredSchema},
    store::{AtomicWrite, Store},
};
use prism_call::{
    Context, Error,
    proto::{
        journal::v1::{Operation, RemoveVersion, StoreSchema, StoreVersion, operation::Change},
        patterns::{
            schema_registry::v1::{RegisterSchemaRequest, RegisteredSchema, Schema},
            slots::v1::Capabilities,
        },
    },
};

/// The interface of the storage that writes atomically.
#[derive(Clone, Copy, Debug)]
enum Step {
    Transactional,
    Cas,
}

const STEPS: [Step; 2] = [Step::Transactional, Step::Cas];

/// Sizes that are so small that snapshots and the like happen all the time.
const SMALL: Sizes = Sizes {
    inline_bytes: 150,
    snapshot_entries: 8,
    look_entries: 4,
    part_bytes: 300,
    touch_age: Duration::from_millis(500),
    max_age: Duration::from_secs(5),
};

/// Creates the journal of one gateway over the storage.
fn gateway(disk: &Arc<Disk>, step: Step, sizes: Sizes) -> Arc<Journal> {
    let swap = match step {
        Step::Transactional => AtomicWrite::Transactional(disk.clone()),
        Step::Cas => AtomicWrite::Cas(disk.clone()),
    };
    Journal::new(Store { basic: disk.clone(), scan: disk.clone(), swap }, sizes)
}

/// Creates the whole pattern of one gateway over the storage.
fn registry(disk: &Arc<Disk>, sizes: Sizes) -> Arc<SchemaRegistry> {
    Arc::new(SchemaRegistry {
        journal: gateway(disk, Step::Transactional, sizes),
        parsed: Mutex::new(LruCache::new(PARSED_SCHEMAS)),
        queues: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        max_schema_bytes: 1 << 20,
        capabilities: Capabilities::default(),
    })
}

/// Registers a text as a client does.
async fn registered(registry: &Arc<SchemaRegistry>, subject: &str, text: &str) -> RegisteredSchema {
    let request = RegisterSchemaRequest { subject: subject.to_owned(), schema: Some(schema(text)), ..RegisterSchemaRequest::default() };
    registry.register(&context(), request).await.unwrap()
}

fn context() -> Context {
    Context::internal("test")
}

fn schema(text: &str) -> Schema {
    Schema { schema_type: "AVRO".to_owned(), schema: text.to_owned(), ..Schema::default() }
}

fn operation(change: Change) -> Operation {
    Operation { change: Some(change) }
}

fn version(subject: &str, version: u32, id: u32, deleted: bool) -> Operation {
    let (context, subject) = (".".to_owned(), subject.to_owned());
    operation(Change::StoreVersion(StoreVersion { context, subject, version, id, deleted, register_millis: 7 }))
}

/// Plans a registration: version and id.
fn plan(state: &State, subject: &str, text: &str) -> Plan<(u32, u32)> {
    let space = state.space(".");
    let known = space.and_then(|space| space.id_of(&Guid::compute(text, &[], None, None)));
    let versions = space.and_then(|space| Some(&space.subjects.get(subject)?.versions));
    if let Some((number, one)) = versions.and_then(|versions| versions.iter().find(|(_, one)| Some(one.id) == known)) {
        return (Vec::new(), (*number, one.id));
    }
    let next = versions.and_then(|versions| versions.last_key_value()).map_or(0, |(number, _)| *number) + 1;
    let id = known.unwrap_or_else(|| space.map_or(0, |space| space.last_id) + 1);
    let mut operations = vec![version(subject, next, id, false)];
    if known.is_none() {
        operations.insert(0, operation(Change::StoreSchema(StoreSchema { context: ".".to_owned(), id, schema: Some(schema(text)) })));
    }
    (operations, (next, id))
}

async fn register(gateway: &Arc<Journal>, subject: &str, text: &str) -> Result<(u32, u32), Error> {
    gateway.change(&context(), |state| Ok(plan(state, subject, text))).await
}

/// Deletes the latest version of a subject permanently. Returns whether there was one.
async fn remove(gateway: &Arc<Journal>, subject: &str) -> Result<bool, Error> {
    let plan = |state: &State| {
        let versions = state.space(".").and_then(|space| Some(&space.subjects.get(subject)?.versions));
        let latest = versions.and_then(|versions| versions.last_key_value()).map(|(number, _)| *number);
        let gone = |version| RemoveVersion { context: ".".to_owned(), subject: subject.to_owned(), version };
        let operations: Vec<_> = latest.map(|version| operation(Change::RemoveVersion(gone(version)))).into_iter().collect();
        let done = !operations.is_empty();
        Ok((operations, done))
    };
    gateway.change(&context(), plan).await
}

/// Returns subject, version, id and text of all versions.
fn everything(state: &State) -> Vec<(String, u32, u32, String)> {
    let mut found = Vec::new();
    for (name, subject) in state.space(".").into_iter().flat_map(|space| &space.subjects) {
        for (number, one) in &subject.versions {
            let text = |stored: &Arc<StoredSchema>| stored.text.to_string();
            found.push((name.to_string(), *number, one.id, state.space(".").unwrap().schema(one.id).map(text).unwrap()));
        }
    }
    found
}

async fn read_all(gateway: &Arc<Journal>) -> Vec<(String, u32, u32, String)> {
    gateway.read_fresh(&context(), everything).await.unwrap()
}

/// Asserts that all gateways and a new one have the same state, and returns its content.
async fn assert_agreement(gateways: &[Arc<Journal>], disk: &Arc<Disk>) -> Vec<(String, u32, u32, String)> {
    let one = gateway(disk, Step::Transactional, SMALL);
    let expected = read_all(&one).await;
    for other in gateways {
        other.refresh(&context()).await.unwrap();
        one.read_known(|state| other.read_known(|theirs| assert!(state == theirs, "{state:#?}\n{theirs:#?}")));
    }
    expected
}
