//! The state, and registries over one storage. The integration tests of the pattern check the RPCs.

#![allow(clippy::unwrap_used, clippy::pedantic)]

mod age;
mod identity;
mod inline;
mod race;

use std::{sync::Arc, time::Duration};

use super::{NamespaceCapabilities, SchemaRegistry, identity::Guid, parsed::ParsedSchemas, settings::SchemaRegistrySettings, state::State};
use prism_call::{
    BackgroundTasks, Context,
    proto::{
        Interfaces,
        journal::v1::{Operation, RemoveVersion, StoreSchema, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{RegisterSchemaRequest, RegisteredSchema, Schema},
    },
};
use prism_driver::{BackendSettings, Keyspace};
use prism_driver_memory::KIND;
use prism_journal::{AtomicWrite, Journal, JournalOptions, JournalState as _, Store};

/// A storage in memory.
async fn storage() -> Interfaces {
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (KIND.connect)(settings).await.unwrap();
    backend.keyspace(&Keyspace { namespace: "test".to_owned(), slot: "storage".to_owned() })
}

/// Creates the whole pattern of one gateway over the storage.
fn registry(storage: &Interfaces, options: JournalOptions) -> Arc<SchemaRegistry> {
    let Interfaces { keyvalue_basic, keyvalue_scan, keyvalue_transactional, .. } = storage.clone();
    let swap = AtomicWrite::Transactional(keyvalue_transactional.unwrap());
    let store = Store { basic: keyvalue_basic.unwrap(), scan: keyvalue_scan.unwrap(), swap };
    Arc::new(SchemaRegistry {
        journal: Journal::new(store, options, BackgroundTasks::default()),
        parsed: ParsedSchemas::new(SchemaRegistrySettings::default().parsed_schemas()),
        queues: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        max_schema_bytes: 1 << 20,
        capabilities: NamespaceCapabilities::default(),
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
