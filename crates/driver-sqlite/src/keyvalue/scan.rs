//! `keyvalue_scan`, in pages: no read transaction stays open while a client is slow, because it would prevent checkpoints.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rusqlite::{Connection, Row};

use super::{
    KeyValue,
    rows::{read_metadata, unsigned},
};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, keyvalue::EntryMetadata, range::KeyRange, time};

/// Most rows of a page.
const PAGE_ROWS: usize = 256;
/// A page ends after the row with which it exceeds this number of bytes.
const PAGE_BYTES: usize = 64 << 10;

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
        let (range, values, most) = (self.range.clone(), self.values, self.remaining.min(PAGE_ROWS));
        let (page, more) = self.keyspace.read(move |connection, keyspace| page(connection, keyspace, &range, values, most)).await?;
        let Some(last) = page.last() else { return Ok(None) };
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

macro_rules! statement {
    ($columns:literal, $end:literal) => {
        concat!(
            "SELECT key, revision, expires, create_revision, version, flags",
            $columns,
            " FROM entries WHERE keyspace = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3) ",
            $end,
            " ORDER BY key"
        )
    };
}

/// Reads a page, and returns whether there may be more rows.
fn page(connection: &Connection, keyspace: i64, range: &KeyRange, values: bool, most: usize) -> DatabaseResult<(Vec<ScannedRow>, bool)> {
    // Without an upper bound, the statement has no comparison with it: a comparison with NULL is never true.
    let statement = match (values, range.upper.is_some()) {
        (true, true) => statement!(", value", "AND key < ?4"),
        (true, false) => statement!(", value", "AND ?4 IS NULL"),
        (false, true) => statement!("", "AND key < ?4"),
        (false, false) => statement!("", "AND ?4 IS NULL"),
    };
    let mut select = connection.prepare_cached(statement)?;
    let mut rows = select.query((keyspace, range.inclusive_lower(), time::now(), range.upper.as_deref()))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let scanned = scanned_row(row, values)?;
        bytes += scanned.key.len() + scanned.value.len();
        page.push(scanned);
        if page.len() >= most || bytes >= PAGE_BYTES {
            return Ok((page, true));
        }
    }
    Ok((page, false))
}

fn scanned_row(row: &Row<'_>, values: bool) -> rusqlite::Result<ScannedRow> {
    let blob = |column| -> rusqlite::Result<Bytes> { Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?)) };
    Ok(ScannedRow { key: blob(0)?, metadata: read_metadata(row, 1)?, value: if values { blob(6)? } else { Bytes::new() } })
}

/// The limit of a request; 0 = no limit.
fn row_limit(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { limit as usize }
}

#[async_trait]
impl KeyValueScan for KeyValue {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let range = KeyRange::new(self.keyspace.limits(), request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let reader = ScanReader { keyspace: self.keyspace.clone(), range, values: true, remaining: row_limit(request.limit) };
        let responses = reader.rows().map_ok(|ScannedRow { key, metadata, value }| ScanResponse {
            cursor: cursor::encode(&key),
            entry: Some(metadata.into_entry(key, value)),
        });
        Ok(responses.boxed())
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let range = KeyRange::new(self.keyspace.limits(), request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let reader = ScanReader { keyspace: self.keyspace.clone(), range, values: false, remaining: row_limit(request.limit) };
        let responses = reader.rows().map_ok(|ScannedRow { key, metadata, .. }| {
            let cursor = cursor::encode(&key);
            metadata.into_scanned_key(key, cursor)
        });
        Ok(responses.boxed())
    }

    async fn count(&self, _: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(self.keyspace.limits(), request.prefix, request.start_key, request.end_key, "")?;
        if range.is_empty() {
            return Ok(CountResponse { count: 0 });
        }
        let read = self.keyspace.read(move |connection, keyspace| {
            let statement = if range.upper.is_some() {
                "SELECT count(*) FROM entries WHERE keyspace = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3) AND key < ?4"
            } else {
                "SELECT count(*) FROM entries WHERE keyspace = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3) AND ?4 IS NULL"
            };
            let mut select = connection.prepare_cached(statement)?;
            Ok(select.query_row((keyspace, range.inclusive_lower(), time::now(), range.upper.as_deref()), |row| row.get(0))?)
        });
        Ok(CountResponse { count: unsigned(read.await?) })
    }
}
