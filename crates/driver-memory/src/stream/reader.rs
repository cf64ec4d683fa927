//! Reads the records of a stream in pages, and waits for new records if the read follows the stream.

use std::{collections::VecDeque, sync::Arc};

use futures::stream;

use super::{
    Streams, cursor,
    log::{Log, LogState},
    partition::Partition,
};
use crate::state::SharedState;
use prism_call::{Error, Messages, proto::models::stream::v1::Record};
use prism_driver::{check, cursor as opaque, lock::lock, stream::offset_expired, time::Millis};

/// Records that are copied while the lock is held once.
const PAGE: usize = 128;

/// Where a read starts.
pub enum Start {
    Oldest,
    Offset(u64),
    Time(Millis),
    Cursor(String),
    /// With the records that are appended from now on.
    Latest,
}

/// Where a read ends.
pub enum End {
    /// After the record that is the last one now.
    Now,
    /// Before this offset.
    Offset(u64),
    /// Before the first record of this time or later.
    Time(Millis),
    /// Never: the read waits for new records.
    Follow,
}

/// The part of a stream to read.
pub struct ReadRange<'a> {
    pub stream: &'a str,
    /// `None` = all partitions.
    pub partition: Option<u32>,
    pub start: Start,
    pub end: End,
    /// Most records; 0 = no limit.
    pub limit: u32,
}

/// A read in progress.
struct StreamReader {
    log: Arc<Log>,
    shared: Arc<SharedState>,
    /// The only partition to read; `None` = all of them.
    only: Option<u32>,
    /// The next offset of each partition.
    positions: Vec<u64>,
    /// The offset of each partition before which the read ends; `None` if it follows the stream.
    ends: Option<Vec<u64>>,
    /// The partition with which the next page starts.
    next_partition: usize,
    page: VecDeque<Record>,
    /// Records until the limit of the request; `None` = no limit.
    remaining: Option<u32>,
}

impl Streams {
    /// Reads records; `response` wraps each in the message of the RPC.
    pub fn read<T: Send + 'static>(&self, read: &ReadRange<'_>, response: fn(Record) -> T) -> Result<Messages<T>, Error> {
        check::name("stream", read.stream)?;
        let from_cursor = match &read.start {
            Start::Cursor(text) => cursor::decode(read.stream, text)?,
            _ => None,
        };
        let log = self.log(read.stream)?;
        let reader = {
            let state = lock(&log.state);
            if let Some(partition) = read.partition {
                state.partition(partition)?;
            }
            let ends = ends(&state, &read.end);
            let positions = match from_cursor {
                Some(cursor) => cursor_positions(&state, read.partition, &cursor)?,
                None => state.partitions.iter().map(|partition| read.start.offset_in(partition)).collect(),
            };
            let mut reader = StreamReader {
                log: log.clone(),
                shared: self.shared.clone(),
                only: read.partition,
                positions,
                ends,
                next_partition: 0,
                page: VecDeque::new(),
                remaining: (read.limit > 0).then_some(read.limit),
            };
            // The first page is read now, so that the call itself fails if the cursor has expired.
            reader.fill(&state)?;
            reader
        };
        Ok(Box::pin(stream::try_unfold(reader, move |mut reader| async move {
            let record = reader.next().await?;
            Ok(record.map(|record| (response(record), reader)))
        })))
    }
}

impl Start {
    /// The offset in a partition at which the read starts.
    pub fn offset_in(&self, partition: &Partition) -> u64 {
        match self {
            Self::Offset(offset) => (*offset).max(partition.oldest()),
            Self::Time(time) => partition.offset_at(*time),
            Self::Latest => partition.next_offset,
            Self::Oldest | Self::Cursor(_) => partition.oldest(),
        }
    }
}

/// The offset of each partition before which a read ends; `None` if it follows the stream.
fn ends(state: &LogState, end: &End) -> Option<Vec<u64>> {
    let end_of = |partition: &Partition| match end {
        End::Offset(offset) => (*offset).min(partition.next_offset),
        End::Time(time) => partition.offset_at(*time),
        End::Now | End::Follow => partition.next_offset,
    };
    if matches!(end, End::Follow) { None } else { Some(state.partitions.iter().map(end_of).collect()) }
}

/// The offsets of a cursor. A partition that it does not contain is newer than the cursor, and is read from its start.
fn cursor_positions(state: &LogState, only: Option<u32>, cursor: &[(u32, u64)]) -> Result<Vec<u64>, Error> {
    let mut positions = vec![0; state.partitions.len()];
    for (partition, offset) in cursor {
        let position = positions.get_mut(*partition as usize).ok_or_else(opaque::invalid)?;
        *position = *offset;
    }
    let known = |only: u32| cursor.iter().any(|(partition, _)| *partition == only);
    if only.is_some_and(|only| !known(only)) {
        return Err(opaque::invalid());
    }
    Ok(positions)
}

impl StreamReader {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if self.remaining == Some(0) {
                return Ok(None);
            }
            if let Some(record) = self.page.pop_front() {
                self.remaining = self.remaining.map(|remaining| remaining - 1);
                return Ok(Some(record));
            }
            tokio::task::consume_budget().await;
            self.shared.check_open()?;
            let log = self.log.clone();
            let changed = log.changed.notified();
            self.fill(&lock(&log.state))?;
            if !self.page.is_empty() {
                continue;
            }
            if self.ends.is_some() {
                return Ok(None);
            }
            // The future was created before the page was read, so records that were appended since then also wake it.
            tokio::select! {
                () = changed => {}
                closed = self.shared.wait_until_closed() => return Err(closed),
            }
        }
    }

    /// Copies the next records of the partitions into the page. Each partition gets the same share of it.
    fn fill(&mut self, state: &LogState) -> Result<(), Error> {
        // Partitions that were added since are read from their start.
        self.positions.resize(state.partitions.len(), 0);
        let count = self.positions.len();
        let room = self.remaining.map_or(PAGE, |remaining| PAGE.min(remaining as usize));
        let share = if self.only.is_some() { room } else { room.div_ceil(count) };
        for step in 0..count {
            let index = (self.next_partition + step) % count;
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            if self.only.is_some_and(|only| only != number) {
                continue;
            }
            let partition = &state.partitions[index];
            let end = match &self.ends {
                Some(ends) => ends.get(index).copied().unwrap_or(0),
                None => u64::MAX,
            };
            if self.positions[index] < partition.expired_to && self.positions[index] < end {
                return Err(offset_expired(partition.oldest()));
            }
            for record in partition.from(self.positions[index]).take_while(|record| record.offset < end).take(share) {
                self.positions[index] = record.offset + 1;
                let cursor = match self.only {
                    Some(only) => cursor::encode(&self.log.name, [(only, record.offset + 1)]),
                    None => cursor::encode(&self.log.name, (0..).zip(self.positions.iter().copied())),
                };
                self.page.push_back(record.to_proto(number, cursor));
            }
        }
        self.next_partition = (self.next_partition + 1) % count;
        Ok(())
    }
}
