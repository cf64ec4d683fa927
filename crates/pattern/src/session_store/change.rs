//! Creation and changes of sessions.

use std::time::Duration;

use bytes::Bytes;

use super::{
    About, Event, SessionStore, StoredSession, check_count, check_names, check_user, checked, end_of, expiration, not_found, token::Token,
};
use prism_call::{
    Code, Context, Error,
    proto::{
        models::keyvalue::v1::SetRequest,
        patterns::session_store::v1::{
            CreateSessionRequest, CreateSessionResponse, ExtendSessionRequest, RotateTokenResponse, Session, UpdateSessionRequest,
        },
        session_store::v1::SessionRecord,
    },
};
use prism_slot::time;

/// Greatest number of attempts, if others change the session each time.
const MAX_ATTEMPTS: usize = 16;
/// How long the client should wait before it tries again after that.
const RETRY_AFTER: Duration = Duration::from_millis(100);

pub(super) async fn create(store: &SessionStore, context: &Context, request: CreateSessionRequest) -> Result<CreateSessionResponse, Error> {
    let CreateSessionRequest { user, data, idle_timeout, lifetime } = request;
    check_user(&user)?;
    check_names("data", data.keys())?;
    check_count("data", data.len())?;
    let most = *store.settings.lifetime;
    let lifetime = checked("lifetime", lifetime, most, most)?;
    let idle_timeout_ms = checked("idle_timeout", idle_timeout, *store.settings.idle_timeout, most)?;
    let (token, now) = (Token::generate()?, time::now());
    let record = SessionRecord {
        user,
        create_time: Some(time::timestamp(now)),
        end_time: Some(time::timestamp(now.saturating_add(lifetime))),
        idle_timeout_ms,
        secret_digest: token.digest(),
        data,
        ..SessionRecord::default()
    };
    let (value, expires) = (store.encode(&record)?, expiration(&record, now));
    index(store, context, &record, &token).await?;
    let request = SetRequest { key: token.id.key(), value, ttl: Some(time::duration(expires - now)), flags: 0 };
    let about = About { event: Event::Created, user: &record.user, id: &token.id };
    let revision = store.write(context, about, request, None).await?.unwrap_or_default();
    let stored = StoredSession { id: token.id.clone(), record, revision, expires };
    Ok(CreateSessionResponse { session: Some(stored.into_session()), token: token.reveal() })
}

/// Writes the entry in the index of the user. It lives until the absolute end of the record.
async fn index(store: &SessionStore, context: &Context, record: &SessionRecord, token: &Token) -> Result<(), Error> {
    let left = end_of(record) - time::now();
    let key = token.id.index_key(&record.user);
    store.basic.set(context, SetRequest { key, value: Bytes::new(), ttl: Some(time::duration(left.max(1))), flags: 0 }).await?;
    Ok(())
}

pub(super) async fn update(store: &SessionStore, context: &Context, request: UpdateSessionRequest) -> Result<Session, Error> {
    let UpdateSessionRequest { token, set, delete, expected_revision } = request;
    check_names("set", set.keys())?;
    check_names("delete", delete.iter())?;
    if let Some(name) = delete.iter().find(|name| set.contains_key(*name)) {
        return Err(Error::invalid("delete", format!("can't delete {name:?}, which is also set")));
    }
    let change = Change { store, context, event: Event::Updated, expected_revision };
    let stored = change
        .apply(&token, |_, record| {
            for name in &delete {
                record.data.remove(name);
            }
            record.data.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
            check_count("set", record.data.len())
        })
        .await?;
    Ok(stored.into_session())
}

pub(super) async fn extend(store: &SessionStore, context: &Context, request: ExtendSessionRequest) -> Result<Session, Error> {
    let ExtendSessionRequest { token, idle_timeout, lifetime } = request;
    let most = *store.settings.lifetime;
    let lifetime = lifetime.map(|lifetime| checked("lifetime", Some(lifetime), most, most)).transpose()?;
    let idle_timeout = idle_timeout.map(|idle| checked("idle_timeout", Some(idle), most, most)).transpose()?;
    let end = lifetime.map(|lifetime| time::now().saturating_add(lifetime));
    if let Some(end) = end {
        // The entry in the index must not end before the session, even if the change of the session fails.
        let (opened, mut stored) = store.open_session(context, &token).await?;
        if end > end_of(&stored.record) {
            stored.record.end_time = Some(time::timestamp(end));
            index(store, context, &stored.record, &opened).await?;
        }
    }
    let change = Change { store, context, event: Event::Extended, expected_revision: 0 };
    let stored = change
        .apply(&token, |_, record| {
            if let Some(end) = end {
                record.end_time = Some(time::timestamp(end));
            }
            record.idle_timeout_ms = idle_timeout.unwrap_or(record.idle_timeout_ms);
            Ok(())
        })
        .await?;
    Ok(stored.into_session())
}

pub(super) async fn rotate(store: &SessionStore, context: &Context, token: &str) -> Result<RotateTokenResponse, Error> {
    let next = Token::for_session(Token::parse(token)?.id)?;
    let grace = time::ceil_millis(*store.settings.rotation_grace);
    let change = Change { store, context, event: Event::Rotated, expected_revision: 0 };
    let stored = change
        .apply(token, |opened, record| {
            if opened.digest() != record.secret_digest {
                return Err(not_found());
            }
            record.previous_digest = std::mem::replace(&mut record.secret_digest, next.digest());
            record.previous_until = Some(time::timestamp(time::now().saturating_add(grace)));
            Ok(())
        })
        .await?;
    Ok(RotateTokenResponse { session: Some(stored.into_session()), token: next.reveal() })
}

/// A change of a session, which is also a use of it.
struct Change<'a> {
    store: &'a SessionStore,
    context: &'a Context,
    event: Event,
    /// 0: any.
    expected_revision: u64,
}

impl Change<'_> {
    /// Reads the session, changes its record, and writes it if nobody has changed it meanwhile; otherwise it begins again.
    async fn apply(&self, token: &str, change: impl Fn(&Token, &mut SessionRecord) -> Result<(), Error>) -> Result<StoredSession, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let (token, mut stored) = self.store.open_session(self.context, token).await?;
            if self.expected_revision != 0 && self.expected_revision != stored.revision {
                return Err(self.mismatch(stored.revision));
            }
            change(&token, &mut stored.record)?;
            let now = time::now();
            let expires = expiration(&stored.record, now);
            let request = SetRequest {
                key: stored.id.key(),
                value: self.store.encode(&stored.record)?,
                ttl: Some(time::duration((expires - now).max(1))),
                flags: 0,
            };
            let about = About { event: self.event, user: &stored.record.user, id: &stored.id };
            if let Some(revision) = self.store.write(self.context, about, request, Some(stored.revision)).await? {
                return Ok(StoredSession { revision, expires, ..stored });
            }
        }
        let message = format!("others kept changing the session during {MAX_ATTEMPTS} attempts; try again");
        Err(Error::new(Code::Aborted, "SESSION_CONFLICT", message).with_retry_after(RETRY_AFTER))
    }

    fn mismatch(&self, current: u64) -> Error {
        let wanted = self.expected_revision;
        Error::new(Code::Aborted, "REVISION_MISMATCH", format!("the session has revision {current}, not {wanted}; read it and try again"))
            .with("expected_revision", wanted.to_string())
            .with("current_revision", current.to_string())
    }
}
