//! `keyvalue_scan` over the index of keys: a sorted set in which all members have score 0, so Redis keeps them in byte order.

use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{COUNT, KeyValue, SCAN, StoredHeader, parse_entry};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{check, cursor, range::KeyRange};

/// Most keys of a page, and the bytes after which a page ends.
const PAGE_KEYS: usize = 256;
const PAGE_BYTES: usize = 64 << 10;
/// Most expired keys that a script removes from the index before it counts.
const SWEEP: u64 = 1000;

/// The bounds of a range in the syntax of `ZRANGEBYLEX`.
fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let lower = match &range.lower {
        Bound::Excluded(key) => [b"(", &key[..]].concat(),
        Bound::Included(key) if !key.is_empty() => [b"[", &key[..]].concat(),
        _ => b"-".to_vec(),
    };
    let upper = range.upper.as_ref().map_or_else(|| b"+".to_vec(), |key| [b"(", &key[..]].concat());
    (lower, upper)
}

/// The state of a scan.
struct ScanReader {
    keyvalue: KeyValue,
    context: Context,
    range: KeyRange,
    done: bool,
    values: bool,
    /// Entries until the limit of the request.
    remaining: usize,
}

impl ScanReader {
    /// Reads the next page: keys and stored bytes. Returns `None` after the last one.
    async fn page(mut self) -> Result<Option<(Vec<(Bytes, Bytes)>, Self)>, Error> {
        if self.done || self.range.is_empty() || self.remaining == 0 {
            return Ok(None);
        }
        let (lower, upper) = bounds(&self.range);
        let call = self.keyvalue.script(&SCAN).arg(lower).arg(upper).arg(self.remaining.min(PAGE_KEYS));
        let call = call.arg(u8::from(self.values)).arg(PAGE_BYTES);
        let mut items = reply::list(self.keyvalue.call(&self.context, &call).await?)?.into_iter();
        match items.next().map(reply::bytes).transpose()?.flatten() {
            Some(last) => self.range.lower = Bound::Excluded(last),
            None => self.done = true,
        }
        let mut page = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(stored)) = (items.next(), items.next()) {
            page.push((reply::required_bytes(key)?, reply::required_bytes(stored)?));
        }
        self.remaining -= page.len().min(self.remaining);
        Ok(Some((page, self)))
    }
}

impl KeyValue {
    /// The keys of a range with their stored bytes: the whole value if `values` is true, else only the header.
    fn scan_range(&self, context: &Context, range: KeyRange, limit: u32, values: bool) -> Messages<(Bytes, Bytes)> {
        let reader = ScanReader {
            keyvalue: self.clone(),
            context: context.clone(),
            range,
            done: false,
            values,
            remaining: check::limit_or_all(limit),
        };
        let pages = stream::try_unfold(reader, ScanReader::page);
        Box::pin(pages.map_ok(|page| stream::iter(page).map(Ok)).try_flatten())
    }
}

#[async_trait]
impl KeyValueScan for KeyValue {
    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix, start_key, end_key, &cursor)?;
        let items = self.scan_range(context, range, limit, true);
        Ok(Box::pin(items.map(|item| {
            let (key, stored) = item?;
            let cursor = cursor::encode(&key);
            Ok(ScanResponse { entry: Some(parse_entry(key, &stored)?), cursor })
        })))
    }

    async fn scan_keys(&self, context: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let ScanKeysRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix, start_key, end_key, &cursor)?;
        let items = self.scan_range(context, range, limit, false);
        Ok(Box::pin(items.map(|item| {
            let (key, stored) = item?;
            let cursor = cursor::encode(&key);
            Ok(StoredHeader::parse(&stored)?.metadata.into_scanned_key(key, cursor))
        })))
    }

    async fn count(&self, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(&self.limits, request.prefix, request.start_key, request.end_key, "")?;
        if range.is_empty() {
            return Ok(CountResponse::default());
        }
        let (lower, upper) = bounds(&range);
        let call = self.script(&COUNT).arg(lower).arg(upper).arg(SWEEP);
        loop {
            let count = reply::integer(&self.call(context, &call).await?)?;
            if let Ok(count) = u64::try_from(count) {
                return Ok(CountResponse { count });
            }
        }
    }
}
