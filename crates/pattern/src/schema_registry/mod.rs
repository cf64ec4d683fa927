//! SchemaRegistry: versioned schemas under subjects, over the slot `storage`.
//!
//! The log of changes that all gateways share is a [`Journal`]. [`state`] is the result of these changes, in memory. The other modules
//! read the state and plan changes. Everything about the formats of schemas is in the crate `prism_schema`.

mod association;
mod basis;
mod candidate;
mod compatibility;
mod delete;
mod describe;
mod find;
mod govern;
mod identity;
mod import;
mod inline;
mod journal_state;
mod key;
mod parsed;
mod read;
mod reference;
mod refusal;
mod register;
mod reserved;
mod rule;
mod service;
mod setting;
mod settings;
mod state;
mod subject;
mod tag;
mod version_property;
#[cfg(test)]
mod tests;
mod work;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

pub use self::import::check_import;
use async_trait::async_trait;
use prost::Message as _;

use self::{parsed::ParsedSchemas, reference::SchemaMaterial, settings::SchemaRegistrySettings, state::State, subject::SubjectName};
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, required_interface};
use prism_call::{
    Context, Error, Handler, Input, Method, Output, Reply,
    proto::patterns::schema_registry::v1::{GetSchemaByIdRequest, dispatch_schema_registry},
};
use prism_journal::{AtomicWrite, Journal, Store};
use prism_schema::Schema;
use prism_settings::settings_schema;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "schema-registry",
    version: "v1",
    service: "prism.patterns.schema_registry.v1.SchemaRegistryService",
    interface_services: &[],
    schema: settings_schema::<SchemaRegistrySettings>,
    check: check_settings::<SchemaRegistrySettings>,
    open_handler: |slots, environment| Box::pin(async { SchemaRegistryHandler::open(slots, environment) }),
};

/// Bytes that an entry of the journal may have beside the text of a schema.
const ENTRY_BYTES: u64 = 64 << 10;
/// The RPC that clients call most. Its reply is cached in its encoded form, so it is sent without building a message. Requests that
/// the cache can't answer are dispatched like all other RPCs.
const BY_ID: &str = "GetSchemaById";
/// Operations in the transaction that appends to the journal: the entry before, and the head.
const TRANSACTION_OPERATIONS: u32 = 2;
/// Number of registration queues. Subjects share them by their hash.
const QUEUES: usize = 64;

/// The handler of one namespace.
struct SchemaRegistryHandler {
    registry: Arc<SchemaRegistry>,
}

/// The pattern in one namespace.
struct SchemaRegistry {
    journal: Arc<Journal<State>>,
    parsed: ParsedSchemas,
    /// Registrations wait here for others of the same subject, after their first attempt failed.
    queues: [tokio::sync::Mutex<()>; QUEUES],
    max_schema_bytes: usize,
    capabilities: NamespaceCapabilities,
}

impl SchemaRegistryHandler {
    /// Opens the handler, and reads the journal in the background, so that the first calls don't wait for it.
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: SchemaRegistrySettings = environment.settings()?;
        let slot = slots.required("storage")?;
        let basic = required_interface(&slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?;
        let scan = required_interface(&slot, "keyvalue_scan", slot.interfaces.keyvalue_scan.clone())?;
        let swap = match (slot.interfaces.keyvalue_transactional.clone(), slot.interfaces.keyvalue_cas.clone()) {
            (Some(interface), _) => AtomicWrite::Transactional(interface),
            (None, cas) => AtomicWrite::Cas(required_interface(&slot, "keyvalue_cas (or keyvalue_transactional)", cas)?),
        };
        let operations = if slot.interfaces.keyvalue_transactional.is_some() { TRANSACTION_OPERATIONS } else { 0 };
        let capabilities = slots.capabilities(&slot.limits, operations, environment);
        let by_driver = slot.limits.max_value_bytes.saturating_sub(ENTRY_BYTES);
        let most = (*settings.max_schema_bytes).min(environment.limits.max_message_bytes as u64).min(by_driver);
        let journal = Journal::new(Store { basic, scan, swap }, settings.journal_options(), environment.tasks.clone());
        journal.refresh_in_background(&environment.namespace);
        let registry = SchemaRegistry {
            journal,
            parsed: ParsedSchemas::new(settings.parsed_schemas()),
            queues: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            max_schema_bytes: usize::try_from(most).unwrap_or(usize::MAX),
            capabilities,
        };
        Ok(Arc::new(Self { registry: Arc::new(registry) }))
    }
}

impl SchemaRegistry {
    /// Returns a registered schema in its parsed form, from the cache or parsed now. Parsing takes long, so it belongs to [`work::run`].
    fn parsed(&self, material: &SchemaMaterial) -> Result<Arc<Schema>, Error> {
        if let Some(known) = self.parsed.get(material) {
            return Ok(known);
        }
        let stored = &material.schema;
        let parsed = Schema::parse_registered(stored.format, &stored.text, &material.dependencies).map_err(|invalid| {
            // An earlier release had no limits, and the canonical text can be longer than the text that was checked.
            if invalid.exceeds_budget {
                return refusal::stored_schema_too_complex(stored.id, &invalid.message);
            }
            Error::internal(format!("the schema with the id {} can no longer be parsed: {}", stored.id, invalid.message))
        })?;
        let parsed = Arc::new(parsed);
        self.parsed.put(material, parsed.clone());
        Ok(parsed)
    }

    /// Returns the queue for retries of registrations of a subject.
    fn queue(&self, name: &SubjectName) -> &tokio::sync::Mutex<()> {
        let mut hash = DefaultHasher::new();
        name.hash(&mut hash);
        // The remainder is always a valid index.
        let index = usize::try_from(hash.finish() % QUEUES as u64).unwrap_or_default();
        &self.queues[index]
    }
}

#[async_trait]
impl Handler for SchemaRegistryHandler {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        if method.name == BY_ID
            && let Input::One(message) = &input
            && let Some(reply) = self.registry.known_reply_by_id(context, &GetSchemaByIdRequest::decode(message.clone())?).await
        {
            return Ok(Output::One(reply.into()).into());
        }
        Ok(dispatch_schema_registry(self, context, &method.name, input).await?.into())
    }
}
