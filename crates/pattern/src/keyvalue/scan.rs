//! Scans, and keys that are not UTF-8.
//!
//! The keys of this pattern are UTF-8. A client that writes to the backend directly can store other keys. No call of this pattern
//! can name such a key. A scan skips it, logs one warning, and still returns as many entries as `limit` asks for. Count counts it,
//! since the backend counts.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::KeyValue;
use crate::outbox::FIRST_KEY;
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::keyvalue::v1::{self as model, Entry, KeyValueScan},
        patterns::keyvalue::v1::{CountRequest, CountResponse, ScanRequest, ScanResponse},
    },
};
use prism_slot::check;

pub(super) async fn scan(pattern: &KeyValue, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
    let interface = pattern.require(pattern.scan.as_ref(), "Scan", "keyvalue_scan")?;
    let ScanRequest { prefix, start_key, end_key, limit, cursor, keys_only } = request;
    let range = check_range(pattern, prefix, start_key, end_key)?;
    let source = ScanSource { interface: interface.clone(), keys_only, context: context.without_metadata() };
    let request =
        model::ScanRequest { prefix: range.prefix, start_key: range.start_key, end_key: range.end_key, cursor: cursor.clone(), limit };
    let entries = source.clone().open(request.clone()).await?;
    Ok(Box::pin(TextKeyScan { entries, source, request, cursor, skipped: 0, warned: false }))
}

pub(super) async fn count(pattern: &KeyValue, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
    let interface = pattern.require(pattern.scan.as_ref(), "Count", "keyvalue_scan")?;
    let range = check_range(pattern, request.prefix, request.start_key, request.end_key)?;
    Ok(CountResponse { count: interface.count(context, range).await?.count })
}

/// Checks the range of a request.
pub(super) fn check_range(pattern: &KeyValue, prefix: String, start_key: String, end_key: String) -> Result<model::CountRequest, Error> {
    let bound = |field: &str, key: String| {
        let key = Bytes::from(key.into_bytes());
        check::key_bound(&pattern.limits, field, &key)?;
        Ok::<_, Error>(key)
    };
    let (prefix, start_key, end_key) = (bound("prefix", prefix)?, bound("start_key", start_key)?, bound("end_key", end_key)?);
    // Leaves out the messages of an outbox. It may be that of another namespace with the same keyspace, or an earlier one of this namespace.
    let may_have_outbox = pattern.outbox.is_some() || pattern.transactional.is_some();
    let is_open = may_have_outbox && prefix.is_empty() && end_key.is_empty();
    let end_key = if is_open { FIRST_KEY } else { end_key };
    Ok(model::CountRequest { prefix, start_key, end_key })
}

/// Opens scans of the backend.
#[derive(Clone)]
struct ScanSource {
    interface: Arc<dyn KeyValueScan>,
    keys_only: bool,
    context: Context,
}

impl ScanSource {
    async fn open(self, request: model::ScanRequest) -> Result<Messages<model::ScanResponse>, Error> {
        if !self.keys_only {
            return self.interface.scan(&self.context, request).await;
        }
        let model::ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let keys = self.interface.scan_keys(&self.context, model::ScanKeysRequest { prefix, start_key, end_key, cursor, limit }).await?;
        Ok(Box::pin(keys.map_ok(|found| {
            let model::ScanKeysResponse { key, revision, cursor, flags, create_revision, version } = found;
            let entry = Entry { key, revision, flags, create_revision, version, ..Entry::default() };
            model::ScanResponse { entry: Some(entry), cursor }
        })))
    }
}

/// A scan that skips keys that are not UTF-8.
struct TextKeyScan {
    entries: Messages<model::ScanResponse>,
    source: ScanSource,
    /// The last request to the backend.
    request: model::ScanRequest,
    /// Cursor of the last entry. Kept up to date only after an entry was skipped.
    cursor: String,
    /// Number of entries skipped since the last request. The next request asks for as many.
    skipped: u32,
    warned: bool,
}

impl TextKeyScan {
    /// Requests as many entries as were skipped, if the caller set a limit. Returns whether it did.
    fn request_more(&mut self) -> bool {
        if self.request.limit == 0 || self.skipped == 0 {
            return false;
        }
        self.request.limit = std::mem::take(&mut self.skipped);
        self.request.cursor = std::mem::take(&mut self.cursor);
        self.entries = Box::pin(stream::once(self.source.clone().open(self.request.clone())).try_flatten());
        true
    }

    fn skip_key(&mut self, key: &[u8], cursor: String) {
        if !std::mem::replace(&mut self.warned, true) {
            let key = String::from_utf8_lossy(key);
            tracing::warn!(namespace = %self.source.context.namespace, %key, "scans leave out keys that are not UTF-8; they were not written through Prism");
        }
        self.skipped = self.skipped.saturating_add(1);
        self.cursor = cursor;
    }
}

impl Stream for TextKeyScan {
    type Item = Result<ScanResponse, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(item) = ready!(self.entries.poll_next_unpin(task)) else {
                if self.request_more() {
                    continue;
                }
                return Poll::Ready(None);
            };
            let model::ScanResponse { entry, cursor } = match item {
                Ok(item) => item,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let Entry { key, value, revision, expire_time, flags, create_revision, version } = entry.unwrap_or_default();
            let key = match String::from_utf8(key.into()) {
                Ok(key) => key,
                Err(broken) => {
                    self.skip_key(broken.as_bytes(), cursor);
                    continue;
                }
            };
            if self.skipped > 0 {
                self.cursor.clone_from(&cursor);
            }
            let answer = ScanResponse { key, value, revision, expire_time, cursor, flags, create_revision, version };
            return Poll::Ready(Some(Ok(answer)));
        }
    }
}
