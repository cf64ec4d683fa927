//! Reads the records of a stream in pages, and waits at the end for new ones.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::stream;

use super::{READ, Streams, record, record_id::RecordId};
use crate::{error, reply};
use prism_call::{Code, Context, Error, Messages, proto::models::stream::v1::Record};
use prism_driver::stream::offset_expired;

/// Most records of a page. A page of large records has fewer.
const PAGE: usize = 256;
/// How long a read waits at the end before it reads again.
const WAIT: Duration = Duration::from_secs(2);

/// Where a read starts.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With the first record at this id or after it.
    At(RecordId),
    /// After this record, without a gap.
    After(RecordId),
}

/// A read of one stream.
pub struct StreamReader {
    pub streams: Streams,
    pub context: Context,
    pub stream: String,
    pub start: Start,
    /// The last id to read; `None` = wait at the end for new records.
    pub end: Option<RecordId>,
    /// Records until the limit of the request.
    pub remaining: usize,
}

impl StreamReader {
    /// The records; `wrap` puts each into the message of the RPC.
    pub fn messages<T: Send + 'static>(self, wrap: fn(Record) -> T) -> Messages<T> {
        Box::pin(stream::try_unfold((self, VecDeque::new()), move |(mut reader, mut page)| async move {
            if page.is_empty() {
                page = reader.page().await?;
            }
            Ok::<_, Error>(page.pop_front().map(|record| (wrap(record), (reader, page))))
        }))
    }

    /// Reads the next page. An empty page is the end.
    async fn page(&mut self) -> Result<VecDeque<Record>, Error> {
        let mut unavailable_since: Option<Instant> = None;
        loop {
            if self.remaining == 0 || self.is_done() {
                return Ok(VecDeque::new());
            }
            match self.fetch().await {
                Ok(page) if !page.is_empty() => return Ok(page),
                Ok(_) if self.end.is_some() => return Ok(VecDeque::new()),
                Ok(_) => {}
                // A reader that follows the stream continues at its position after an outage.
                Err(error) => self.wait_before_retry(error, &mut unavailable_since).await?,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| match self.start {
            Start::At(id) => id > end,
            Start::After(id) => id >= end,
        })
    }

    /// Reads a page. If it is empty and the reader follows the stream, waits for a new record before it returns.
    async fn fetch(&mut self) -> Result<VecDeque<Record>, Error> {
        let from = match self.start {
            Start::At(id) => id.to_string(),
            Start::After(id) => format!("({id}"),
        };
        let to = self.end.map_or_else(|| "+".to_owned(), |end| end.to_string());
        let call = self.streams.script(&READ, &self.stream).arg(from).arg(to).arg(self.remaining.min(PAGE));
        let [trimmed, records] = reply::fixed_list(self.streams.call(&self.context, &call).await?)?;
        if let (Start::After(position), Some(trimmed)) = (self.start, RecordId::parse(&trimmed)?)
            && trimmed > position
        {
            return Err(self.expired(trimmed).await?);
        }
        let mut page = VecDeque::new();
        for entry in reply::list(records)? {
            let [id, fields] = reply::fixed_list(entry)?;
            let (id, record) = record::decode(&self.stream, &id, fields)?;
            self.start = Start::After(id);
            page.push_back(record);
        }
        self.remaining -= page.len().min(self.remaining);
        if page.is_empty() && self.end.is_none() {
            let after = match self.start {
                Start::At(id) => id.before(),
                Start::After(id) => id,
            };
            self.streams.wait_for_record(&self.streams.stream_key(&self.stream), after, WAIT).await?;
        }
        Ok(page)
    }

    /// `OUT_OF_RANGE OFFSET_EXPIRED`
    async fn expired(&self, trimmed: RecordId) -> Result<Error, Error> {
        let info = self.streams.stream_info(&self.context, &self.stream).await?;
        let first = info.first_record.map_or(info.last.max(trimmed).next(), |id| id.0);
        Ok(offset_expired(first))
    }

    /// Waits before the next attempt. Returns the error if it is not temporary, if the read does not follow the stream, or if the outage
    /// lasts longer than the setting `patience`.
    async fn wait_before_retry(&self, error: Error, unavailable_since: &mut Option<Instant>) -> Result<(), Error> {
        let patience = *self.streams.hub.settings().patience;
        let since = *unavailable_since.get_or_insert_with(Instant::now);
        if self.end.is_some() || error.code() != Code::Unavailable || since.elapsed() >= patience || self.streams.client.is_closed() {
            return Err(error);
        }
        tokio::time::sleep(error::retry_pause(&error)).await;
        Ok(())
    }
}
