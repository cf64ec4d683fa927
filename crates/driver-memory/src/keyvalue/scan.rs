//! `keyvalue_scan`, in pages: no lock is held while the client is slow.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use super::{KeyValue, StoredEntry};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, range::KeyRange, time};

/// Entries that are visited while the lock is held once.
const PAGE: usize = 256;

/// `keyvalue_scan` over a [`KeyValue`]. Its streams keep the data alive.
pub struct Scan(pub Arc<KeyValue>);

#[async_trait]
impl KeyValueScan for Scan {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let range = KeyRange::new(&self.0.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        Ok(self.0.clone().pages(range, request.limit, |key, stored| ScanResponse {
            cursor: cursor::encode(key),
            entry: Some(stored.to_entry(key.clone())),
        }))
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let range = KeyRange::new(&self.0.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        Ok(self.0.clone().pages(range, request.limit, |key, stored| stored.metadata.into_scanned_key(key.clone(), cursor::encode(key))))
    }

    async fn count(&self, _: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let mut range = KeyRange::new(&self.0.limits, request.prefix, request.start_key, request.end_key, "")?;
        let mut count = 0;
        while !range.is_empty() {
            let mut on_page = 0;
            let more = self.0.page(&mut range, |_, _| on_page += 1)?;
            count += on_page;
            if !more {
                break;
            }
            tokio::task::consume_budget().await;
        }
        Ok(CountResponse { count })
    }
}

/// The state of a scan.
struct ScanReader<T> {
    keyvalue: Arc<KeyValue>,
    range: KeyRange,
    page: VecDeque<T>,
    more: bool,
    /// Items until the limit of the request; `None` = no limit.
    remaining: Option<u32>,
}

impl KeyValue {
    fn pages<T: Send + 'static>(
        self: Arc<Self>,
        range: KeyRange,
        limit: u32,
        item: impl Fn(&Bytes, &StoredEntry) -> T + Copy + Send + 'static,
    ) -> Messages<T> {
        let more = !range.is_empty();
        let reader = ScanReader { keyvalue: self, range, page: VecDeque::new(), more, remaining: (limit > 0).then_some(limit) };
        Box::pin(stream::try_unfold(reader, move |mut reader| async move {
            if reader.remaining == Some(0) {
                return Ok(None);
            }
            while reader.page.is_empty() && reader.more && !reader.range.is_empty() {
                tokio::task::consume_budget().await;
                let page = &mut reader.page;
                reader.more = reader.keyvalue.page(&mut reader.range, |key, stored| page.push_back(item(key, stored)))?;
            }
            let Some(next) = reader.page.pop_front() else { return Ok(None) };
            reader.remaining = reader.remaining.map(|remaining| remaining - 1);
            Ok(Some((next, reader)))
        }))
    }

    /// Calls `visit` for the live entries among the next [`PAGE`], moves the start of the range after them, and returns whether
    /// there may be more.
    fn page(&self, range: &mut KeyRange, mut visit: impl FnMut(&Bytes, &StoredEntry)) -> Result<bool, Error> {
        let map = self.read()?;
        let now = time::now();
        let mut visited = 0;
        let mut last = None;
        for (key, stored) in map.entries.range(range.bounds()).take(PAGE) {
            if stored.is_live(now) {
                visit(key, stored);
            }
            visited += 1;
            last = Some(key);
        }
        if let Some(last) = last {
            range.lower = Bound::Excluded(last.clone());
        }
        Ok(visited == PAGE)
    }
}
