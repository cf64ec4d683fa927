//! Reads the records of a stream in pages, and waits at the end for new ones.

use std::{collections::VecDeque, time::Duration};

use futures::stream;

use super::{Streams, record};
use crate::{client::Deadline, error, jetstream::Stored, log::Log, signals::Listener};
use prism_call::{Context, Error, Messages, proto::models::stream::v1::Record};
use prism_driver::stream::offset_expired;

/// Most records of a page. A page of large records has fewer.
const PAGE: usize = 256;
/// How long a read waits at the end before it reads again, if nothing wakes it.
const WAIT: Duration = Duration::from_secs(2);
/// How long a read waits for a copy of the data that is behind.
const BEHIND: Duration = Duration::from_millis(10);

/// Where a read starts.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With the first record at this sequence or after it.
    At(u64),
    /// After this record, without a gap.
    After(u64),
}

/// A read of one stream.
pub struct StreamReader {
    pub streams: Streams,
    pub context: Context,
    pub log: Log,
    pub stream: String,
    pub start: Start,
    /// The last sequence to read; `None` = wait at the end for new records.
    pub end: Option<u64>,
    /// Records until the limit of the request.
    pub remaining: usize,
}

impl StreamReader {
    /// The records; `wrap` puts each into the message of the RPC.
    pub fn messages<T: Send + 'static>(self, wrap: fn(Record) -> T) -> Messages<T> {
        Box::pin(stream::try_unfold((self, VecDeque::new(), None), move |(mut reader, mut page, mut listener)| async move {
            if page.is_empty() {
                page = reader.page(&mut listener).await?;
            }
            match page.pop_front() {
                Some(stored) => {
                    let record = record::decode(&reader.stream, stored)?;
                    Ok::<_, Error>(Some((wrap(record), (reader, page, listener))))
                }
                None => Ok(None),
            }
        }))
    }

    /// Reads the next page. An empty page is the end.
    async fn page(&mut self, listener: &mut Option<Listener>) -> Result<VecDeque<Stored>, Error> {
        let mut outage = self.streams.subscriptions.outage();
        loop {
            if self.remaining == 0 || self.is_done() {
                return Ok(VecDeque::new());
            }
            match self.fetch(listener).await {
                Ok(page) if !page.is_empty() => return Ok(page),
                Ok(_) if self.end.is_some() => return Ok(VecDeque::new()),
                Ok(_) => {
                    outage.ended();
                    match listener {
                        Some(listener) => listener.changed(WAIT).await,
                        // The next attempt reads what came before the subscription.
                        None => *listener = self.listen().await.ok(),
                    }
                }
                Err(error) if self.end.is_some() => return Err(error),
                // A reader that follows the stream continues at its position after an outage.
                Err(error) => outage.wait(error, self.streams.client.connection().is_closed()).await?,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.next() > end)
    }

    /// The first sequence that was not read.
    fn next(&self) -> u64 {
        match self.start {
            Start::At(sequence) => sequence,
            Start::After(sequence) => sequence.saturating_add(1),
        }
    }

    async fn listen(&self) -> Result<Listener, Error> {
        let deadline = self.streams.client.deadline(&self.context);
        self.streams.signals.listen(&deadline, &self.streams.wake_subject(&self.stream)).await
    }

    /// Reads a page. It is empty at the end.
    async fn fetch(&mut self, listener: &mut Option<Listener>) -> Result<VecDeque<Stored>, Error> {
        if self.end.is_none() && listener.is_none() {
            *listener = Some(self.listen().await?);
        }
        let deadline = self.streams.client.deadline(&self.context);
        let mut page = self.checked_page(&deadline).await?;
        if let Some(end) = self.end {
            page.retain(|stored| stored.sequence <= end);
        }
        if let Some(last) = page.last() {
            self.start = Start::After(last.sequence);
        }
        self.remaining -= page.len().min(self.remaining);
        Ok(page.into())
    }

    async fn checked_page(&self, deadline: &Deadline) -> Result<Vec<Stored>, Error> {
        loop {
            let page = self.log.page(deadline, self.next(), self.remaining.min(PAGE)).await?;
            if page.first().is_some_and(|first| first.sequence == self.next()) {
                return Ok(page);
            }
            let Some(info) = self.log.info(deadline).await? else { return Ok(page) };
            let state = info.state;
            if matches!(self.start, Start::After(_)) && state.first_seq > self.next() {
                return Err(offset_expired(record::offset(state.first_seq)));
            }
            if !page.is_empty() || state.messages == 0 || state.last_seq < self.next() {
                return Ok(page);
            }
            // The page was read from a copy that is behind, or the record came in between.
            if deadline.remaining().is_zero() {
                return Err(error::unavailable("the copies of the stream differ for too long", WAIT));
            }
            tokio::time::sleep(BEHIND).await;
        }
    }
}
