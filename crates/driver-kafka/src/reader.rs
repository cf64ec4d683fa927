//! Reads records of a Kafka topic from a place on, and waits at the end for new ones if it follows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    client::{Client, Place},
    codec::Stored,
    deadline::Deadline,
    pages::Page,
    tails::{Follower, Recent},
};
use prism_call::{Context, Error};
use prism_driver::{stream::offset_expired, subscriptions::Outage};

/// Most records of a page. A page of large records has fewer.
pub const PAGE: usize = 256;
/// How long a follower waits at the end before it looks for new partitions.
const WAIT: Duration = Duration::from_secs(1);
/// How long a follower waits for a Kafka topic that does not exist before it looks again. A creation by this gateway wakes it.
const ABSENT: Duration = Duration::from_millis(250);

/// What a reader does where records were removed that it did not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The read fails with `OFFSET_EXPIRED`, unless it has read nothing yet.
    Fail,
    /// The reader reports how many.
    Report,
}

/// What a reader returns.
#[derive(Debug)]
pub enum Item {
    Record(Stored),
    /// So many records were removed before they were read.
    Gap(u64),
}

/// A place in one partition.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// The next offset to read.
    pub next: u64,
    /// Records before this offset are left out.
    pub skip: u64,
    /// The first offset that is not read; `None` = no end.
    pub end: Option<u64>,
    /// Whether no record behind the position may be skipped: a record before it was read.
    pub strict: bool,
}

impl Position {
    /// Begins at an offset, and never ends.
    pub fn from(next: u64) -> Self {
        Self { next, skip: next, end: None, strict: false }
    }
}

/// A read of one Kafka topic.
pub struct Reader {
    client: Arc<Client>,
    context: Context,
    topic: String,
    /// Whether all partitions are read, also those that are added later.
    all: bool,
    positions: BTreeMap<u32, Position>,
    removed: Removed,
    patience: Duration,
    items: VecDeque<Item>,
    follower: Option<Follower>,
}

impl Reader {
    pub fn new(client: Arc<Client>, context: Context, topic: String, positions: BTreeMap<u32, Position>, removed: Removed) -> Self {
        let patience = *client.settings.subscriptions.patience;
        Self { client, context, topic, all: false, positions, removed, patience, items: VecDeque::new(), follower: None }
    }

    /// Also reads partitions that are added later.
    pub fn with_new_partitions(mut self) -> Self {
        self.all = true;
        self
    }

    /// Waits as long as it takes for brokers that are not reachable.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The next offset of each partition.
    pub fn positions(&self) -> impl Iterator<Item = (u32, u64)> {
        self.positions.iter().map(|(partition, position)| (*partition, position.next.max(position.skip)))
    }

    /// The next record; `None` at the ends of all partitions.
    pub async fn next(&mut self, follow: bool) -> Result<Option<Item>, Error> {
        let mut outage = Outage::new(self.patience);
        loop {
            while let Some(item) = self.items.pop_front() {
                if self.advance(&item) {
                    return Ok(Some(item));
                }
            }
            match self.fetch(follow).await {
                Ok(true) => {}
                Ok(false) if !follow => return Ok(None),
                Ok(false) => {
                    if let Some(down) = self.client.status.down_for()
                        && down >= self.patience
                    {
                        return Err(crate::error::unavailable("no broker of Kafka can be reached"));
                    }
                    outage.ended();
                    self.wait().await;
                }
                Err(error) if !follow => return Err(error),
                // A reader that follows continues at its position after an outage.
                Err(error) => outage.wait(error, self.client.status.is_closed()).await?,
            }
        }
    }

    /// Moves the position behind a record. Returns whether the caller gets the item.
    fn advance(&mut self, item: &Item) -> bool {
        let Item::Record(stored) = item else { return true };
        let Some(position) = self.positions.get_mut(&stored.partition) else { return false };
        let wanted = stored.offset >= position.next.max(position.skip) && position.end.is_none_or(|end| stored.offset < end);
        position.next = position.next.max(stored.offset + 1);
        position.strict |= wanted;
        wanted
    }

    /// Waits at the end.
    async fn wait(&mut self) {
        if let Some(follower) = &mut self.follower {
            follower.changed(WAIT).await;
        } else {
            let mut created = self.client.created.subscribe();
            // The sender lives as long as the client.
            let _ = tokio::time::timeout(ABSENT, created.changed()).await;
        }
    }

