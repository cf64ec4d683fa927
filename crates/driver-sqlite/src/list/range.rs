//! `list_range`, in pages.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lists, rows};
use crate::keyspace::KeyspaceHandle;
use prism_call::{
    Context, Error, Messages,
    proto::models::list::v1::{GetRangeRequest, GetRangeResponse, ListRange, TrimRequest, TrimResponse},
};
use prism_driver::{
    check, index,
    list::{PAGE_BYTES, PAGE_ELEMENTS},
    pages::{Page, stream_pages},
};

/// The state of a range that is read.
struct RangeReader {
    keyspace: Arc<KeyspaceHandle>,
    key: Bytes,
    /// The next index to read and the last one, negative ones from the right until the first page is read.
    start: i64,
    stop: Option<i64>,
    /// Elements until the limit of the request.
    remaining: usize,
}

impl RangeReader {
    /// Reads the next page. From then on, the range counts from the left.
    async fn page(mut self) -> Result<Page<GetRangeResponse, Self>, Error> {
        let (key, start, stop, most) = (self.key.clone(), self.start, self.stop, self.remaining.min(PAGE_ELEMENTS));
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(list) = rows::find(&snapshot, keyspace, &key)? else { return Ok((0..0, Vec::new())) };
            let span = index::span(start, stop, list.len());
            let mut select = snapshot
                .prepare_cached("SELECT value FROM list_elements WHERE list = ?1 AND position >= ?2 AND position < ?3 ORDER BY position")?;
            let mut rows = select.query((list.id, list.at(span.start), list.at(span.end.min(span.start.saturating_add(most)))))?;
            let (mut values, mut bytes) = (Vec::new(), 0);
            while bytes < PAGE_BYTES
                && let Some(row) = rows.next()?
            {
                let value = Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?);
                bytes += value.len();
                values.push(value);
            }
            Ok((span, values))
        });
        let (span, values) = read.await?;
        let next = span.start + values.len();
        self.remaining -= values.len();
        self.start = i64::try_from(next).unwrap_or(i64::MAX);
        self.stop = i64::try_from(span.end).ok().map(|end| end - 1);
        let more = next < span.end && self.remaining > 0;
        let page = span.zip(values).map(|(index, value)| GetRangeResponse { index: index as u64, value }).collect();
        Ok((page, more.then_some(self)))
    }
}

#[async_trait]
impl ListRange for Lists {
    async fn get_range(&self, _: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let reader = RangeReader {
            keyspace: self.keyspace.clone(),
            key: request.key,
            start: request.start,
            stop: request.stop,
            remaining: check::limit_or_all(request.limit),
        };
        Ok(stream_pages(reader, RangeReader::page))
    }

    async fn trim(&self, _: &Context, request: TrimRequest) -> Result<TrimResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(mut list) = rows::find(tx.connection, keyspace, &request.key)? else { return Ok(TrimResponse::default()) };
            let before = list.length;
            let kept = index::span(request.start, request.stop, list.len());
            list.keep(tx, list.at(kept.start)..list.at(kept.end))?;
            list.save(tx)?;
            Ok(TrimResponse { removed: before.abs_diff(list.length), length: list.length.unsigned_abs() })
        });
        write.await
    }
}
