//! `keyvalue_scan`: the server lists the subjects of a prefix, then the rows are read in the order of their keys.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};

use super::{KeyValue, row::Row};
use crate::{
    error,
    names::{parse_key, prefix_filter},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, range::KeyRange};

/// Rows that are read at the same time.
const CONCURRENT: usize = 16;

impl KeyValue {
    /// The rows of a range.
    async fn scan_range(&self, context: &Context, prefix: &[u8], range: KeyRange, limit: u32) -> Result<Messages<(Bytes, Row)>, Error> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let rows = self.table.list(&self.deadline(context), &prefix_filter(prefix), self.max_scan_keys).await?;
        let lower = range.inclusive_lower();
        let mut keys = Vec::with_capacity(rows.len());
        for tokens in rows {
            let key = Bytes::from(parse_key(&tokens).ok_or_else(error::foreign_message)?);
            if key[..] >= lower[..] && range.upper.as_ref().is_none_or(|upper| key < *upper) {
                keys.push(key);
            }
        }
        keys.sort_unstable();
        let (keyvalue, context) = (self.clone(), context.clone());
        let read = move |key: Bytes| {
            let (keyvalue, context) = (keyvalue.clone(), context.clone());
            async move {
                let row = keyvalue.read(&keyvalue.deadline(&context), &key).await?;
                Ok::<_, Error>(row.map(|row| (key, row)))
            }
        };
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        // A small limit reads no more rows than it needs, as far as they have not expired.
        let found = stream::iter(keys).map(read).buffered(CONCURRENT.min(limit)).try_filter_map(future::ok);
        Ok(found.take(limit).boxed())
    }
}

#[async_trait]
impl KeyValueScan for KeyValue {
    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let ScanRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix.clone(), start_key, end_key, &cursor)?;
        let rows = self.scan_range(context, &prefix, range, limit).await?;
        Ok(rows
            .map_ok(|(key, row)| {
                let cursor = cursor::encode(&key);
                ScanResponse { entry: Some(row.into_entry(key)), cursor }
            })
            .boxed())
    }

    async fn scan_keys(&self, context: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let ScanKeysRequest { prefix, start_key, end_key, cursor, limit } = request;
        let range = KeyRange::new(&self.limits, prefix.clone(), start_key, end_key, &cursor)?;
        let rows = self.scan_range(context, &prefix, range, limit).await?;
        Ok(rows
            .map_ok(|(key, row)| {
                let cursor = cursor::encode(&key);
                row.metadata().into_scanned_key(key, cursor)
            })
            .boxed())
    }

    async fn count(&self, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(&self.limits, request.prefix.clone(), request.start_key, request.end_key, "")?;
        let rows = self.scan_range(context, &request.prefix, range, 0).await?;
        Ok(CountResponse { count: rows.try_fold(0, |count, _| future::ok(count + 1)).await? })
    }
}
