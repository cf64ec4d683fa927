//! The sessions of a user.

use std::future::ready;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    SessionStore, StoredSession, check_user,
    token::{SessionId, index_prefix},
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::keyvalue::v1::{GetRequest, ScanKeysRequest, ScanKeysResponse},
        patterns::session_store::v1::{
            EndAllSessionsRequest, EndAllSessionsResponse, EndUserSessionRequest, ListSessionsRequest, ListSessionsResponse,
        },
    },
};

/// Number of calls of one request that are in flight: enough to hide a round trip, too few to crowd out other callers.
const CONCURRENCY: usize = 16;
/// Number of sessions that are ended before the next ones are listed: a bound on what one call holds in memory.
const PAGE: u32 = 256;

pub(super) async fn list(
    store: &SessionStore,
    context: &Context,
    request: ListSessionsRequest,
) -> Result<Messages<ListSessionsResponse>, Error> {
    let ListSessionsRequest { user, limit, cursor } = request;
    let scan = store.scan("ListSessions")?;
    check_user(&user)?;
    let prefix = index_prefix(&user);
    let range = ScanKeysRequest { prefix: prefix.clone().into(), cursor, ..ScanKeysRequest::default() };
    let entries = scan.scan_keys(context, range).await?;
    let (basic, context) = (store.basic.clone(), context.without_metadata());
    let sessions = entries.map(move |entry| {
        let (basic, context, prefix) = (basic.clone(), context.clone(), prefix.clone());
        async move {
            let ScanKeysResponse { key, cursor, .. } = entry?;
            let Some(id) = id_of(&key, &prefix) else { return Ok(None) };
            // A session that has ended by itself is still in the index.
            let Some(entry) = basic.get(&context, GetRequest { key: id.key() }).await?.entry else { return Ok(None) };
            let session = StoredSession::decode(id, entry)?.into_session();
            Ok::<_, Error>(Some(ListSessionsResponse { session: Some(session), cursor }))
        }
    });
    let found = sessions.buffered(CONCURRENCY).try_filter_map(|session| ready(Ok(session)));
    let most = if limit == 0 { usize::MAX } else { limit as usize };
    Ok(Box::pin(found.take(most)))
}

pub(super) async fn end(store: &SessionStore, context: &Context, request: EndUserSessionRequest) -> Result<bool, Error> {
    let EndUserSessionRequest { user, id } = request;
    check_user(&user)?;
    let Some(id) = SessionId::parse(&id) else { return Ok(false) };
    match store.read(context, &id).await? {
        Some(stored) if stored.record.user == user => store.remove(context, &user, &id).await,
        _ => Ok(false),
    }
}

pub(super) async fn end_all(
    store: &SessionStore,
    context: &Context,
    request: EndAllSessionsRequest,
) -> Result<EndAllSessionsResponse, Error> {
    let EndAllSessionsRequest { user, except_id } = request;
    let scan = store.scan("EndAllSessions")?;
    check_user(&user)?;
    let (prefix, mut cursor, mut ended) = (index_prefix(&user), String::new(), 0);
    loop {
        let range = ScanKeysRequest { prefix: prefix.clone().into(), cursor, limit: PAGE, ..ScanKeysRequest::default() };
        let page: Vec<_> = scan.scan_keys(context, range).await?.try_collect().await?;
        let Some(last) = page.last() else { return Ok(EndAllSessionsResponse { ended }) };
        cursor = last.cursor.clone();
        let ids = page.iter().filter_map(|entry| id_of(&entry.key, &prefix)).filter(|id| id.to_string() != except_id);
        let calls: Vec<_> = ids.map(|id| remove(store, context, &user, id)).collect();
        let removed: Vec<bool> = stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await?;
        ended += removed.into_iter().filter(|removed| *removed).count() as u64;
    }
}

async fn remove(store: &SessionStore, context: &Context, user: &str, id: SessionId) -> Result<bool, Error> {
    store.remove(context, user, &id).await
}

/// Returns the id in a key of the index.
fn id_of(key: &[u8], prefix: &str) -> Option<SessionId> {
    key.strip_prefix(prefix.as_bytes()).and_then(|id| std::str::from_utf8(id).ok()).and_then(SessionId::parse)
}
