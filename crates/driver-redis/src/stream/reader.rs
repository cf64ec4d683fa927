//! Reading records page by page, and waiting at the end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::stream;

use super::{READ, Streams, offset::Id, record};
use crate::{error, reply};
use prism_call::{Code, Context, Error, Messages, proto::models::stream::v1::Record};

/// Most records of a page; a script gives fewer when they are large.
const PAGE: usize = 256;
/// How long a read waits at the end before it asks again.
const WAIT: Duration = Duration::from_secs(2);

/// Where a read begins.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With the first record at this id or behind it.
    At(Id),
    /// Behind this one, and nothing may be skipped.
    Behind(Id),
}

/// A read of one stream.
pub struct Reader {
    pub streams: Streams,
    pub context: Context,
    pub stream: String,
    pub start: Start,
    /// The last id that is read; `None` = wait at the end for more.
    pub end: Option<Id>,
    /// Records that may still come.
    pub left: usize,
}

impl Reader {
    /// The records, as their messages.
    pub fn messages<T: Send + 'static>(self, wrap: fn(Record) -> T) -> Messages<T> {
        Box::pin(stream::try_unfold((self, VecDeque::new()), move |(mut reader, mut page)| async move {
            if page.is_empty() {
                page = reader.page().await?;
            }
            Ok::<_, Error>(page.pop_front().map(|record| (wrap(record), (reader, page))))
        }))
    }

    /// The next records; none = the end.
    async fn page(&mut self) -> Result<VecDeque<Record>, Error> {
        let mut away: Option<Instant> = None;
        loop {
            if self.left == 0 || self.is_done() {
                return Ok(VecDeque::new());
            }
            match self.fetch().await {
                Ok(page) if !page.is_empty() => return Ok(page),
                Ok(_) if self.end.is_some() => return Ok(VecDeque::new()),
                Ok(_) => {}
                // Who follows a stream stays, and goes on where it was: nothing is lost by an outage.
                Err(error) => self.endure(error, &mut away).await?,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| match self.start {
            Start::At(id) => id > end,
            Start::Behind(id) => id >= end,
        })
    }

    /// Reads a page; if there is none yet and the reader follows, waits a while for one.
    async fn fetch(&mut self) -> Result<VecDeque<Record>, Error> {
        let from = match self.start {
            Start::At(id) => id.to_string(),
            Start::Behind(id) => format!("({id}"),
        };
        let to = self.end.map_or_else(|| "+".to_owned(), |end| end.to_string());
        let call = self.streams.script(&READ, &self.stream).arg(from).arg(to).arg(self.left.min(PAGE));
        let [trimmed, records] = reply::exactly(self.streams.call(&self.context, &call).await?)?;
        if let (Start::Behind(place), Some(trimmed)) = (self.start, Id::read(&trimmed)?)
            && trimmed > place
        {
            return Err(self.expired(trimmed).await?);
        }
        let mut page = VecDeque::new();
        for entry in reply::list(records)? {
            let [id, fields] = reply::exactly(entry)?;
            let (id, record) = record::read(&self.stream, &id, fields)?;
            self.start = Start::Behind(id);
            page.push_back(record);
        }
        self.left -= page.len().min(self.left);
        if page.is_empty() && self.end.is_none() {
            let behind = match self.start {
                Start::At(id) => id.before(),
                Start::Behind(id) => id,
            };
            self.streams.waiting.wait(&self.streams.stream_key(&self.stream), behind, WAIT).await?;
        }
        Ok(page)
    }

    /// `OUT_OF_RANGE OFFSET_EXPIRED`
    async fn expired(&self, trimmed: Id) -> Result<Error, Error> {
        let ends = self.streams.ends(&self.context, &self.stream).await?;
        let first = ends.first_record.map_or(ends.last.max(trimmed).next(), |id| id.0);
        Ok(Error::new(
            Code::OutOfRange,
            "OFFSET_EXPIRED",
            format!("retention removed records behind the cursor; the oldest that is there has offset {first}"),
        )
        .with("first_offset", first.to_string()))
    }

    async fn endure(&self, error: Error, away: &mut Option<Instant>) -> Result<(), Error> {
        let patience = *self.streams.hub.settings().patience;
        let since = *away.get_or_insert_with(Instant::now);
        if self.end.is_some() || error.code() != Code::Unavailable || since.elapsed() >= patience || self.streams.client.is_closed() {
            return Err(error);
        }
        tokio::time::sleep(error::pause(&error)).await;
        Ok(())
    }
}
