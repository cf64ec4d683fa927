//! One partition: records in the order of their offsets.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::super::shared::{OVERHEAD, attribute_bytes};
use prism_call::proto::models::stream::v1::Record;
use prism_driver::time::{self, Millis};

#[derive(Default)]
pub struct Partition {
    /// Ascending by offset; compaction leaves gaps.
    records: VecDeque<Stored>,
    /// The offset that the next record gets.
    pub next_offset: u64,
    /// Retention has removed the record below this offset. A reader who is not as far has lost something.
    pub horizon: u64,
    /// Content of all records.
    pub bytes: u64,
    last_append: Millis,
}

pub struct Stored {
    pub offset: u64,
    pub key: Bytes,
    payload: Bytes,
    attributes: BTreeMap<String, String>,
    pub append_time: Millis,
}

/// Limits of what a partition keeps.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_field_names, reason = "the contract's names")]
pub struct Policy {
    pub max_age: Option<Duration>,
    pub max_records: Option<u64>,
    pub max_bytes: Option<u64>,
}

/// What was taken out of a partition.
#[derive(Clone, Copy, Default)]
pub struct Removed {
    pub records: u64,
    /// As they count in the budget.
    pub bytes: u64,
}

impl Partition {
    pub fn append(&mut self, mut record: Stored) -> (u64, Millis) {
        record.offset = self.next_offset;
        // A clock that was set back doesn't turn the order of times around.
        record.append_time = record.append_time.max(self.last_append);
        self.last_append = record.append_time;
        self.next_offset += 1;
        self.bytes += record.content();
        let place = (record.offset, record.append_time);
        self.records.push_back(record);
        place
    }

    /// The records from an offset on.
    pub fn from(&self, offset: u64) -> impl Iterator<Item = &Stored> {
        self.records.range(self.records.partition_point(|record| record.offset < offset)..)
    }

    pub fn get(&self, offset: u64) -> Option<&Stored> {
        self.records.binary_search_by_key(&offset, |record| record.offset).ok().map(|index| &self.records[index])
    }

    /// Number of records from an offset on.
    pub fn count_from(&self, offset: u64) -> u64 {
        (self.records.len() - self.records.partition_point(|record| record.offset < offset)) as u64
    }

    /// The offset of the first record that was appended at a time or later, or of the next one.
    pub fn offset_at(&self, time: Millis) -> u64 {
        let index = self.records.partition_point(|record| record.append_time < time);
        self.records.get(index).map_or(self.next_offset, |record| record.offset)
    }

    pub fn first_offset(&self) -> Option<u64> {
        self.records.front().map(|record| record.offset)
    }

    pub fn last_offset(&self) -> Option<u64> {
        self.records.back().map(|record| record.offset)
    }

    /// The oldest place that there is to read from.
    pub fn oldest(&self) -> u64 {
        self.first_offset().unwrap_or(self.next_offset)
    }

    pub fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// All that it counts in the budget.
    pub fn size(&self) -> u64 {
        self.bytes + self.len() * OVERHEAD
    }

    /// Removes the oldest records until no limit is exceeded.
    pub fn retain(&mut self, policy: &Policy, now: Millis) -> Removed {
        let oldest_allowed = policy.max_age.map(|age| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        let mut removed = Removed::default();
        while let Some(first) = self.records.front() {
            let exceeded = oldest_allowed.is_some_and(|oldest| first.append_time < oldest)
                || policy.max_records.is_some_and(|most| self.len() > most)
                || policy.max_bytes.is_some_and(|most| self.bytes > most);
            if !exceeded {
                break;
            }
            self.horizon = first.offset + 1;
            removed.add(first);
            self.bytes -= first.content();
            self.records.pop_front();
        }
        removed
    }

    /// Removes records that a later one with the same key replaces.
    pub fn compact(&mut self) -> Removed {
        let mut removed = Removed::default();
        let mut seen = HashSet::new();
        let mut kept = VecDeque::with_capacity(self.records.len());
        while let Some(record) = self.records.pop_back() {
            if record.key.is_empty() || seen.insert(record.key.clone()) {
                kept.push_front(record);
            } else {
                removed.add(&record);
                self.bytes -= record.content();
            }
        }
        self.records = kept;
        removed
    }
}

impl Stored {
    /// Without an offset yet.
    pub fn new(key: Bytes, payload: Bytes, attributes: BTreeMap<String, String>, append_time: Millis) -> Self {
        Self { offset: 0, key, payload, attributes, append_time }
    }

    /// Bytes of the client.
    fn content(&self) -> u64 {
        (self.key.len() + self.payload.len()) as u64 + attribute_bytes(&self.attributes)
    }

    /// What it counts in the budget.
    pub fn size(&self) -> u64 {
        self.content() + OVERHEAD
    }

    /// As clients see it.
    pub fn shown(&self, partition: u32, cursor: String) -> Record {
        Record {
            offset: self.offset,
            partition,
            key: self.key.clone(),
            payload: self.payload.clone(),
            attributes: self.attributes.clone(),
            append_time: Some(time::timestamp(self.append_time)),
            cursor,
        }
    }
}

impl Removed {
    fn add(&mut self, record: &Stored) {
        self.records += 1;
        self.bytes += record.size();
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }
}