    /// Reads the next records. Returns false if there are none.
    async fn fetch(&mut self, follow: bool) -> Result<bool, Error> {
        let deadline = self.client.deadline(&self.context);
        if follow && !self.prepare(&deadline).await? {
            return Ok(false);
        }
        let from: Vec<(u32, u64)> = self
            .positions
            .iter()
            .filter(|(_, position)| position.end.is_none_or(|end| position.next < end))
            .map(|(partition, position)| (*partition, position.next))
            .collect();
        if from.is_empty() {
            return Ok(false);
        }
        let Some(records) = read(&self.client, &deadline, &self.topic, self.follower.as_ref(), &from, PAGE).await? else {
            return self.skip_removed(&deadline, &from).await;
        };
        let got = !records.is_empty();
        if !got && !follow {
            // What is left was removed, by retention or as an aborted transaction.
            return Ok(false);
        }
        self.items.extend(records.into_iter().map(Item::Record));
        Ok(got)
    }

    /// Makes the tail read all partitions. Returns false if the Kafka topic does not exist.
    async fn prepare(&mut self, deadline: &Deadline) -> Result<bool, Error> {
        let Some(count) = self.client.partitions_within(deadline, &self.topic, WAIT).await? else { return Ok(false) };
        if self.all {
            for partition in 0..count {
                self.positions.entry(partition).or_insert_with(|| Position::from(0));
            }
        }
        if self.follower.is_none() {
            self.follower = Some(self.client.follow(&self.topic)?);
        }
        let Some(follower) = &self.follower else { return Ok(false) };
        complete_tail(&self.client, deadline, &self.topic, follower, self.positions.keys().copied()).await?;
        Ok(true)
    }

    /// Continues where the oldest records are. Returns whether anything changed.
    async fn skip_removed(&mut self, deadline: &Deadline, from: &[(u32, u64)]) -> Result<bool, Error> {
        let partitions: Vec<u32> = from.iter().map(|(partition, _)| *partition).collect();
        let first = self.client.offsets(deadline, &self.topic, &partitions, Place::First).await?;
        let ends = self.client.offsets(deadline, &self.topic, &partitions, Place::End).await?;
        for ((partition, next), (first, end)) in from.iter().zip(first.into_iter().zip(ends)) {
            let Some(position) = self.positions.get_mut(partition) else { continue };
            if first > *next {
                match self.removed {
                    Removed::Fail if position.strict => return Err(offset_expired(first)),
                    Removed::Fail => {}
                    Removed::Report => self.items.push_back(Item::Gap(first - next)),
                }
                position.next = first;
            } else if end < *next {
                // Records before the position were lost, or the position is one that nobody has reached yet.
                position.skip = position.skip.max(*next);
                position.next = end;
            }
        }
        Ok(true)
    }
}

/// Makes a tail read these partitions, from their present ends on.
pub async fn complete_tail(
    client: &Client,
    deadline: &Deadline,
    topic: &str,
    follower: &Follower,
    partitions: impl Iterator<Item = u32>,
) -> Result<(), Error> {
    let missing = follower.missing(partitions);
    if missing.is_empty() {
        return Ok(());
    }
    let ends = client.offsets(deadline, topic, &missing, Place::End).await?;
    follower.add(&missing.into_iter().zip(ends).collect::<Vec<_>>())
}

/// Reads the next records of partitions: from the tail if it has them, or else a page. `None` if a position is out of range.
pub async fn read(
    client: &Client,
    deadline: &Deadline,
    topic: &str,
    follower: Option<&Follower>,
    from: &[(u32, u64)],
    most: usize,
) -> Result<Option<Vec<Stored>>, Error> {
    let mut records = Vec::new();
    let mut behind = Vec::new();
    for (partition, next) in from {
        match follower.map_or(Recent::Behind, |follower| follower.recent(*partition, *next, most - records.len())) {
            Recent::Records(recent) => records.extend(recent),
            Recent::AtEnd => {}
            Recent::Behind => behind.push((*partition, *next)),
        }
        if records.len() >= most {
            break;
        }
    }
    if !records.is_empty() || behind.is_empty() {
        return Ok(Some(records));
    }
    match client.page(deadline, topic, &behind, most).await? {
        Page::Records(records) => Ok(Some(records)),
        Page::OutOfRange => Ok(None),
    }
}
