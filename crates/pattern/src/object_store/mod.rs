//! ObjectStore: objects of any size under keys, over the slot `storage`.
//!
//! Contents pass through as they arrive. The pattern adds what clients of HTTP expect: lists of ETags, the text form of ranges, and a limit
//! of the size.

mod etag;
mod get;
mod list;
mod put;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use self::settings::ObjectStoreSettings;
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, required_interface};
use prism_call::{
    Code, Context, Error, Handler, Input, Method, Reply,
    proto::{
        models::blob::v1::{BlobBasic, BlobConditional, BlobList, BlobMetadata},
        patterns::object_store::v1::{Object, dispatch_object_store},
    },
};
use prism_settings::settings_schema;
use prism_slot::{Limits, check};

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "object-store",
    version: "v1",
    service: "prism.patterns.object_store.v1.ObjectStoreService",
    interface_services: &[],
    schema: settings_schema::<ObjectStoreSettings>,
    check: check_settings::<ObjectStoreSettings>,
    open_handler: |slots, environment| Box::pin(async { ObjectStore::open(slots, environment) }),
};

/// Greatest length of a key, so that every key fits in a URL; a driver's limit may be tighter.
const MAX_KEY_BYTES: u64 = 1024;

/// The pattern in one namespace.
pub struct ObjectStore {
    basic: Arc<dyn BlobBasic>,
    list: Option<Arc<dyn BlobList>>,
    conditional: Option<Arc<dyn BlobConditional>>,
    /// Name of the backend, for error messages.
    backend: String,
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl ObjectStore {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: ObjectStoreSettings = environment.settings()?;
        let slot = slots.required("storage")?;
        let basic = required_interface(&slot, "blob_basic", slot.interfaces.blob_basic.clone())?;
        let limits = Limits {
            max_key_bytes: slot.limits.max_key_bytes.min(MAX_KEY_BYTES),
            max_value_bytes: *settings.max_object_size,
            max_batch_items: 0,
        };
        let capabilities = slots.capabilities(&limits, 0, environment);
        Ok(Arc::new(Self {
            basic,
            list: slot.interfaces.blob_list,
            conditional: slot.interfaces.blob_conditional,
            backend: slot.backend,
            limits,
            capabilities,
        }))
    }

    /// Returns an optional interface, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the RPC that needs it.
    fn require<'a, T: ?Sized>(&self, implementation: Option<&'a Arc<T>>, rpc: &str, interface: &str) -> Result<&'a Arc<T>, Error> {
        implementation.ok_or_else(|| Error::capability_unavailable(rpc, interface, &self.backend))
    }

    fn check_key(&self, key: &str) -> Result<(), Error> {
        check::key(&self.limits, key.as_bytes())
    }
}

#[async_trait]
impl Handler for ObjectStore {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_object_store(self, context, &method.name, input).await?.into())
    }
}

/// Converts metadata of the backend to that of the pattern.
fn to_object(metadata: BlobMetadata) -> Object {
    let BlobMetadata { key, size, etag, content_type, attributes, update_time } = metadata;
    Object { key, size, etag, content_type, attributes, update_time }
}

/// Returns the error for a missing object. The message does not contain the key, which may be private: messages end up in logs.
fn not_found() -> Error {
    Error::new(Code::NotFound, "OBJECT_NOT_FOUND", "there is no object with this key; it was never stored, or it was deleted")
}
