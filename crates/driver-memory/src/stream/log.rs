//! One stream: its partitions, its retention and its groups.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{
    super::shared::{OVERHEAD, Shared},
    group::Group,
    partition::{Partition, Policy, Removed, Stored},
    partition_not_found,
};
use prism_call::{Code, Error};
use prism_driver::time::{self, Millis};

pub struct Log {
    pub name: String,
    pub state: Mutex<State>,
    /// Wakes all who wait for records: something was appended, acknowledged, given back, moved or deleted.
    pub changed: Notify,
    shared: Arc<Shared>,
}

pub struct State {
    pub partitions: Vec<Partition>,
    pub policy: Policy,
    pub groups: HashMap<String, Group>,
    /// Whether somebody asked for a number of partitions.
    pub made: bool,
    /// The partition of the next record without key.
    turn: u32,
    last_id: u64,
    pub shared: Arc<Shared>,
}

impl Log {
    /// For a name whose bytes have been reserved.
    pub fn new(name: &str, shared: Arc<Shared>) -> Self {
        Self { name: name.to_owned(), state: Mutex::new(State::new(shared.clone())), changed: Notify::new(), shared }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.release(self.name.len() as u64 + OVERHEAD);
    }
}

impl State {
    pub fn new(shared: Arc<Shared>) -> Self {
        let partitions = vec![Partition::default()];
        Self { partitions, policy: Policy::default(), groups: HashMap::new(), made: false, turn: 0, last_id: 0, shared }
    }

    /// Whether it is as if it had never been.
    pub fn is_pristine(&self) -> bool {
        let Policy { max_age, max_records, max_bytes } = self.policy;
        !self.made
            && self.groups.is_empty()
            && (max_age, max_records, max_bytes) == (None, None, None)
            && self.partitions.iter().all(|partition| partition.next_offset == 0)
    }

    /// A number that nothing else in this stream has.
    pub fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn partition(&self, number: u32) -> Result<&Partition, Error> {
        self.partitions.get(number as usize).ok_or_else(|| partition_not_found(number, self.partitions.len()))
    }

    /// Partitions with their numbers: one, or all.
    pub fn numbered(&self, only: Option<u32>) -> impl Iterator<Item = (u32, &Partition)> {
        (0..).zip(&self.partitions).filter(move |(number, _)| only.is_none_or(|only| only == *number))
    }

    pub fn append(&mut self, record: Stored, to: Option<u32>, expected: Option<u64>) -> Result<(u32, u64, Millis), Error> {
        if expected.is_some() && to.is_none() && self.partitions.len() > 1 {
            return Err(Error::new(
                Code::FailedPrecondition,
                "STREAM_PARTITIONED",
                "expected_next_offset: the stream has several partitions; name one with AppendToPartition",
            ));
        }
        let number = to.unwrap_or_else(|| self.choose(&record));
        let next_offset = self.partition(number)?.next_offset;
        if expected.is_some_and(|expected| expected != next_offset) {
            return Err(Error::new(
                Code::Aborted,
                "OFFSET_MISMATCH",
                format!("somebody else appended first: the next offset is {next_offset}; read what is new and try again"),
            )
            .with("next_offset", next_offset.to_string()));
        }
        if self.shared.reserve(record.size()).is_err() {
            // Perhaps only what is too old fills it.
            self.retain(time::now());
            self.shared.reserve(record.size())?;
        }
        let (offset, append_time) = self.partitions[number as usize].append(record);
        let removed = self.partitions[number as usize].retain(&self.policy, append_time);
        self.shared.release(removed.bytes);
        Ok((number, offset, append_time))
    }

    /// By a hash of the key, which stays the same as long as the number of partitions does; without key by turns.
    fn choose(&mut self, record: &Stored) -> u32 {
        let count = u32::try_from(self.partitions.len()).unwrap_or(1);
        if record.key.is_empty() {
            self.turn = (self.turn + 1) % count;
            return self.turn;
        }
        let mut hasher = DefaultHasher::new();
        record.key.hash(&mut hasher);
        u32::try_from(hasher.finish() % u64::from(count)).unwrap_or(0)
    }

    /// Applies the retention policy.
    pub fn retain(&mut self, now: Millis) -> Removed {
        let policy = self.policy;
        self.remove(|partition| partition.retain(&policy, now))
    }

    /// Removes records that later ones of the same key replace.
    pub fn compact(&mut self) -> Removed {
        self.remove(Partition::compact)
    }

    fn remove(&mut self, mut remove: impl FnMut(&mut Partition) -> Removed) -> Removed {
        let removed = self.partitions.iter_mut().map(&mut remove).fold(Removed::default(), Removed::and);
        self.shared.release(removed.bytes);
        removed
    }

    /// Gives the stream that many partitions; it has no more than them.
    pub fn set_partitions(&mut self, count: usize) -> Result<(), Error> {
        self.shared.reserve((count - self.partitions.len()) as u64 * OVERHEAD)?;
        self.partitions.resize_with(count, Partition::default);
        self.made = true;
        Ok(())
    }

    /// The lowest offset that is there.
    pub fn first_offset(&self) -> Option<u64> {
        self.partitions.iter().filter_map(Partition::first_offset).min()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let groups: u64 = self.groups.keys().map(|name| Group::size(name)).sum();
        let partitions = (self.partitions.len() - 1) as u64 * OVERHEAD + self.partitions.iter().map(Partition::size).sum::<u64>();
        self.shared.release(groups + partitions);
    }
}
