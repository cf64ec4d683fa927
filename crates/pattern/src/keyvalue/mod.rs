//! KeyValue: values under keys, over the slot `storage`, with an optional `cache`, and an outbox if the slot `messaging` is filled.

mod batch;
mod cache;
mod compare;
mod range;
mod scan;
mod service;
mod settings;
mod transact;
mod watch;

use std::{fmt::Display, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use prost_types::Duration;

use self::settings::KeyValueSettings;
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, outbox::Outbox, required_interface};
use prism_call::{
    Context, Error, Handler, Input, Method, Reply,
    proto::{
        models::keyvalue::v1::{
            Entry, KeyValueBasic, KeyValueBatch, KeyValueCas, KeyValueScan, KeyValueTransactional, KeyValueTtl, KeyValueWatch, SetRequest,
        },
        patterns::keyvalue::v1::{RetrieveResponse, StoreRequest, dispatch_key_value},
    },
};
use prism_settings::settings_schema;
use prism_slot::{Limits, check, time};

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "keyvalue",
    version: "v1",
    service: "prism.patterns.keyvalue.v1.KeyValueService",
    interface_services: &[],
    schema: settings_schema::<KeyValueSettings>,
    check: check_settings::<KeyValueSettings>,
    open_handler: |slots, environment| Box::pin(async { KeyValue::open(slots, environment) }),
};

/// Greatest length of a key, so that every key fits in a URL; a driver's limit may be tighter.
const MAX_KEY_BYTES: u64 = 1024;
/// Greatest number of items in a batch; a driver's limit may be tighter.
const MAX_BATCH_ITEMS: u32 = 1000;
/// Greatest number of conditions, and of operations in each list, in a transaction.
const MAX_TRANSACTION_OPERATIONS: u32 = 128;

/// The pattern in one namespace.
///
/// Checks requests before it calls a driver, so that errors name the fields of this service and not those of the interfaces below it.
pub struct KeyValue {
    basic: Arc<dyn KeyValueBasic>,
    scan: Option<Arc<dyn KeyValueScan>>,
    ttl: Option<Arc<dyn KeyValueTtl>>,
    batch: Option<Arc<dyn KeyValueBatch>>,
    cas: Option<Arc<dyn KeyValueCas>>,
    transactional: Option<Arc<dyn KeyValueTransactional>>,
    watch: Option<Arc<dyn KeyValueWatch>>,
    outbox: Option<Outbox>,
    /// Name of the backend, for error messages.
    backend: String,
    /// The tightest of the limits of the driver, the namespace and the pattern.
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl KeyValue {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: KeyValueSettings = environment.settings()?;
        let mut slot = slots.required("storage")?;
        // The relay of the outbox reads what the cache does not have.
        let outbox = Outbox::open(slots, &slot, settings.outbox, environment)?;
        if let Some(cache) = slots.optional("cache") {
            slot.interfaces = cache::wrap(slot.interfaces, &cache, settings.cache, environment)?;
            slots.add_layer("storage", cache::LAYER);
        }
        let basic = required_interface(&slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?;
        let limits = Limits {
            max_key_bytes: slot.limits.max_key_bytes.min(MAX_KEY_BYTES),
            max_value_bytes: slot.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64),
            max_batch_items: slot.limits.max_batch_items.min(MAX_BATCH_ITEMS),
        };
        let max_transaction_operations = if slot.interfaces.keyvalue_transactional.is_some() { MAX_TRANSACTION_OPERATIONS } else { 0 };
        let capabilities = slots.capabilities(&limits, max_transaction_operations, environment);
        let interfaces = slot.interfaces;
        Ok(Arc::new(Self {
            basic,
            scan: interfaces.keyvalue_scan,
            ttl: interfaces.keyvalue_ttl,
            batch: interfaces.keyvalue_batch,
            cas: interfaces.keyvalue_cas,
            transactional: interfaces.keyvalue_transactional,
            watch: interfaces.keyvalue_watch,
            outbox,
            backend: slot.backend,
            limits,
            capabilities,
        }))
    }

    /// Returns an optional interface, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the RPC that needs it.
    fn require<'a, T: ?Sized>(&self, implementation: Option<&'a Arc<T>>, rpc: &str, interface: &str) -> Result<&'a Arc<T>, Error> {
        implementation.ok_or_else(|| Error::capability_unavailable(rpc, interface, &self.backend))
    }

    /// Checks the key in a field of the request, and converts it to the type that interfaces take.
    fn check_key(&self, field: impl Display, key: String) -> Result<Bytes, Error> {
        let key = Bytes::from(key.into_bytes());
        check::key_at(&self.limits, field, &key)?;
        Ok(key)
    }

    /// Checks a value and its time to live. `path` is the path of the message that they are in, with a dot at its end.
    fn check_value(&self, rpc: &str, path: impl Display, value: &[u8], ttl: Option<&Duration>) -> Result<(), Error> {
        check::value(&self.limits, format_args!("{path}value"), value)?;
        if ttl.is_some() {
            self.require(self.ttl.as_ref(), &format!("{rpc} with a ttl"), "keyvalue_ttl")?;
            time::expiry_at(format_args!("{path}ttl"), ttl)?;
        }
        Ok(())
    }

    /// Checks a write, and converts it to the request of the interface.
    fn check_store(&self, rpc: &str, path: impl Display, request: StoreRequest) -> Result<SetRequest, Error> {
        let StoreRequest { key, value, ttl, flags } = request;
        let key = self.check_key(format_args!("{path}key"), key)?;
        self.check_value(rpc, path, &value, ttl.as_ref())?;
        Ok(SetRequest { key, value, ttl, flags })
    }
}

#[async_trait]
impl Handler for KeyValue {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_key_value(self, context, &method.name, input).await?.into())
    }
}

/// Converts an entry of the backend to the response of the pattern.
fn to_response(entry: Entry) -> RetrieveResponse {
    let Entry { key: _, value, revision, expire_time, flags, create_revision, version } = entry;
    RetrieveResponse { value, revision, expire_time, flags, create_revision, version }
}

/// Converts a key that a request of this pattern named, so it is UTF-8.
fn key_text(key: Bytes) -> String {
    String::from_utf8(key.into()).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}
