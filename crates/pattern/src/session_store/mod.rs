//! SessionStore: sessions of users over a key-value slot.
//!
//! A session is one value whose time to live is the end of the session, so that backends end idle sessions by themselves. Changes are
//! compare-and-swap, so that concurrent requests of one session lose nothing. An index entry for each session finds those of a user; it is
//! written before the session and removed after it, so no session is missing from the index.
//!
//! If the slot `messaging` is filled, each change of a session is a transaction that also stores an event in an outbox.

mod change;
mod events;
mod service;
mod settings;
mod token;
mod users;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;

use self::{
    events::{About, Event, Events},
    settings::SessionStoreSettings,
    token::{SessionId, Token},
};
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, required_interface};
use prism_call::{
    Code, Context, Error, Handler, Input, Method, Reply,
    proto::{
        models::keyvalue::v1::{
            CompareAndSwapRequest, DeleteRequest, Entry, ExpireRequest, GetRequest, KeyValueBasic, KeyValueCas, KeyValueScan, KeyValueTtl,
            SetRequest,
        },
        patterns::session_store::v1::{Session, dispatch_session_store},
        session_store::v1::SessionRecord,
    },
};
use prism_settings::settings_schema;
use prism_slot::{
    Limits,
    time::{self, Millis},
};

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "session-store",
    version: "v1",
    service: "prism.patterns.session_store.v1.SessionStoreService",
    interface_services: &[],
    schema: settings_schema::<SessionStoreSettings>,
    check: check_settings::<SessionStoreSettings>,
    open_handler: |slots, environment| Box::pin(async { SessionStore::open(slots, environment) }),
};

/// Greatest length of a user in bytes. The proto states it.
const MAX_USER_BYTES: usize = 256;
/// Greatest number of entries of data in a session. The proto states it.
const MAX_DATA_ENTRIES: usize = 256;
/// Greatest length of the name of an entry in bytes. The proto states it.
const MAX_NAME_BYTES: usize = 256;

/// The pattern in one namespace.
pub struct SessionStore {
    basic: Arc<dyn KeyValueBasic>,
    ttl: Arc<dyn KeyValueTtl>,
    cas: Arc<dyn KeyValueCas>,
    scan: Option<Arc<dyn KeyValueScan>>,
    events: Option<Events>,
    /// Name of the backend, for error messages.
    backend: String,
    settings: SessionStoreSettings,
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl SessionStore {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: SessionStoreSettings = environment.settings()?;
        let slot = slots.required("sessions")?;
        let events = Events::open(slots, &slot, &settings, environment)?;
        let basic = required_interface(&slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?;
        let ttl = required_interface(&slot, "keyvalue_ttl", slot.interfaces.keyvalue_ttl.clone())?;
        let cas = required_interface(&slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?;
        let max_value_bytes = slot.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64).min(*settings.max_session_size);
        let limits = Limits { max_value_bytes, max_batch_items: 0, ..slot.limits };
        let capabilities = slots.capabilities(&limits, 0, environment);
        Ok(Arc::new(Self {
            basic,
            ttl,
            cas,
            scan: slot.interfaces.keyvalue_scan,
            events,
            backend: slot.backend,
            settings,
            limits,
            capabilities,
        }))
    }

    /// Returns the interface that lists keys, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the RPC that needs it.
    fn scan(&self, rpc: &str) -> Result<&Arc<dyn KeyValueScan>, Error> {
        self.scan.as_ref().ok_or_else(|| Error::capability_unavailable(rpc, "keyvalue_scan", &self.backend))
    }

    /// Returns the session that a token opens.
    async fn open_session(&self, context: &Context, token: &str) -> Result<(Token, StoredSession), Error> {
        let token = Token::parse(token)?;
        let stored = self.read(context, &token.id).await?.filter(|stored| stored.is_opened_by(&token));
        stored.map(|stored| (token, stored)).ok_or_else(not_found)
    }

    /// Reads a session by its id.
    async fn read(&self, context: &Context, id: &SessionId) -> Result<Option<StoredSession>, Error> {
        let found = self.basic.get(context, GetRequest { key: id.key() }).await?;
        found.entry.map(|entry| StoredSession::decode(id.clone(), entry)).transpose()
    }

    /// Moves the expiration of a session that is being used, unless it was moved a moment ago.
    async fn touch(&self, context: &Context, stored: &mut StoredSession) -> Result<(), Error> {
        let now = time::now();
        let wanted = expiration(&stored.record, now);
        if wanted - stored.expires <= stored.record.idle_timeout_ms / 10 {
            return Ok(());
        }
        let ttl = Some(time::duration((wanted - now).max(1)));
        let done = self.ttl.expire(context, ExpireRequest { key: stored.id.key(), ttl }).await?;
        if !done.found {
            return Err(not_found());
        }
        stored.expires = wanted;
        Ok(())
    }

    /// Stores a session, if it has the expected revision; without one, in any case. Returns the new revision, or `None` if it has another one.
    async fn write(
        &self,
        context: &Context,
        about: About<'_>,
        request: SetRequest,
        expected_revision: Option<u64>,
    ) -> Result<Option<u64>, Error> {
        if let Some(events) = &self.events {
            return events.store(context, about, request, expected_revision).await;
        }
        let Some(expected_revision) = expected_revision else { return Ok(Some(self.basic.set(context, request).await?.revision)) };
        let SetRequest { key, value, ttl, flags } = request;
        let done = self.cas.compare_and_swap(context, CompareAndSwapRequest { key, expected_revision, value, ttl, flags }).await?;
        Ok(done.swapped.then_some(done.revision))
    }

    /// Removes a session and then its entry in the index. Returns whether it was there.
    async fn remove(&self, context: &Context, user: &str, id: &SessionId) -> Result<bool, Error> {
        let deleted = match &self.events {
            Some(events) => events.remove(context, About { event: Event::Ended, user, id }, id.key()).await?,
            None => self.basic.delete(context, DeleteRequest { key: id.key() }).await?.deleted,
        };
        self.basic.delete(context, DeleteRequest { key: id.index_key(user) }).await?;
        Ok(deleted)
    }

    /// Encodes a session, and checks its size.
    fn encode(&self, record: &SessionRecord) -> Result<Bytes, Error> {
        let value = record.encode_to_vec();
        if value.len() as u64 <= self.limits.max_value_bytes {
            return Ok(value.into());
        }
        let message = format!("the session would have {} bytes; at most {} are allowed", value.len(), self.limits.max_value_bytes);
        Err(Error::new(Code::InvalidArgument, "SESSION_TOO_LARGE", message.clone()).with_violation("data", message))
    }
}

#[async_trait]
impl Handler for SessionStore {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_session_store(self, context, &method.name, input).await?.into())
    }
}

