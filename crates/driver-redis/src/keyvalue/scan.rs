//! `keyvalue_scan` over the index: a sorted set whose members all have score 0, which Redis keeps in byte order.

use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{COUNT, Head, SCAN, Store, entry};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, range::KeyRange, transactions::Numbers};

/// Most keys, and about how many bytes, that one script gives.
const PAGE_KEYS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Most expired keys that one script forgets before it counts.
const SWEEP: u64 = 1000;

/// The bounds of a range, as `ZRANGEBYLEX` takes them.
fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let lower = match &range.lower {
        Bound::Excluded(key) => [b"(", &key[..]].concat(),
        Bound::Included(key) if !key.is_empty() => [b"[", &key[..]].concat(),
        _ => b"-".to_vec(),
    };
    let upper = range.upper.as_ref().map_or_else(|| b"+".to_vec(), |key| [b"(", &key[..]].concat());
    (lower, upper)
}

/// What is left of a scan.
struct Walk {
    store: Store,
    context: Context,
    range: KeyRange,
    done: bool,
    values: bool,
    /// Entries that may still come.
    left: usize,
}

impl Walk {
    /// The next page: keys and what they hold; `None` behind the last one.
    async fn page(mut self) -> Result<Option<(Vec<(Bytes, Bytes)>, Self)>, Error> {
        if self.done || self.range.is_empty() || self.left == 0 {
            return Ok(None);
        }
        let (lower, upper) = bounds(&self.range);
        let call = self.store.script(&SCAN).arg(lower).arg(upper).arg(self.left.min(PAGE_KEYS));
        let call = call.arg(u8::from(self.values)).arg(PAGE_BYTES);
        let mut items = reply::list(self.store.call(&self.context, &call).await?)?.into_iter();
        match items.next().map(reply::bytes).transpose()?.flatten() {
            Some(last) => self.range.lower = Bound::Excluded(last),
            None => self.done = true,
        }
        let mut page = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(held)) = (items.next(), items.next()) {
            page.push((reply::some_bytes(key)?, reply::some_bytes(held)?));
        }
        self.left -= page.len().min(self.left);
        Ok(Some((page, self)))
    }
}

impl Store {
    fn walk(&self, context: &Context, range: KeyRange, limit: u32, values: bool) -> Messages<(Bytes, Bytes)> {
        let walk = Walk {
            store: self.clone(),
            context: context.clone(),
            range,
            done: false,
            values,
            left: if limit == 0 { usize::MAX } else { limit as usize },
        };
        let pages = stream::try_unfold(walk, Walk::page);
        Box::pin(pages.map_ok(|page| stream::iter(page).map(Ok)).try_flatten())
    }
}

#[async_trait]
impl KeyValueScan for Store {
    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix, start_key, end_key, &cursor)?;
        let found = self.walk(context, range, limit, true);
        Ok(Box::pin(found.map(|item| {
            let (key, stored) = item?;
            let cursor = cursor::encode(&key);
            Ok(ScanResponse { entry: Some(entry(key, &stored)?), cursor })
        })))
    }

    async fn scan_keys(&self, context: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let ScanKeysRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix, start_key, end_key, &cursor)?;
        let found = self.walk(context, range, limit, false);
        Ok(Box::pin(found.map(|item| {
            let (key, stored) = item?;
            let Head { numbers, flags, .. } = Head::of(&stored)?;
            let Numbers { revision, create_revision, version } = numbers;
            Ok(ScanKeysResponse { cursor: cursor::encode(&key), key, revision, flags, create_revision, version })
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
            let answer = reply::integer(&self.call(context, &call).await?)?;
            if let Ok(count) = u64::try_from(answer) {
                return Ok(CountResponse { count });
            }
        }
    }
}
