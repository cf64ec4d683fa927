//! Registrations in the slot `registry`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;

use super::identity::{self, MAILBOXES, REGISTRATIONS};
use crate::required_interface;
use prism_call::{
    Code, Context, Error, Messages,
    proto::{
        models::keyvalue::v1::{
            DeleteRequest, Entry, ExistsRequest, ExpireRequest, GetRequest, KeyValueBasic, KeyValueScan, KeyValueTtl, ScanKeysRequest,
            ScanRequest, SetRequest,
        },
        multicast::v1::RegistrationRecord,
        patterns::multicast_registry::v1::{Identity, RegisterRequest},
    },
};
use prism_slot::{Slot, time};

/// Shortest time to live.
const MIN_TTL: Duration = Duration::from_secs(1);

/// The registrations of a namespace.
pub struct Registrations {
    basic: Arc<dyn KeyValueBasic>,
    scan: Arc<dyn KeyValueScan>,
    ttl: Option<Arc<dyn KeyValueTtl>>,
    /// Name of the backend, for error messages.
    backend: String,
    /// Most bytes of a record.
    max_bytes: u64,
}

/// A registration that a scan has found.
pub struct ScannedRegistration {
    pub identity: String,
    /// The record, encoded.
    pub record: Bytes,
    pub expire_time: Option<prost_types::Timestamp>,
    pub cursor: String,
}

impl Registrations {
    pub fn new(slot: &Slot, max_bytes: u64) -> Result<Self, Error> {
        Ok(Self {
            basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
            scan: required_interface(slot, "keyvalue_scan", slot.interfaces.keyvalue_scan.clone())?,
            ttl: slot.interfaces.keyvalue_ttl.clone(),
            backend: slot.backend.clone(),
            max_bytes: max_bytes.min(slot.limits.max_value_bytes),
        })
    }

    /// Stores a registration. `with_mailbox`: notes that the identity may have a queue.
    pub async fn register(&self, context: &Context, request: RegisterRequest, with_mailbox: bool) -> Result<Identity, Error> {
        let RegisterRequest { identity, metadata, tags, ttl } = request;
        identity::check_identity(&identity)?;
        identity::check_tags(&tags)?;
        let metadata = metadata.unwrap_or_default();
        identity::check_metadata(&metadata)?;
        let ttl = ttl.map(|ttl| time::between("ttl", &ttl, MIN_TTL, time::MAX_TTL)).transpose();
        let ttl = ttl.map_err(|error| error.with_reason("INVALID_TTL"))?.map(time::ceil_millis);
        if ttl.is_some() {
            self.ttl("Register with `ttl`")?;
        }
        let now = time::now();
        let record =
            RegistrationRecord { metadata: Some(metadata), tags, register_time: Some(time::timestamp(now)), ttl_ms: ttl.unwrap_or(0) };
        let value = record.encode_to_vec();
        if value.len() as u64 > self.max_bytes {
            let problem = format!("the registration would have {} bytes; at most {} are allowed", value.len(), self.max_bytes);
            return Err(Error::invalid("metadata", problem)
                .with_reason("REGISTRATION_TOO_LARGE")
                .with("limit", self.max_bytes.to_string()));
        }
        let key = identity::key(REGISTRATIONS, &identity);
        self.basic.set(context, SetRequest { key, value: value.into(), ttl: ttl.map(time::duration), flags: 0 }).await?;
        if with_mailbox {
            // The last write, so that no sweep that began before removes it for good.
            self.mark_mailbox(context, &identity).await?;
        }
        Ok(to_identity(identity, record, ttl.map(|ttl| time::timestamp(now.saturating_add(ttl)))))
    }

    /// Returns a registration.
    ///
    /// Errors: `NOT_FOUND IDENTITY_NOT_FOUND`.
    pub async fn get(&self, context: &Context, identity: String) -> Result<Identity, Error> {
        identity::check_identity(&identity)?;
        let key = identity::key(REGISTRATIONS, &identity);
        let Entry { value, expire_time, .. } = self.basic.get(context, GetRequest { key }).await?.entry.ok_or_else(not_found)?;
        Ok(to_identity(identity, decode(value)?, expire_time))
    }

    /// Whether an identity is registered.
    pub async fn contains(&self, context: &Context, identity: &str) -> Result<bool, Error> {
        let key = identity::key(REGISTRATIONS, identity);
        Ok(self.basic.exists(context, ExistsRequest { key }).await?.exists)
    }

