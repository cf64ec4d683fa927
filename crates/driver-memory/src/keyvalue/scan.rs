//! `keyvalue_scan`: page after page, so that no lock is held while the consumer is slow.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use super::{Store, Stored};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, range::KeyRange, time};

/// Entries that are looked at under one hold of the lock.
const PAGE: usize = 256;

/// `keyvalue_scan` over a [`Store`]; its streams keep the store alive.
pub struct Scan(pub Arc<Store>);

#[async_trait]
impl KeyValueScan for Scan {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let range = KeyRange::new(&self.0.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        Ok(self.0.clone().pages(range, request.limit, |key, stored| ScanResponse {
            cursor: cursor::encode(key),
            entry: Some(stored.entry(key.clone())),
        }))
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let range = KeyRange::new(&self.0.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        Ok(self.0.clone().pages(range, request.limit, |key, stored| ScanKeysResponse {
            key: key.clone(),
            revision: stored.numbers.revision,
            cursor: cursor::encode(key),
            flags: stored.flags,
            create_revision: stored.numbers.create_revision,
            version: stored.numbers.version,
        }))
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

struct Reader<T> {
    store: Arc<Store>,
    range: KeyRange,
    page: VecDeque<T>,
    more: bool,
    /// Items that may still come; `None` is no limit.
    left: Option<u32>,
}

impl Store {
    fn pages<T: Send + 'static>(
        self: Arc<Self>,
        range: KeyRange,
        limit: u32,
        item: impl Fn(&Bytes, &Stored) -> T + Copy + Send + 'static,
    ) -> Messages<T> {
        let more = !range.is_empty();
        let reader = Reader { store: self, range, page: VecDeque::new(), more, left: (limit > 0).then_some(limit) };
        Box::pin(stream::try_unfold(reader, move |mut reader| async move {
            if reader.left == Some(0) {
                return Ok(None);
            }
            while reader.page.is_empty() && reader.more && !reader.range.is_empty() {
                tokio::task::consume_budget().await;
                let page = &mut reader.page;
                reader.more = reader.store.page(&mut reader.range, |key, stored| page.push_back(item(key, stored)))?;
            }
            let Some(next) = reader.page.pop_front() else { return Ok(None) };
            reader.left = reader.left.map(|left| left - 1);
            Ok(Some((next, reader)))
        }))
    }

    /// Shows the live entries among the next [`PAGE`], moves the range behind them and tells whether there may be more.
    fn page(&self, range: &mut KeyRange, mut show: impl FnMut(&Bytes, &Stored)) -> Result<bool, Error> {
        let map = self.read()?;
        let now = time::now();
        let mut looked = 0;
        let mut last = None;
        for (key, stored) in map.entries.range(range.bounds()).take(PAGE) {
            if stored.is_live(now) {
                show(key, stored);
            }
            looked += 1;
            last = Some(key);
        }
        if let Some(last) = last {
            range.lower = Bound::Excluded(last.clone());
        }
        Ok(looked == PAGE)
    }
}
