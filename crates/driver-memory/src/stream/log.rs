//! One stream: its partitions, its retention limits and its consumer groups.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{
    group::Group,
    partition::{Partition, RemovedRecords, StoredRecord},
};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{Code, Error};
use prism_driver::{
    stream::{RetentionLimits, offset_mismatch, partition_not_found},
    time::{self, Millis},
};

/// A stream.
pub struct Log {
    pub name: String,
    pub state: Mutex<LogState>,
    /// Wakes waiting readers and members after every change of the records or the groups.
    pub changed: Notify,
    shared: Arc<SharedState>,
}

/// The state of a stream.
pub struct LogState {
    pub partitions: Vec<Partition>,
    pub retention: RetentionLimits,
    pub groups: HashMap<String, Group>,
    /// Whether a client has set the number of partitions.
    partitions_set: bool,
    /// The partition of the last record without a key.
    last_partition: u32,
    /// The last id of a group or a member.
    last_id: u64,
    pub shared: Arc<SharedState>,
}

impl Log {
    /// An empty stream. The caller has reserved the bytes of its name.
    pub fn new(name: &str, shared: Arc<SharedState>) -> Self {
        Self { name: name.to_owned(), state: Mutex::new(LogState::new(shared.clone())), changed: Notify::new(), shared }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.release(self.name.len() as u64 + OVERHEAD);
    }
}

impl LogState {
    pub fn new(shared: Arc<SharedState>) -> Self {
        let partitions = vec![Partition::default()];
        Self {
            partitions,
            retention: RetentionLimits::default(),
            groups: HashMap::new(),
            partitions_set: false,
            last_partition: 0,
            last_id: 0,
            shared,
        }
    }

    /// Whether nothing was ever appended or set, so that removing the stream changes nothing for clients.
    pub fn is_unused(&self) -> bool {
        !self.partitions_set
            && self.groups.is_empty()
            && self.retention == RetentionLimits::default()
            && self.partitions.iter().all(|partition| partition.next_offset == 0)
    }

    /// A number that no other group or member of this stream has.
    pub fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn partition(&self, number: u32) -> Result<&Partition, Error> {
        self.partitions.get(number as usize).ok_or_else(|| partition_not_found(number, self.partitions.len()))
    }

    /// One partition or all partitions, with their numbers.
    pub fn numbered(&self, only: Option<u32>) -> impl Iterator<Item = (u32, &Partition)> {
        (0..).zip(&self.partitions).filter(move |(number, _)| only.is_none_or(|only| only == *number))
    }

    /// Appends a record, and returns its partition, offset and time.
    pub fn append(&mut self, record: StoredRecord, to: Option<u32>, expected: Option<u64>) -> Result<(u32, u64, Millis), Error> {
        if expected.is_some() && to.is_none() && self.partitions.len() > 1 {
            return Err(Error::new(
                Code::FailedPrecondition,
                "STREAM_PARTITIONED",
                "expected_next_offset: the stream has several partitions; choose one with AppendToPartition",
            ));
        }
        let number = to.unwrap_or_else(|| self.choose_partition(&record));
        let next_offset = self.partition(number)?.next_offset;
        if expected.is_some_and(|expected| expected != next_offset) {
            return Err(offset_mismatch(next_offset));
        }
        if self.shared.reserve(record.size()).is_err() {
            // Records that are too old may take the space.
            self.apply_retention(time::now());
            self.shared.reserve(record.size())?;
        }
        let (offset, append_time) = self.partitions[number as usize].append(record);
        let removed = self.partitions[number as usize].apply_retention(&self.retention, append_time);
        self.shared.release(removed.bytes);
        Ok((number, offset, append_time))
    }

    /// Chooses a partition by a hash of the key, or in turns for records without a key. Records with the same key stay in one
    /// partition until the number of partitions changes.
    fn choose_partition(&mut self, record: &StoredRecord) -> u32 {
        let count = u32::try_from(self.partitions.len()).unwrap_or(1);
        if record.key.is_empty() {
            self.last_partition = (self.last_partition + 1) % count;
            return self.last_partition;
        }
        let mut hasher = DefaultHasher::new();
        record.key.hash(&mut hasher);
        u32::try_from(hasher.finish() % u64::from(count)).unwrap_or(0)
    }

    /// Removes records that exceed the retention limits.
    pub fn apply_retention(&mut self, now: Millis) -> RemovedRecords {
        let limits = self.retention;
        self.remove(|partition| partition.apply_retention(&limits, now))
    }

    /// Removes records that have a later record with the same key in their partition.
    pub fn compact(&mut self) -> RemovedRecords {
        self.remove(Partition::compact)
    }

    fn remove(&mut self, mut remove: impl FnMut(&mut Partition) -> RemovedRecords) -> RemovedRecords {
        let removed = self.partitions.iter_mut().map(&mut remove).fold(RemovedRecords::default(), RemovedRecords::add);
        self.shared.release(removed.bytes);
        removed
    }

    /// Raises the number of partitions to `count`.
    pub fn set_partitions(&mut self, count: usize) -> Result<(), Error> {
        self.shared.reserve((count - self.partitions.len()) as u64 * OVERHEAD)?;
        self.partitions.resize_with(count, Partition::default);
        self.partitions_set = true;
        Ok(())
    }

    /// The lowest offset of all records.
    pub fn first_offset(&self) -> Option<u64> {
        self.partitions.iter().filter_map(Partition::first_offset).min()
    }
}

impl Drop for LogState {
    fn drop(&mut self) {
        let groups: u64 = self.groups.keys().map(|name| Group::size(name)).sum();
        let partitions = (self.partitions.len() - 1) as u64 * OVERHEAD + self.partitions.iter().map(Partition::size).sum::<u64>();
        self.shared.release(groups + partitions);
    }
}