    /// Renews a registration. Returns when it ends now.
    ///
    /// Errors: `NOT_FOUND IDENTITY_NOT_FOUND`.
    pub async fn renew(&self, context: &Context, identity: &str) -> Result<Option<prost_types::Timestamp>, Error> {
        let ttl = self.ttl("Heartbeat")?;
        let found = self.get(context, identity.to_owned()).await?;
        let Some(wanted) = found.ttl else { return Ok(None) };
        let key = identity::key(REGISTRATIONS, identity);
        let done = ttl.expire(context, ExpireRequest { key, ttl: Some(wanted) }).await?;
        if done.found { Ok(done.expire_time) } else { Err(not_found()) }
    }

    /// Removes a registration. Returns whether it was there.
    pub async fn remove(&self, context: &Context, identity: &str) -> Result<bool, Error> {
        let key = identity::key(REGISTRATIONS, identity);
        Ok(self.basic.delete(context, DeleteRequest { key }).await?.deleted)
    }

    /// Streams all registrations behind a cursor. The driver holds one page of them.
    pub async fn scan(&self, context: &Context, cursor: String) -> Result<Messages<ScannedRegistration>, Error> {
        let request = ScanRequest { prefix: REGISTRATIONS.into(), cursor, ..ScanRequest::default() };
        let entries = self.scan.scan(context, request).await?;
        Ok(Box::pin(entries.try_filter_map(async |found| {
            // Filters are work between two pages, so other tasks of this thread get their turn.
            tokio::task::consume_budget().await;
            let Entry { key, value, expire_time, .. } = found.entry.unwrap_or_default();
            let identity = identity::identity_of(&key, REGISTRATIONS).map(str::to_owned);
            Ok(identity.map(|identity| ScannedRegistration { identity, record: value, expire_time, cursor: found.cursor }))
        })))
    }

    /// Streams the identities below a prefix, in the order of their bytes.
    pub async fn identities(&self, context: &Context, prefix: &'static str) -> Result<Messages<String>, Error> {
        let request = ScanKeysRequest { prefix: prefix.into(), ..ScanKeysRequest::default() };
        let keys = self.scan.scan_keys(context, request).await?;
        let identity = move |key: &[u8]| identity::identity_of(key, prefix).map(str::to_owned);
        Ok(keys.try_filter_map(move |found| std::future::ready(Ok(identity(&found.key)))).boxed())
    }

    /// Notes that an identity may have a queue.
    pub async fn mark_mailbox(&self, context: &Context, identity: &str) -> Result<(), Error> {
        let key = identity::key(MAILBOXES, identity);
        self.basic.set(context, SetRequest { key, ..SetRequest::default() }).await?;
        Ok(())
    }

    /// Notes that an identity has no queue, unless it is registered again meanwhile.
    pub async fn unmark_mailbox(&self, context: &Context, identity: &str) -> Result<(), Error> {
        self.basic.delete(context, DeleteRequest { key: identity::key(MAILBOXES, identity) }).await?;
        if self.contains(context, identity).await? {
            self.mark_mailbox(context, identity).await?;
        }
        Ok(())
    }

    fn ttl(&self, what: &str) -> Result<&Arc<dyn KeyValueTtl>, Error> {
        self.ttl.as_ref().ok_or_else(|| Error::capability_unavailable(what, "keyvalue_ttl", &self.backend))
    }
}

impl ScannedRegistration {
    /// Decodes the record.
    pub fn into_identity(self) -> Result<Identity, Error> {
        Ok(to_identity(self.identity, decode(self.record)?, self.expire_time))
    }
}

fn decode(value: Bytes) -> Result<RegistrationRecord, Error> {
    RegistrationRecord::decode(value).map_err(|error| {
        Error::new(Code::DataLoss, "REGISTRATION_UNREADABLE", "a stored registration can't be read; it was not written by Prism")
            .with_source(error)
    })
}

fn to_identity(identity: String, record: RegistrationRecord, expire_time: Option<prost_types::Timestamp>) -> Identity {
    let RegistrationRecord { metadata, tags, register_time, ttl_ms } = record;
    Identity { identity, metadata, tags, register_time, ttl: (ttl_ms > 0).then(|| time::duration(ttl_ms)), expire_time }
}

/// `NOT_FOUND IDENTITY_NOT_FOUND`
pub fn not_found() -> Error {
    Error::new(Code::NotFound, "IDENTITY_NOT_FOUND", "this identity is not registered; its registration may have ended")
}
