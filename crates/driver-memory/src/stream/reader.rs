//! Reads the records of a stream page after page, and waits for new ones where that is wanted.

use std::{collections::VecDeque, sync::Arc};

use futures::stream;

use super::{
    super::shared::{Shared, lock},
    Streams, cursor,
    log::{Log, State},
    partition::Partition,
};
use prism_call::{Code, Error, Messages, proto::models::stream::v1::Record};
use prism_driver::{check, time::Millis};

/// Records that are copied under one hold of the lock.
const PAGE: usize = 128;

/// Where a read begins.
pub enum Start {
    Oldest,
    Offset(u64),
    Time(Millis),
    Cursor(String),
    /// With what is appended from now on.
    Latest,
}

/// Where a read ends.
pub enum End {
    /// Behind the record that is the last now.
    Now,
    Offset(u64),
    Time(Millis),
    /// Never: it waits for new records.
    Follow,
}

/// What to read.
pub struct Read<'a> {
    pub stream: &'a str,
    /// Only this partition.
    pub partition: Option<u32>,
    pub start: Start,
    pub end: End,
    /// 0 is no limit.
    pub limit: u32,
}

struct Reader {
    log: Arc<Log>,
    shared: Arc<Shared>,
    only: Option<u32>,
    /// For each partition the offset to continue at.
    places: Vec<u64>,
    /// For each partition the offset to end before; `None` follows.
    ends: Option<Vec<u64>>,
    /// The partition to begin the next page with.
    turn: usize,
    page: VecDeque<Record>,
    left: Option<u32>,
}

impl Streams {
    /// Reads records; `response` makes the message of each.
    pub fn read<T: Send + 'static>(&self, read: &Read<'_>, response: fn(Record) -> T) -> Result<Messages<T>, Error> {
        check::name("stream", read.stream)?;
        let places = match &read.start {
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
            let places = match places {
                Some(places) => from_cursor(&state, read.partition, &places)?,
                None => state.partitions.iter().map(|partition| read.start.place(partition)).collect(),
            };
            let left = (read.limit > 0).then_some(read.limit);
            let mut reader = Reader {
                log: log.clone(),
                shared: self.shared.clone(),
                only: read.partition,
                places,
                ends,
                turn: 0,
                page: VecDeque::new(),
                left,
            };
            // The first page is read now, so that a cursor that has expired is told at once.
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
    /// The offset that it means in a partition.
    pub fn place(&self, partition: &Partition) -> u64 {
        match self {
            Self::Offset(offset) => (*offset).max(partition.oldest()),
            Self::Time(time) => partition.offset_at(*time),
            Self::Latest => partition.next_offset,
            Self::Oldest | Self::Cursor(_) => partition.oldest(),
        }
    }
}

fn ends(state: &State, end: &End) -> Option<Vec<u64>> {
    let end_of = |partition: &Partition| match end {
        End::Offset(offset) => (*offset).min(partition.next_offset),
        End::Time(time) => partition.offset_at(*time),
        End::Now | End::Follow => partition.next_offset,
    };
    if matches!(end, End::Follow) { None } else { Some(state.partitions.iter().map(end_of).collect()) }
}

/// A partition that the cursor doesn't know was made after it, so all of it is behind the cursor.
fn from_cursor(state: &State, only: Option<u32>, cursor: &[(u32, u64)]) -> Result<Vec<u64>, Error> {
    let mut places = vec![0; state.partitions.len()];
    for (partition, offset) in cursor {
        let place = places.get_mut(*partition as usize).ok_or_else(prism_driver::cursor::invalid)?;
        *place = *offset;
    }
    let known = |only: u32| cursor.iter().any(|(partition, _)| *partition == only);
    if only.is_some_and(|only| !known(only)) {
        return Err(prism_driver::cursor::invalid());
    }
    Ok(places)
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            if let Some(record) = self.page.pop_front() {
                self.left = self.left.map(|left| left - 1);
                return Ok(Some(record));
            }
            tokio::task::consume_budget().await;
            self.shared.open()?;
            let log = self.log.clone();
            let changed = log.changed.notified();
            self.fill(&lock(&log.state))?;
            if !self.page.is_empty() {
                continue;
            }
            if self.ends.is_some() {
                return Ok(None);
            }
            // What was appended since the page was read counts too: the future exists since before.
            tokio::select! {
                () = changed => {}
                closed = self.shared.closed() => return Err(closed),
            }
        }
    }

    /// Copies the next records of all partitions, each partition getting its share of the page.
    fn fill(&mut self, state: &State) -> Result<(), Error> {
        // Whatever is in a partition that was made meanwhile is new.
        self.places.resize(state.partitions.len(), 0);
        let count = self.places.len();
        let room = self.left.map_or(PAGE, |left| PAGE.min(left as usize));
        let share = if self.only.is_some() { room } else { room.div_ceil(count) };
        for step in 0..count {
            let index = (self.turn + step) % count;
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            if self.only.is_some_and(|only| only != number) {
                continue;
            }
            let partition = &state.partitions[index];
            let end = match &self.ends {
                Some(ends) => ends.get(index).copied().unwrap_or(0),
                None => u64::MAX,
            };
            if self.places[index] < partition.horizon && self.places[index] < end {
                return Err(expired(partition.oldest()));
            }
            for record in partition.from(self.places[index]).take_while(|record| record.offset < end).take(share) {
                self.places[index] = record.offset + 1;
                let cursor = match self.only {
                    Some(only) => cursor::encode(&self.log.name, [(only, record.offset + 1)]),
                    None => cursor::encode(&self.log.name, (0..).zip(self.places.iter().copied())),
                };
                self.page.push_back(record.shown(number, cursor));
            }
        }
        self.turn = (self.turn + 1) % count;
        Ok(())
    }
}

/// `OUT_OF_RANGE OFFSET_EXPIRED`
fn expired(first_offset: u64) -> Error {
    Error::new(
        Code::OutOfRange,
        "OFFSET_EXPIRED",
        format!("retention has removed records that were not read yet; the oldest one that is there has offset {first_offset}"),
    )
    .with("first_offset", first_offset.to_string())
}
