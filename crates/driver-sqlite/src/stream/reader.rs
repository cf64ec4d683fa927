//! Reads the records of a stream in pages, and waits for new ones if the read follows the stream. No read transaction stays open
//! between pages.

use std::sync::Arc;

use futures::{Stream, TryStreamExt as _, stream};
use rusqlite::Connection;

use super::log::{self, StreamRow};
use crate::{
    error::DatabaseResult,
    keyspace::KeyspaceHandle,
    signals::{Topic, Waiter},
};
use prism_call::{Error, proto::models::stream::v1::Record};
use prism_driver::time::Millis;

/// Most records of a page.
const PAGE_ROWS: usize = 256;

/// Where a read starts.
pub enum Start {
    Oldest,
    Offset(i64),
    Time(Millis),
    /// After this offset, without a gap.
    After(i64),
    /// With the records that are appended from now on.
    Latest,
}

/// Where a read ends (exclusive); at the latest after the record that was the last one when the read started.
#[derive(Clone, Copy)]
pub enum End {
    /// After the record that is the last one now.
    Now,
    Offset(i64),
    Time(Millis),
}

/// A read in progress.
pub struct StreamReader {
    keyspace: Arc<KeyspaceHandle>,
    name: Arc<str>,
    /// The next offset. The read fails if retention has removed records at this offset or after it.
    next: i64,
    /// The offset before which the read ends; `None` if it follows the stream.
    end: Option<i64>,
    /// Records until the limit of the request.
    remaining: usize,
    waiter: Option<Waiter>,
}

impl StreamReader {
    /// Finds the start of the read. A `limit` of 0 = no limit. With `follow`, the read waits at the end for new records.
    pub async fn new(
        keyspace: &Arc<KeyspaceHandle>,
        name: String,
        start: Start,
        end: End,
        follow: bool,
        limit: u32,
    ) -> Result<Self, Error> {
        let name: Arc<str> = name.into();
        let waiter = if follow { Some(keyspace.wait(|keyspace| Topic::Stream(keyspace, name.clone())).await?) } else { None };
        let stream = name.clone();
        let (next, end) = keyspace.quick(move |connection, keyspace| start_and_end(connection, keyspace, &stream, &start, end)).await?;
        let remaining = if limit == 0 { usize::MAX } else { limit as usize };
        Ok(Self { keyspace: keyspace.clone(), name, next, end: (!follow).then_some(end), remaining, waiter })
    }

    /// The records.
    pub fn records(self) -> impl Stream<Item = Result<Record, Error>> + Send {
        stream::try_unfold(self, |mut reader| async move {
            let page = reader.page().await?;
            let more = !page.is_empty();
            let records = stream::iter(page.into_iter().map(Ok::<_, Error>));
            Ok::<_, Error>(more.then_some((records, reader)))
        })
        .try_flatten()
    }

    /// Reads the next page. An empty page is the end.
    async fn page(&mut self) -> Result<Vec<Record>, Error> {
        loop {
            if self.remaining == 0 || self.end.is_some_and(|end| self.next >= end) {
                return Ok(Vec::new());
            }
            let (name, next, end, most) = (self.name.clone(), self.next, self.end.unwrap_or(i64::MAX), self.remaining.min(PAGE_ROWS));
            let page = self.keyspace.read(move |connection, keyspace| {
                // One snapshot: no record is removed between the check and the read.
                let snapshot = connection.unchecked_transaction()?;
                let Some(stream) = log::find(&snapshot, keyspace, &name)? else { return Ok(Vec::new()) };
                if stream.expired_to > next {
                    return Err(log::expired(&snapshot, &stream).into());
                }
                log::page(&snapshot, &stream, &name, next, end, most)
            });
            let page = page.await?;
            if let Some(last) = page.last() {
                self.next = super::signed(last.offset) + 1;
                self.remaining -= page.len();
                return Ok(page);
            }
            match &mut self.waiter {
                Some(waiter) => waiter.changed().await,
                None => return Ok(page),
            }
        }
    }
}

/// The first offset of a read, and the offset before which it ends.
fn start_and_end(connection: &Connection, keyspace: i64, name: &str, start: &Start, end: End) -> DatabaseResult<(i64, i64)> {
    let snapshot = connection.unchecked_transaction()?;
    let stream = log::find(&snapshot, keyspace, name)?.unwrap_or(StreamRow { id: 0, next_offset: 0, expired_to: 0 });
    let next = match *start {
        Start::Oldest => stream.expired_to,
        Start::Offset(offset) => offset.max(stream.expired_to),
        Start::Time(time) => log::offset_at(&snapshot, &stream, time)?,
        Start::After(offset) if stream.expired_to > offset + 1 => return Err(log::expired(&snapshot, &stream).into()),
        Start::After(offset) => offset + 1,
        Start::Latest => stream.next_offset,
    };
    let end = match end {
        End::Now => stream.next_offset,
        End::Offset(offset) => offset.min(stream.next_offset),
        End::Time(time) => log::offset_at(&snapshot, &stream, time)?,
    };
    Ok((next, end))
}
