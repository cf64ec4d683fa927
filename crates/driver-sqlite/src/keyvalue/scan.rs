//! `keyvalue_scan`, in pages: no read transaction stays open while a consumer is slow, so the log can always be moved into
//! the file.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rusqlite::{Connection, Row};

use super::{
    KeyValue,
    rows::{Head, unsigned},
};
use crate::{error::DatabaseResult, space::Space};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{
        CountRequest, CountResponse, KeyValueScan, ScanKeysRequest, ScanKeysResponse, ScanRequest, ScanResponse,
    },
};
use prism_driver::{cursor, range::KeyRange, time, transactions::Numbers};

/// Most rows of a page.
const PAGE_ROWS: usize = 256;
/// A page ends with the row that takes it over this many bytes.
const PAGE_BYTES: usize = 1 << 20;
/// Where the statements begin, inclusive: the first key behind a key is that key with a zero byte.
fn from(range: &KeyRange) -> Vec<u8> {
    match &range.lower {
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => [key, &[0][..]].concat(),
        Bound::Unbounded => Vec::new(),
    }
}

/// A row without or with its value.
struct Found {
    key: Bytes,
    head: Head,
    value: Bytes,
}

struct Scan {
    space: Arc<Space>,
    range: KeyRange,
    values: bool,
    left: usize,
}

impl Scan {
    /// The next page, and the scan behind it unless this was the last one.
    async fn page(mut self) -> Result<Option<(Vec<Found>, Option<Self>)>, Error> {
        if self.left == 0 || self.range.is_empty() {
            return Ok(None);
        }
        let (range, values, most) = (self.range.clone(), self.values, self.left.min(PAGE_ROWS));
        let (page, more) = self.space.read(move |connection, space| page(connection, space, &range, values, most)).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.range.lower = Bound::Excluded(last.key.clone());
        self.left -= page.len();
        Ok(Some((page, more.then_some(self))))
    }

    fn rows(self) -> impl stream::Stream<Item = Result<Found, Error>> + Send {
        stream::try_unfold(Some(self), |scan| async move {
            match scan {
                Some(scan) => scan.page().await,
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

fn page(connection: &Connection, space: i64, range: &KeyRange, values: bool, most: usize) -> DatabaseResult<(Vec<Found>, bool)> {
    // Without an end, the statement must not have a comparison: a NULL there finds nothing.
    let statement = match (values, range.upper.is_some()) {
        (true, true) => statement!(", value", "AND key < ?4"),
        (true, false) => statement!(", value", "AND ?4 IS NULL"),
        (false, true) => statement!("", "AND key < ?4"),
        (false, false) => statement!("", "AND ?4 IS NULL"),
    };
    let mut select = connection.prepare_cached(statement)?;
    let mut rows = select.query((space, from(range), time::now(), range.upper.as_deref()))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let found = found(row, values)?;
        bytes += found.key.len() + found.value.len();
        page.push(found);
        if page.len() >= most || bytes >= PAGE_BYTES {
            return Ok((page, true));
        }
    }
    Ok((page, false))
}

fn found(row: &Row<'_>, values: bool) -> rusqlite::Result<Found> {
    let blob = |column| -> rusqlite::Result<Bytes> { Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?)) };
    Ok(Found { key: blob(0)?, head: Head::of(row, 1)?, value: if values { blob(6)? } else { Bytes::new() } })
}

fn limit(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { limit as usize }
}

#[async_trait]
impl KeyValueScan for KeyValue {
    async fn scan(&self, _: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        let range = KeyRange::new(self.space.limits(), request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let scan = Scan { space: self.space.clone(), range, values: true, left: limit(request.limit) };
        let answers = scan
            .rows()
            .map_ok(|found| ScanResponse { cursor: cursor::encode(&found.key), entry: Some(found.head.entry(found.key, found.value)) });
        Ok(answers.boxed())
    }

    async fn scan_keys(&self, _: &Context, request: ScanKeysRequest) -> Result<Messages<ScanKeysResponse>, Error> {
        let range = KeyRange::new(self.space.limits(), request.prefix, request.start_key, request.end_key, &request.cursor)?;
        let scan = Scan { space: self.space.clone(), range, values: false, left: limit(request.limit) };
        let answers = scan.rows().map_ok(|Found { key, head, .. }| {
            let Numbers { revision, create_revision, version } = head.numbers;
            ScanKeysResponse { cursor: cursor::encode(&key), key, revision, flags: head.flags, create_revision, version }
        });
        Ok(answers.boxed())
    }

    async fn count(&self, _: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        let range = KeyRange::new(self.space.limits(), request.prefix, request.start_key, request.end_key, "")?;
        if range.is_empty() {
            return Ok(CountResponse { count: 0 });
        }
        let read = self.space.read(move |connection, space| {
            let statement = if range.upper.is_some() {
                "SELECT count(*) FROM entries WHERE keyspace = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3) AND key < ?4"
            } else {
                "SELECT count(*) FROM entries WHERE keyspace = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3) AND ?4 IS NULL"
            };
            let mut select = connection.prepare_cached(statement)?;
            Ok(select.query_row((space, from(&range), time::now(), range.upper.as_deref()), |row| row.get(0))?)
        });
        Ok(CountResponse { count: unsigned(read.await?) })
    }
}
