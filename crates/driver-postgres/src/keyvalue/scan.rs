//! `keyvalue_scan`, in pages: no connection is in use while a client is slow.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::types::Type;

use super::KeyValue;
use crate::columns::{read_bytes, read_metadata, unsigned};
use crate::{database::Parameters, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, keyvalue::EntryMetadata, range::KeyRange};

/// Most rows of a page.
const PAGE_ROWS: usize = 256;
/// A page of values ends after the row with which it exceeds this number of bytes.
const PAGE_BYTES: i64 = 64 << 10;

/// A statement for a range with an upper bound, and one for a range without.
struct RangeSql {
    bounded: Sql,
    unbounded: Sql,
}

macro_rules! range_sql {
    ($start:literal, $end:literal, [$($type:expr),*]) => {
        RangeSql {
            bounded: Sql {
                text: concat!($start, " WHERE keyspace = $1 AND key >= $2 AND (expires IS NULL OR expires > now()) AND key < $3", $end),
                types: &[Type::INT8, Type::BYTEA, Type::BYTEA $(, $type)*],
            },
            unbounded: Sql {
                // The parameter for the upper bound is there, so that the numbers of the others are the same.
                text: concat!($start, " WHERE keyspace = $1 AND key >= $2 AND (expires IS NULL OR expires > now()) AND $3 IS NULL", $end),
                types: &[Type::INT8, Type::BYTEA, Type::BYTEA $(, $type)*],
            },
        }
    };
}

/// Sizes of values are known without reading the values, so a page never has many more bytes than [`PAGE_BYTES`].
static PAGE_OF_ENTRIES: RangeSql = range_sql!(
    "SELECT key, revision, create_revision, version, flags, expires, value FROM (
         SELECT *, sum(octet_length(value)) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM (
             SELECT * FROM {schema}.entries",
    " ORDER BY key LIMIT $4) AS rows) AS sized
     WHERE before IS NULL OR before < $5 ORDER BY key",
    [Type::INT8, Type::INT8]
);

static PAGE_OF_KEYS: RangeSql = range_sql!(
    "SELECT key, revision, create_revision, version, flags, expires FROM {schema}.entries",
    " ORDER BY key LIMIT $4",
    [Type::INT8]
);

static COUNT: RangeSql = range_sql!("SELECT count(*) FROM {schema}.entries", "", []);

impl RangeSql {
    fn select(&'static self, range: &KeyRange) -> &'static Sql {
        if range.upper.is_some() { &self.bounded } else { &self.unbounded }
    }
}

/// A row of a page.
struct ScannedRow {
    key: Bytes,
    metadata: EntryMetadata,
    /// Empty if the scan does not read values.
    value: Bytes,
}

/// The state of a scan.
struct ScanReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    range: KeyRange,
    /// Whether to read values.
    values: bool,
    /// Rows until the limit of the request.
    remaining: usize,
}

impl ScanReader {
    /// Reads the next page. Returns it with the reader for the page after it, or with `None` if it was the last one.
    async fn page(mut self) -> Result<Option<(Vec<ScannedRow>, Option<Self>)>, Error> {
        if self.remaining == 0 || self.range.is_empty() {
            return Ok(None);
        }
        let id = self.keyspace.id(&self.context).await?;
        let most = self.remaining.min(PAGE_ROWS);
        let (lower, upper, limit) = (self.range.inclusive_lower(), self.range.upper.as_deref(), i64::try_from(most).unwrap_or(i64::MAX));
        let database = &self.keyspace.database;
        let rows = if self.values {
            let parameters: Parameters<'_> = &[&id, &lower, &upper, &limit, &PAGE_BYTES];
            database.query(&self.context, PAGE_OF_ENTRIES.select(&self.range), parameters).await?
        } else {
            database.query(&self.context, PAGE_OF_KEYS.select(&self.range), &[&id, &lower, &upper, &limit]).await?
        };
        let value = |row| if self.values { read_bytes(row, 6) } else { Bytes::new() };
        let page: Vec<_> =
            rows.iter().map(|row| ScannedRow { key: read_bytes(row, 0), metadata: read_metadata(row, 1), value: value(row) }).collect();
        let Some(last) = page.last() else { return Ok(None) };
        let bytes: usize = page.iter().map(|row| row.value.len()).sum();
        let more = page.len() == most || i64::try_from(bytes).unwrap_or(i64::MAX) >= PAGE_BYTES;
        self.range.lower = Bound::Excluded(last.key.clone());
        self.remaining -= page.len();
        Ok(Some((page, more.then_some(self))))
    }

    fn rows(self) -> impl stream::Stream<Item = Result<ScannedRow, Error>> + Send {
        stream::try_unfold(Some(self), |reader| async move {
            match reader {
                Some(reader) => reader.page().await,
                None => Ok(None),
            }
        })
        .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
        .try_flatten()
    }
}

/// The limit of a request; 0 = no limit.
fn row_limit(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { limit as usize }
}

impl KeyValue {
    fn reader(&self, context: &Context, range: KeyRange, values: bool, limit: u32) -> ScanReader {
        ScanReader { keyspace: self.keyspace.clone(), context: context.clone(), range, values, remaining: row_limit(limit) }
    }
}

#[async_trait]
impl KeyValueScan for KeyValue {
    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let range = KeyRange::new(&self.keyspace.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let responses = self.reader(context, range, true, request.limit).rows().map_ok(|ScannedRow { key, metadata, value }| {
            ScanResponse { cursor: cursor::encode(&key), entry: Some(metadata.into_entry(key, value)) }
        });
        Ok(responses.boxed())
    }

    async fn scan_keys(&self, context: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let range = KeyRange::new(&self.keyspace.limits, request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let responses = self.reader(context, range, false, request.limit).rows().map_ok(|ScannedRow { key, metadata, .. }| {
            let cursor = cursor::encode(&key);
            metadata.into_scanned_key(key, cursor)
        });
        Ok(responses.boxed())
    }

    async fn count(&self, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(&self.keyspace.limits, request.prefix, request.start_key, request.end_key, "")?;
        if range.is_empty() {
            return Ok(CountResponse { count: 0 });
        }
        let id = self.keyspace.id(context).await?;
        let (lower, upper) = (range.inclusive_lower(), range.upper.as_deref());
        let row = self.keyspace.database.query_optional(context, COUNT.select(&range), &[&id, &lower, &upper]).await?;
        Ok(CountResponse { count: row.map_or(0, |row| unsigned(row.get(0))) })
    }
}
