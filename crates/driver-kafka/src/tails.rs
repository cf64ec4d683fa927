//! The ends of the partitions that somebody follows. One consumer reads them for all followers of this gateway, and keeps the last records of
//! each partition, so that the number of followers does not matter to Kafka.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{Message as _, config::FromClientConfigAndContext as _, consumer::Consumer as _, error::KafkaError};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    codec::Stored,
    connection::Reports,
    error,
    pages::{Consumer, assignment},
    settings::KafkaSettings,
};
use prism_call::Error;
use prism_driver::lock::lock;

/// Most records that are kept of one partition.
const KEPT: usize = 512;
/// Most bytes that are kept of one partition; at least one record is kept.
const KEPT_BYTES: usize = 2 << 20;
/// Pause after an error of the consumer, which goes on by itself.
const PAUSE: Duration = Duration::from_millis(50);

/// All tails of a backend.
pub struct Tails {
    consumer: Consumer,
    open: Mutex<HashMap<String, OpenTail>>,
}

struct OpenTail {
    tail: Arc<Tail>,
    followers: usize,
}

/// The ends of the partitions of one Kafka topic.
pub struct Tail {
    partitions: Mutex<HashMap<u32, Kept>>,
    changes: watch::Sender<u64>,
}

/// The last records of a partition: all those from `first` to before `next`. None are missing in between.
struct Kept {
    records: VecDeque<Stored>,
    bytes: usize,
    first: u64,
    next: u64,
}

/// What a tail has for a position.
pub enum Recent {
    /// The next records.
    Records(Vec<Stored>),
    /// The position is at the end.
    AtEnd,
    /// The position is before what the tail has.
    Behind,
}

/// A follower of a Kafka topic. Dropping the last one ends the tail.
pub struct Follower {
    tails: Arc<Tails>,
    topic: String,
    tail: Arc<Tail>,
    changes: watch::Receiver<u64>,
}

impl Tails {
    /// Makes the consumer, and the task that reads from it.
    pub fn start(settings: &KafkaSettings, reports: Reports) -> Result<(Arc<Self>, AbortHandle), Error> {
        let mut config = settings.consumer_config();
        config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
        let consumer = Consumer::from_config_and_context(&config, reports.clone()).map_err(|error| error::no_client(&error))?;
        let tails = Arc::new(Self { consumer, open: Mutex::default() });
        let reading = tails.clone();
        let task = tokio::spawn(async move { reading.run(&reports).await }).abort_handle();
        Ok((tails, task))
    }

