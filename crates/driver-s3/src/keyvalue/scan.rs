//! `keyvalue_scan`, if the setting `emulate_scan` accepts its cost: the bucket lists keys, in pages, and each entry is read by a request of its own.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use aws_sdk_s3::types::EncodingType;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};

use super::{KeyValue, Stored};
use crate::{
    error::map_error,
    keys::{escape, unescape},
    listing::decode,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{
    cursor,
    keyvalue::EntryMetadata,
    pages::{Page, stream_pages},
    range::KeyRange,
};

/// Entries that one scan reads at the same time. As many values are in memory.
pub const CONCURRENT: usize = 8;
/// Most keys of one request.
const PAGE_KEYS: usize = 1000;

/// The state of a list of keys.
struct KeyReader {
    keyvalue: Arc<KeyValue>,
    prefix: Bytes,
    range: KeyRange,
    page_keys: usize,
    /// The last object of the page before.
    last: Option<String>,
}

impl KeyReader {
    /// Lists the next keys.
    async fn page(mut self) -> Result<Page<Bytes, Self>, Error> {
        let bucket = &self.keyvalue.bucket;
        bucket.check_open()?;
        let mut keys = Vec::new();
        let after = match (self.last.take(), &self.range.lower) {
            (Some(last), _) => Some(last),
            (None, Bound::Unbounded) => None,
            (None, Bound::Included(first)) if self.prefix.starts_with(first) => None,
            (None, Bound::Included(first)) => {
                // The bucket lists only keys behind another one, so this one comes in addition. If it does not exist, reading it tells.
                keys.push(first.clone());
                Some(self.keyvalue.object(first))
            }
            (None, Bound::Excluded(before)) => Some(self.keyvalue.object(before)),
        };
        let list = bucket.client.list_objects_v2().bucket(&bucket.name).encoding_type(EncodingType::Url);
        let list = list.prefix(format!("{}{}", self.keyvalue.folder, escape(&self.prefix)));
        let list = list.max_keys(i32::try_from(self.page_keys).unwrap_or(1000)).set_start_after(after);
        let listed = list.send().await.map_err(map_error)?;
        let objects = listed.contents.unwrap_or_default();
        for object in objects.iter().filter_map(|object| decode(object.key.as_deref()?)) {
            let key = object.strip_prefix(&self.keyvalue.folder).and_then(unescape).map(Bytes::from);
            self.last = Some(object);
            // Objects of others are left out.
            let Some(key) = key else { continue };
            if self.range.upper.as_ref().is_some_and(|upper| key >= *upper) {
                return Ok((keys, None));
            }
            keys.push(key);
        }
        let more = listed.is_truncated.unwrap_or_default() && self.last.is_some();
        Ok((keys, more.then_some(self)))
    }
}

impl KeyValue {
    /// The keys of a range. Some may not exist any longer when they are read; the first one may never have existed.
    fn keys(self: Arc<Self>, prefix: Bytes, range: KeyRange, limit: u32) -> Messages<Bytes> {
        if range.is_empty() {
            return stream::empty().boxed();
        }
        let page_keys = if limit == 0 { PAGE_KEYS } else { (limit as usize).min(PAGE_KEYS) };
        stream_pages(KeyReader { keyvalue: self, prefix, range, page_keys, last: None }, KeyReader::page)
    }

    /// The entries of a range, with or without their values.
    fn entries(self: Arc<Self>, prefix: Bytes, range: KeyRange, limit: u32, with_values: bool) -> Messages<(Bytes, Stored, Bytes)> {
        let most = if limit == 0 { usize::MAX } else { limit as usize };
        let keyvalue = self.clone();
        let read = move |key: Bytes| {
            let keyvalue = keyvalue.clone();
            async move { Ok::<_, Error>(keyvalue.read(&key, with_values).await?.map(|(stored, value)| (key, stored, value))) }
        };
        // A small limit reads no more entries than it needs, as far as they exist.
        let entries = self.keys(prefix, range, limit).map_ok(read).try_buffered(CONCURRENT.min(most));
        entries.try_filter_map(future::ok).take(most).boxed()
    }
}

/// The scan over one keyspace.
pub struct Scan(pub Arc<KeyValue>);

#[async_trait]
impl KeyValueScan for Scan {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.0.limits, prefix.clone(), start_key, end_key, &cursor)?;
        let entries = self.0.clone().entries(prefix, range, limit, true);
        Ok(entries
            .map_ok(|(key, stored, value)| {
                let cursor = cursor::encode(&key);
                ScanResponse { entry: Some(stored.into_entry(key, value)), cursor }
            })
            .boxed())
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let ScanKeysRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.0.limits, prefix.clone(), start_key, end_key, &cursor)?;
        let entries = self.0.clone().entries(prefix, range, limit, false);
        Ok(entries
            .map_ok(|(key, Stored { numbers, flags, .. }, _)| {
                let cursor = cursor::encode(&key);
                EntryMetadata { numbers, expires: None, flags }.into_scanned_key(key, cursor)
            })
            .boxed())
    }

    async fn count(&self, _: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(&self.0.limits, request.prefix.clone(), request.start_key, request.end_key, "")?;
        // Only the first key may not exist.
        let first = match &range.lower {
            Bound::Included(first) if !range.is_empty() && !request.prefix.starts_with(first) => Some(first.clone()),
            _ => None,
        };
        let absent = match first {
            Some(first) => u64::from(self.0.numbers(&first).await?.is_none()),
            None => 0,
        };
        let keys = self.0.clone().keys(request.prefix, range, 0);
        let count: u64 = keys.try_fold(0, |count, _| future::ok(count + 1)).await?;
        Ok(CountResponse { count: count.saturating_sub(absent) })
    }
}
