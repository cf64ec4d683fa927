//! Scans, and keys that are not text.
//!
//! The keys of this pattern are UTF-8. Whoever writes to the backend behind Prism's back can put other keys there. No call
//! of this pattern can name such a key, so to it the key is not there: a scan leaves it out and goes on, says so once in the
//! log, and still gives as many answers as `limit` asks for. Count asks the backend and counts it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::KeyValue;
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::keyvalue::v1::{self as model, Entry, KeyValueScan},
        patterns::keyvalue::v1::{CountRequest, CountResponse, ScanRequest, ScanResponse},
    },
};
use prism_slot::check;

pub(super) async fn scan(pattern: &KeyValue, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
    let interface = pattern.need(pattern.scan.as_ref(), "Scan", "keyvalue_scan")?;
    let ScanRequest { prefix, start_key, end_key, limit, cursor, keys_only } = request;
    let range = range(pattern, prefix, start_key, end_key)?;
    let source = Source { interface: interface.clone(), keys_only, context: context.without_metadata() };
    let request =
        model::ScanRequest { prefix: range.prefix, start_key: range.start_key, end_key: range.end_key, cursor: cursor.clone(), limit };
    let entries = source.clone().open(request.clone()).await?;
    Ok(Box::pin(Texts { entries, source, request, cursor, skipped: 0, warned: false }))
}

pub(super) async fn count(pattern: &KeyValue, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
    let interface = pattern.need(pattern.scan.as_ref(), "Count", "keyvalue_scan")?;
    let range = range(pattern, request.prefix, request.start_key, request.end_key)?;
    Ok(CountResponse { count: interface.count(context, range).await?.count })
}

/// The range of a request, checked.
pub(super) fn range(pattern: &KeyValue, prefix: String, start_key: String, end_key: String) -> Result<model::CountRequest, Error> {
    let bound = |field: &str, key: String| {
        let key = Bytes::from(key.into_bytes());
        check::key_bound(&pattern.limits, field, &key)?;
        Ok::<_, Error>(key)
    };
    Ok(model::CountRequest {
        prefix: bound("prefix", prefix)?,
        start_key: bound("start_key", start_key)?,
        end_key: bound("end_key", end_key)?,
    })
}

/// Where entries come from.
#[derive(Clone)]
struct Source {
    interface: Arc<dyn KeyValueScan>,
    keys_only: bool,
    context: Context,
}

impl Source {
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

/// The entries whose keys are text.
struct Texts {
    entries: Messages<model::ScanResponse>,
    source: Source,
    /// What was asked for last.
    request: model::ScanRequest,
    /// Of the last entry, kept up once one was left out.
    cursor: String,
    /// Entries that were left out since the request; as many more are asked for at its end.
    skipped: u32,
    warned: bool,
}

impl Texts {
    /// Asks for as many entries as were left out, if the caller wants a number of them.
    fn go_on(&mut self) -> bool {
        if self.request.limit == 0 || self.skipped == 0 {
            return false;
        }
        self.request.limit = std::mem::take(&mut self.skipped);
        self.request.cursor = std::mem::take(&mut self.cursor);
        self.entries = Box::pin(stream::once(self.source.clone().open(self.request.clone())).try_flatten());
        true
    }

    fn leave_out(&mut self, key: &[u8], cursor: String) {
        if !std::mem::replace(&mut self.warned, true) {
            let key = String::from_utf8_lossy(key);
            tracing::warn!(namespace = %self.source.context.namespace, %key, "scans leave out keys that are not UTF-8; they were not written through Prism");
        }
        self.skipped = self.skipped.saturating_add(1);
        self.cursor = cursor;
    }
}

impl Stream for Texts {
    type Item = Result<ScanResponse, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(item) = ready!(self.entries.poll_next_unpin(task)) else {
                if self.go_on() {
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
                    self.leave_out(broken.as_bytes(), cursor);
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
