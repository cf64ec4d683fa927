//! Reads a stream in pages, to an end or as records come. No read transaction stays open between pages.

use std::sync::Arc;

use futures::{Stream, TryStreamExt as _, stream};
use rusqlite::Connection;

use super::log::{self, Head};
use crate::{
    error::DatabaseResult,
    signals::{Topic, Waiter},
    space::Space,
};
use prism_call::{Error, proto::models::stream::v1::Record};
use prism_driver::time::Millis;

/// Most records of a page.
const PAGE_ROWS: usize = 256;

/// Where a read begins.
pub enum Start {
    Oldest,
    Offset(i64),
    Time(Millis),
    Behind(i64),
    Latest,
}

/// Where a read ends, exclusive, but never beyond the record that was the last when it began.
#[derive(Clone, Copy)]
pub enum End {
    Present,
    Offset(i64),
    Time(Millis),
}

/// A read in progress.
pub struct Reading {
    space: Arc<Space>,
    name: Arc<str>,
    /// The next offset. From here on nothing may be missing, so retention must not have come this far.
    next: i64,
    /// `None` while it follows.
    end: Option<i64>,
    left: usize,
    waiter: Option<Waiter>,
}

impl Reading {
    /// Finds the place to begin at. A `limit` of 0 is none; with `follow` it waits at the end for more.
    pub async fn begin(space: &Arc<Space>, name: String, start: Start, end: End, follow: bool, limit: u32) -> Result<Self, Error> {
        let name: Arc<str> = name.into();
        let waiter = if follow { Some(space.wait(|space| Topic::Stream(space, name.clone())).await?) } else { None };
        let stream = name.clone();
        let (next, end) = space.quick(move |connection, space| places(connection, space, &stream, &start, end)).await?;
        let left = if limit == 0 { usize::MAX } else { limit as usize };
        Ok(Self { space: space.clone(), name, next, end: (!follow).then_some(end), left, waiter })
    }

    /// The records.
    pub fn records(self) -> impl Stream<Item = Result<Record, Error>> + Send {
        stream::try_unfold(self, |mut reading| async move {
            let page = reading.page().await?;
            let more = !page.is_empty();
            let records = stream::iter(page.into_iter().map(Ok::<_, Error>));
            Ok::<_, Error>(more.then_some((records, reading)))
        })
        .try_flatten()
    }

    /// The next page; empty at the end.
    async fn page(&mut self) -> Result<Vec<Record>, Error> {
        loop {
            if self.left == 0 || self.end.is_some_and(|end| self.next >= end) {
                return Ok(Vec::new());
            }
            let (name, next, end, most) = (self.name.clone(), self.next, self.end.unwrap_or(i64::MAX), self.left.min(PAGE_ROWS));
            let page = self.space.read(move |connection, space| {
                // One snapshot, so that no record goes between the check and the read.
                let snapshot = connection.unchecked_transaction()?;
                let Some(head) = log::find(&snapshot, space, &name)? else { return Ok(Vec::new()) };
                if head.expired_to > next {
                    return Err(log::expired(&snapshot, &head).into());
                }
                log::page(&snapshot, &head, &name, next, end, most)
            });
            let page = page.await?;
            if let Some(last) = page.last() {
                self.next = super::signed(last.offset) + 1;
                self.left -= page.len();
                return Ok(page);
            }
            match &mut self.waiter {
                Some(waiter) => waiter.changed().await,
                None => return Ok(page),
            }
        }
    }
}

fn places(connection: &Connection, space: i64, name: &str, start: &Start, end: End) -> DatabaseResult<(i64, i64)> {
    let snapshot = connection.unchecked_transaction()?;
    let head = log::find(&snapshot, space, name)?.unwrap_or(Head { id: 0, next_offset: 0, expired_to: 0 });
    let next = match *start {
        Start::Oldest => head.expired_to,
        Start::Offset(offset) => offset.max(head.expired_to),
        Start::Time(time) => log::from_time(&snapshot, &head, time)?,
        Start::Behind(offset) if head.expired_to > offset + 1 => return Err(log::expired(&snapshot, &head).into()),
        Start::Behind(offset) => offset + 1,
        Start::Latest => head.next_offset,
    };
    let end = match end {
        End::Present => head.next_offset,
        End::Offset(offset) => offset.min(head.next_offset),
        End::Time(time) => log::from_time(&snapshot, &head, time)?,
    };
    Ok((next, end))
}