/// A session as it is stored.
#[derive(Clone, Debug)]
struct StoredSession {
    id: SessionId,
    record: SessionRecord,
    revision: u64,
    /// When it ends if nobody uses it.
    expires: Millis,
}

impl StoredSession {
    fn decode(id: SessionId, entry: Entry) -> Result<Self, Error> {
        let record = SessionRecord::decode(entry.value).map_err(|error| {
            Error::new(Code::DataLoss, "SESSION_UNREADABLE", "a stored session can't be read; it was not written by Prism")
                .with_source(error)
        })?;
        let end = end_of(&record);
        let expires = entry.expire_time.as_ref().map_or(end, time::millis).min(end);
        Ok(Self { id, record, revision: entry.revision, expires })
    }

    fn is_opened_by(&self, token: &Token) -> bool {
        // A use at the same time as an ExtendSession with a shorter lifetime can set a time to live past the new end.
        if time::now() >= end_of(&self.record) {
            return false;
        }
        let digest = token.digest();
        let is_recent = || self.record.previous_until.as_ref().is_some_and(|until| time::now() < time::millis(until));
        digest == self.record.secret_digest || digest == self.record.previous_digest && is_recent()
    }

    fn into_session(self) -> Session {
        let SessionRecord { user, create_time, end_time, idle_timeout_ms, data, .. } = self.record;
        Session {
            id: self.id.to_string(),
            user,
            create_time,
            expire_time: Some(time::timestamp(self.expires)),
            end_time,
            idle_timeout: Some(time::duration(idle_timeout_ms)),
            data,
            revision: self.revision,
        }
    }
}

/// When a session ends if it is used at a time.
fn expiration(record: &SessionRecord, now: Millis) -> Millis {
    now.saturating_add(record.idle_timeout_ms).min(end_of(record))
}

/// The absolute end of a session.
fn end_of(record: &SessionRecord) -> Millis {
    record.end_time.as_ref().map_or(0, time::millis)
}

/// Returns the time of a request in milliseconds, or a default. It is at least one second, and at most what the setting allows.
fn checked(field: &str, wanted: Option<prost_types::Duration>, default: Duration, most: Duration) -> Result<Millis, Error> {
    let least = Duration::from_secs(1).min(most);
    let duration = wanted.map(|wanted| time::between(field, &wanted, least, most)).transpose()?;
    Ok(time::ceil_millis(duration.unwrap_or(default.min(most))))
}

/// Checks a user.
fn check_user(user: &str) -> Result<(), Error> {
    if user.is_empty() || user.len() > MAX_USER_BYTES || user.contains('\0') {
        return Err(Error::invalid("user", format!("must have 1 to {MAX_USER_BYTES} bytes without NUL")));
    }
    Ok(())
}

/// Checks the names of data in a field of a request.
fn check_names<'a>(field: &str, mut names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let is_bad = |name: &&String| name.is_empty() || name.len() > MAX_NAME_BYTES;
    names.find(is_bad).map_or(Ok(()), |_| Err(Error::invalid(field, format!("has a name that has not 1 to {MAX_NAME_BYTES} bytes"))))
}

/// Checks the number of entries of a session.
fn check_count(field: &str, count: usize) -> Result<(), Error> {
    if count <= MAX_DATA_ENTRIES {
        return Ok(());
    }
    Err(Error::invalid(field, format!("the session would have {count} entries; at most {MAX_DATA_ENTRIES} are allowed")))
}

/// Returns the error for a token that opens nothing. It does not say why.
fn not_found() -> Error {
    Error::new(Code::NotFound, "SESSION_NOT_FOUND", "there is no session for this token; it has ended, or the token is wrong")
}
