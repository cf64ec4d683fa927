//! SchemaRegistry: versioned schemas under subjects, over the slot `storage`.
//!
//! [`journal`] agrees with other gateways on what was done, [`state`] is what that comes to, and the rest reads it and plans changes
//! of it. What schemas mean is [`crate::schema`]'s business.

mod association;
mod candidate;
mod compatibility;
mod delete;
mod govern;
mod identity;
mod inline;
mod journal;
mod key;
mod read;
mod reference;
mod refusal;
mod register;
mod replica;
mod rule;
mod service;
mod setting;
mod snapshot;
mod state;
mod store;
mod subject;
mod tag;
#[cfg(test)]
mod tests;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use lru::LruCache;
use prost::Message as _;

use self::{
    journal::{Journal, Sizes},
    reference::Material,
    state::Stored,
    store::{Store, Swap},
    subject::Name,
};
use super::{Facts, Pattern, Slots, capabilities, required};
use prism_call::{
    Context, Error, Handler, Input, Method, Output, Reply,
    proto::patterns::{
        schema_registry::v1::{GetSchemaByIdRequest, dispatch_schema_registry},
        slots::v1::Capabilities,
    },
};
use prism_schema::Schema;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "schema-registry",
    version: "v1",
    service: "prism.patterns.schema_registry.v1.SchemaRegistryService",
    build: Registry::build,
};

/// Longest text of a schema; the backend's and the namespace's limits may be tighter.
const MAX_SCHEMA_BYTES: u64 = 1 << 20;
/// What an entry of the journal may have beside the text of a schema.
const ENTRY_BYTES: u64 = 64 << 10;
/// Schemas that are kept ready to be compared.
const PARSED_SCHEMAS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127);
/// What clients ask most: its answer is kept encoded beside the schema, so it is told before anything is decoded into a message and encoded
/// again. What is not told there goes the way of all RPCs.
const BY_ID: &str = "GetSchemaById";
/// Operations in the transaction that appends to the journal: the entry before, and the head.
const TRANSACTION_OPERATIONS: u32 = 2;
/// Queues of registrations; subjects share them by their hash.
const QUEUES: usize = 64;

/// The handler of one namespace.
struct Registry {
    registry: Arc<SchemaRegistry>,
}

/// Schemas that are ready to be compared, by context and id, each with what it was read from: an id may lead to something else
/// after a deletion for good.
type Parsed = LruCache<(Arc<str>, u32), (Arc<Stored>, Arc<Schema>)>;

/// The pattern in one namespace.
struct SchemaRegistry {
    journal: Arc<Journal>,
    parsed: Mutex<Parsed>,
    /// Where those queue who register under the same subject, and were too late before.
    queues: [tokio::sync::Mutex<()>; QUEUES],
    max_schema_bytes: usize,
    /// The answer of GetCapabilities: nothing in it changes while the namespace is there.
    capabilities: Capabilities,
}

impl Registry {
    fn build(slots: &mut Slots, facts: &Facts) -> Result<Arc<dyn Handler>, Error> {
        let slot = slots.required("storage")?;
        let basic = required(&slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?;
        let scan = required(&slot, "keyvalue_scan", slot.interfaces.keyvalue_scan.clone())?;
        let swap = match (slot.interfaces.keyvalue_transactional.clone(), slot.interfaces.keyvalue_cas.clone()) {
            (Some(interface), _) => Swap::Transactional(interface),
            (None, cas) => Swap::Cas(required(&slot, "keyvalue_cas (or keyvalue_transactional)", cas)?),
        };
        let most = MAX_SCHEMA_BYTES.min(facts.limits.max_message_bytes as u64).min(slot.limits.max_value_bytes.saturating_sub(ENTRY_BYTES));
        let registry = SchemaRegistry {
            journal: Journal::new(Store { basic, scan, swap }, Sizes::default()),
            parsed: Mutex::new(LruCache::new(PARSED_SCHEMAS)),
            queues: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            max_schema_bytes: usize::try_from(most).unwrap_or(usize::MAX),
            capabilities: capabilities::describe(&PATTERN, &slot, &slot.limits, TRANSACTION_OPERATIONS, facts),
        };
        Ok(Arc::new(Self { registry: Arc::new(registry) }))
    }
}

impl SchemaRegistry {
    /// A registered schema, ready to be compared.
    fn parsed(&self, material: &Material) -> Result<Arc<Schema>, Error> {
        let key = (material.context.clone(), material.schema.id);
        let stored = &material.schema;
        if let Some((of, known)) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && Arc::ptr_eq(of, stored)
        {
            return Ok(known.clone());
        }
        let parsed = Schema::parse(stored.format, &stored.text, &material.dependencies)
            .map_err(|error| Error::internal(format!("the schema with the id {} can't be read any more: {}", stored.id, error.message)))?;
        let parsed = Arc::new(parsed);
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).put(key, (stored.clone(), parsed.clone()));
        Ok(parsed)
    }

    /// Those who were too late for a subject don't get into each other's way again.
    fn queue(&self, name: &Name) -> &tokio::sync::Mutex<()> {
        let mut hash = DefaultHasher::new();
        name.hash(&mut hash);
        // A remainder is always one of the places.
        let place = usize::try_from(hash.finish() % QUEUES as u64).unwrap_or_default();
        &self.queues[place]
    }
}

/// Work that takes its time, away from the threads that serve calls.
async fn heavy<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(format!("a schema could not be worked on: {error}")))?
}

#[async_trait]
impl Handler for Registry {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        if method.name == BY_ID
            && let Input::One(message) = &input
            && let Some(told) = self.registry.known_by_id(context, &GetSchemaByIdRequest::decode(message.clone())?).await
        {
            return Ok(Output::One(told).into());
        }
        Ok(dispatch_schema_registry(self, context, &method.name, input).await?.into())
    }
}