    async fn run(&self, reports: &Reports) {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    reports.status.responded();
                    let tail = lock(&self.open).get(message.topic()).map(|open| open.tail.clone());
                    if let Some(tail) = tail {
                        tail.push(Stored::copy(&message));
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the consumer of new records reports an error");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Begins to follow a Kafka topic.
    pub fn follow(self: &Arc<Self>, topic: &str) -> Follower {
        let mut open = lock(&self.open);
        let entry = open.entry(topic.to_owned()).or_insert_with(|| OpenTail {
            tail: Arc::new(Tail { partitions: Mutex::default(), changes: watch::Sender::new(0) }),
            followers: 0,
        });
        entry.followers += 1;
        let changes = entry.tail.changes.subscribe();
        Follower { tails: self.clone(), topic: topic.to_owned(), tail: entry.tail.clone(), changes }
    }
}

impl Tail {
    fn push(&self, stored: Stored) {
        if let Some(kept) = lock(&self.partitions).get_mut(&stored.partition) {
            kept.push(stored);
        }
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Kept {
    fn push(&mut self, stored: Stored) {
        if stored.offset < self.next {
            return;
        }
        if stored.offset > self.next {
            // The records in between were removed before the consumer read them, or belong to no reader (transactions). A follower that
            // waits for them is now behind the tail, and reads a page, which tells it which.
            self.records.clear();
            (self.bytes, self.first) = (0, stored.offset);
        }
        self.next = stored.offset + 1;
        self.bytes += stored.size();
        self.records.push_back(stored);
        while self.records.len() > KEPT || (self.bytes > KEPT_BYTES && self.records.len() > 1) {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= oldest.size();
            self.first = oldest.offset + 1;
        }
    }
}

impl Follower {
    /// The partitions that the tail does not read yet.
    pub fn missing(&self, partitions: impl Iterator<Item = u32>) -> Vec<u32> {
        let known = lock(&self.tail.partitions);
        partitions.filter(|partition| !known.contains_key(partition)).collect()
    }

    /// Reads the records of partitions from these offsets on, which are their present ends.
    pub fn add(&self, ends: &[(u32, u64)]) -> Result<(), Error> {
        let _open = lock(&self.tails.open);
        let mut known = lock(&self.tail.partitions);
        let new: Vec<_> = ends.iter().copied().filter(|(partition, _)| !known.contains_key(partition)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let added = assignment(&self.topic, &new).and_then(|list| self.tails.consumer.incremental_assign(&list));
        added.map_err(|error| error::map(&error, 0))?;
        for (partition, next) in new {
            known.insert(partition, Kept { records: VecDeque::new(), bytes: 0, first: next, next });
        }
        Ok(())
    }

    /// What the tail has of a partition from an offset on.
    pub fn recent(&self, partition: u32, from: u64, most: usize) -> Recent {
        let known = lock(&self.tail.partitions);
        match known.get(&partition) {
            Some(kept) if from >= kept.next => Recent::AtEnd,
            Some(kept) if from >= kept.first => {
                let begin = kept.records.partition_point(|stored| stored.offset < from);
                Recent::Records(kept.records.range(begin..).take(most).cloned().collect())
            }
            _ => Recent::Behind,
        }
    }

    /// Returns when new records have come since the last call, or after a time.
    pub async fn changed(&mut self, at_most: Duration) {
        // The sender lives as long as this follower.
        let _ = tokio::time::timeout(at_most, self.changes.changed()).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut open = lock(&self.tails.open);
        let Some(entry) = open.get_mut(&self.topic) else { return };
        entry.followers -= 1;
        if entry.followers > 0 {
            return;
        }
        open.remove(&self.topic);
        // Under the lock, so that a new follower does not add a partition before it is removed.
        let ends: Vec<_> = lock(&self.tail.partitions).iter().map(|(partition, kept)| (*partition, kept.next)).collect();
        if ends.is_empty() {
            return;
        }
        let removed: Result<(), KafkaError> =
            assignment(&self.topic, &ends).and_then(|list| self.tails.consumer.incremental_unassign(&list));
        if let Err(error) = removed {
            tracing::debug!(%error, topic = self.topic, "the consumer of new records could not leave a topic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: u64, bytes: usize) -> Stored {
        Stored { partition: 0, offset, time: 0, key: bytes::Bytes::new(), payload: vec![0; bytes].into(), headers: Vec::new() }
    }

    #[test]
    fn keeps_the_last_records_within_bounds() {
        let mut kept = Kept { records: VecDeque::new(), bytes: 0, first: 10, next: 10 };
        kept.push(stored(9, 1));
        assert!(kept.records.is_empty(), "the record is older than the tail");
        for offset in 10..10 + 2 * KEPT as u64 {
            kept.push(stored(offset, 1));
        }
        assert_eq!((kept.records.len(), kept.first, kept.next), (KEPT, 10 + KEPT as u64, 10 + 2 * KEPT as u64));
        kept.push(stored(10 + 2 * KEPT as u64, KEPT_BYTES + 1));
        assert_eq!((kept.records.len(), kept.first, kept.next), (1, 10 + 2 * KEPT as u64, 11 + 2 * KEPT as u64));
        kept.push(stored(5000, 1));
        assert_eq!((kept.records.len(), kept.bytes, kept.first, kept.next), (1, stored(5000, 1).size(), 5000, 5001));
    }
}
