//! Reads the records of a stream in pages, and waits for new ones if the read follows the stream. A read holds no connection between pages.

use std::{sync::Arc, time::Duration};

use futures::{Stream, TryStreamExt as _, stream};
use tokio_postgres::types::Type;

use super::log::Log;
use crate::{columns::request_time, database::Parameters, keyspace::KeyspaceHandle, notifications::Waiter, sql::Sql};
use prism_call::{Context, Error, proto::models::stream::v1::Record};
use prism_driver::time::Millis;

/// Most records of a page.
const PAGE_ROWS: i64 = 256;

/// The offsets and times of a start and an end.
static FIND: Sql = Sql {
    text: "SELECT expired_to, next_offset, {schema}.offset_at(id, $4), {schema}.offset_at(id, $5)
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ],
};

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

/// What a read wants.
pub struct ReadOptions {
    pub start: Start,
    pub end: End,
    /// Whether the read waits at the end for new records.
    pub follow: bool,
    /// Most records; 0 = no limit.
    pub limit: u32,
}

/// A read in progress.
pub struct StreamReader {
    handle: Arc<KeyspaceHandle>,
    context: Context,
    log: Log,
    /// The next offset. The read fails if retention has removed records at this offset or after it.
    next: i64,
    /// Whether retention may have removed records at `next`, because no page was read yet and the start is not a cursor.
    may_skip: bool,
    /// The offset before which the read ends; `None` if it follows the stream.
    end: Option<i64>,
    /// Records until the limit of the request.
    remaining: i64,
    waiter: Option<Waiter>,
}

impl StreamReader {
    /// Finds the start of the read.
    pub async fn new(handle: &Arc<KeyspaceHandle>, context: &Context, log: Log, options: ReadOptions) -> Result<Self, Error> {
        let waiter = options.follow.then(|| handle.notifications.wait(log.keyspace, &[log.topic()]));
        let from_time = if let Start::Time(time) = options.start { Some(request_time(time)) } else { None };
        let to_time = if let End::Time(time) = options.end { Some(request_time(time)) } else { None };
        let parameters: Parameters<'_> = &[&log.keyspace, &(log.kind as i16), &log.name, &from_time, &to_time];
        let row = handle.database.query_optional(context, &FIND, parameters).await?;
        let number = |column| row.as_ref().and_then(|row| row.get::<_, Option<i64>>(column)).unwrap_or(0);
        let (expired_to, next_offset) = (number(0), number(1));
        let next = match options.start {
            Start::Oldest => expired_to,
            Start::Offset(offset) => offset.max(expired_to),
            Start::Time(_) => number(2),
            Start::After(offset) if expired_to > offset + 1 => return Err(log.expired(handle, context).await?),
            Start::After(offset) => offset + 1,
            Start::Latest => next_offset,
        };
        let may_skip = matches!(options.start, Start::Oldest | Start::Offset(_) | Start::Time(_));
        let end = match options.end {
            End::Now => next_offset,
            End::Offset(offset) => offset.min(next_offset),
            End::Time(_) => number(3),
        };
        let remaining = if options.limit == 0 { i64::MAX } else { i64::from(options.limit) };
        let end = (!options.follow).then_some(end);
        Ok(Self { handle: handle.clone(), context: context.clone(), log, next, may_skip, end, remaining, waiter })
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
        let mut outage = self.handle.notifications.limits.outage();
        loop {
            if self.remaining == 0 || self.end.is_some_and(|end| self.next >= end) {
                return Ok(Vec::new());
            }
            match (self.fetch().await, &mut self.waiter) {
                (Ok(page), None) => return Ok(page),
                (Ok(page), Some(_)) if !page.is_empty() => return Ok(page),
                (Ok(_), Some(waiter)) => {
                    outage.ended();
                    waiter.changed(Duration::MAX).await;
                }
                // A read that follows the stream continues at its position after an outage.
                (Err(error), Some(_)) => outage.wait(error, self.handle.database.is_closed()).await?,
                (Err(error), None) => return Err(error),
            }
        }
    }

    async fn fetch(&mut self) -> Result<Vec<Record>, Error> {
        let (end, most) = (self.end.unwrap_or(i64::MAX), self.remaining.min(PAGE_ROWS));
        let page = self.log.records(&self.handle, &self.context, self.next, end, most).await?;
        let may_skip = std::mem::take(&mut self.may_skip);
        if page.expired_to > self.next && !may_skip {
            return Err(self.log.expired(&self.handle, &self.context).await?);
        }
        self.next = self.next.max(page.expired_to);
        if let Some(last) = page.records.last() {
            self.next = super::signed(last.offset) + 1;
            self.remaining -= i64::try_from(page.records.len()).unwrap_or(0);
        }
        Ok(page.records)
    }
}
