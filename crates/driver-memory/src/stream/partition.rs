//! One partition: records in the order of their offsets.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;

use crate::state::{OVERHEAD, attribute_bytes};
use prism_call::proto::models::stream::v1::Record;
use prism_driver::{
    stream::RetentionLimits,
    time::{self, Millis},
};

/// A partition of a stream.
#[derive(Default)]
pub struct Partition {
    /// In the order of their offsets, which have gaps after compaction.
    records: VecDeque<StoredRecord>,
    /// The offset that the next record gets.
    pub next_offset: u64,
    /// Retention has removed the records below this offset. A reader whose position is lower has missed records.
    pub expired_to: u64,
    /// Bytes of the content of all records.
    pub bytes: u64,
    last_append: Millis,
}

/// A record in a partition.
pub struct StoredRecord {
    pub offset: u64,
    pub key: Bytes,
    payload: Bytes,
    attributes: BTreeMap<String, String>,
    pub append_time: Millis,
}

/// How many records were removed.
#[derive(Clone, Copy, Default)]
pub struct RemovedRecords {
    pub records: u64,
    /// Bytes that the records counted towards `max_bytes`.
    pub bytes: u64,
}

impl Partition {
    /// Appends a record, and returns its offset and time.
    pub fn append(&mut self, mut record: StoredRecord) -> (u64, Millis) {
        record.offset = self.next_offset;
        // Times never decrease, even if the clock is set back.
        record.append_time = record.append_time.max(self.last_append);
        self.last_append = record.append_time;
        self.next_offset += 1;
        self.bytes += record.content_bytes();
        let appended = (record.offset, record.append_time);
        self.records.push_back(record);
        appended
    }

    /// The records at an offset and after it.
    pub fn from(&self, offset: u64) -> impl Iterator<Item = &StoredRecord> {
        self.records.range(self.records.partition_point(|record| record.offset < offset)..)
    }

    pub fn get(&self, offset: u64) -> Option<&StoredRecord> {
        self.records.binary_search_by_key(&offset, |record| record.offset).ok().map(|index| &self.records[index])
    }

    /// Number of records at an offset and after it.
    pub fn count_from(&self, offset: u64) -> u64 {
        (self.records.len() - self.records.partition_point(|record| record.offset < offset)) as u64
    }

    /// The offset of the first record that was appended at a time or later, or the next offset if there is none.
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

    /// The offset of the oldest record, or the next offset if there is none.
    pub fn oldest(&self) -> u64 {
        self.first_offset().unwrap_or(self.next_offset)
    }

    pub fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// Bytes that it counts towards `max_bytes`.
    pub fn size(&self) -> u64 {
        self.bytes + self.len() * OVERHEAD
    }

    /// Removes the oldest records until no limit is exceeded.
    pub fn apply_retention(&mut self, limits: &RetentionLimits, now: Millis) -> RemovedRecords {
        let oldest_allowed = limits.max_age.map(|age| now.saturating_sub(age));
        let mut removed = RemovedRecords::default();
        while let Some(first) = self.records.front() {
            let exceeded = oldest_allowed.is_some_and(|oldest| first.append_time < oldest)
                || limits.max_records.is_some_and(|most| self.len() > most)
                || limits.max_bytes.is_some_and(|most| self.bytes > most);
            if !exceeded {
                break;
            }
            self.expired_to = first.offset + 1;
            removed.count(first);
            self.bytes -= first.content_bytes();
            self.records.pop_front();
        }
        removed
    }

    /// Removes records that have a later record with the same key.
    pub fn compact(&mut self) -> RemovedRecords {
        let mut removed = RemovedRecords::default();
        let mut seen = HashSet::new();
        let mut kept = VecDeque::with_capacity(self.records.len());
        while let Some(record) = self.records.pop_back() {
            if record.key.is_empty() || seen.insert(record.key.clone()) {
                kept.push_front(record);
            } else {
                removed.count(&record);
                self.bytes -= record.content_bytes();
            }
        }
        self.records = kept;
        removed
    }
}

impl StoredRecord {
    /// A record that gets its offset when it is appended.
    pub fn new(key: Bytes, payload: Bytes, attributes: BTreeMap<String, String>, append_time: Millis) -> Self {
        Self { offset: 0, key, payload, attributes, append_time }
    }

    /// Bytes of key, payload and attributes.
    fn content_bytes(&self) -> u64 {
        (self.key.len() + self.payload.len()) as u64 + attribute_bytes(&self.attributes)
    }

    /// Bytes that it counts towards `max_bytes`.
    pub fn size(&self) -> u64 {
        self.content_bytes() + OVERHEAD
    }

    pub fn to_proto(&self, partition: u32, cursor: String) -> Record {
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

impl RemovedRecords {
    fn count(&mut self, record: &StoredRecord) {
        self.records += 1;
        self.bytes += record.size();
    }

    /// The sum of both.
    pub fn add(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }
}
