//! The state of a consumer group: its position in each partition, its members and their deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::partition::{Partition, StoredRecord};
use crate::state::OVERHEAD;
use prism_call::proto::models::stream::v1::{ConsumerGroupInfo, ConsumerInfo, PartitionOffset};
use prism_driver::stream::MAX_LISTED_CONSUMERS;

/// A consumer group of a stream.
pub struct Group {
    /// Unique in the stream, unlike the name, which a later group may use again.
    pub id: u64,
    /// One item for each partition.
    progress: Vec<Progress>,
    members: BTreeMap<u64, Member>,
    /// All deliveries (partition, offset) by the time at which they expire.
    expirations: BTreeSet<(Instant, u32, u64)>,
    /// The partition from which the next record is taken first.
    next_partition: usize,
}

/// The progress of a group in one partition.
#[derive(Default)]
struct Progress {
    /// The lowest offset that was not delivered yet.
    next: u64,
    /// Records that wait for an acknowledgement, by offset.
    pending: BTreeMap<u64, Delivery>,
    /// Records to deliver again, with the number of deliveries so far, by offset.
    redeliveries: BTreeMap<u64, u32>,
}

/// A record that a member has and has not acknowledged.
struct Delivery {
    member: u64,
    expires: Instant,
    attempts: u32,
}

/// A member of the group.
pub struct Member {
    pub name: String,
    pub max_in_flight: u32,
    pub ack_timeout: Duration,
    /// Number of records that wait for its acknowledgement.
    pub in_flight: u32,
}

/// A record that was taken for a member.
pub struct TakenRecord<'a> {
    pub partition: u32,
    pub record: &'a StoredRecord,
    pub attempts: u32,
    /// Whether this delivery expires before all others, so that waiting members must wake earlier than planned.
    pub expires_first: bool,
}

impl Group {
    /// A group that starts at these offsets, one for each partition.
    pub fn new(id: u64, starts: impl Iterator<Item = u64>) -> Self {
        let progress = starts.map(|next| Progress { next, ..Progress::default() }).collect();
        Self { id, progress, members: BTreeMap::new(), expirations: BTreeSet::new(), next_partition: 0 }
    }

    /// Bytes that it counts towards `max_bytes`.
    pub fn size(name: &str) -> u64 {
        name.len() as u64 + OVERHEAD
    }

    pub fn join(&mut self, id: u64, member: Member) {
        self.members.insert(id, member);
    }

    /// Removes a member. Its records are delivered again.
    pub fn leave(&mut self, id: u64) {
        self.members.remove(&id);
        for (number, progress) in (0..).zip(&mut self.progress) {
            for (offset, delivery) in progress.pending.extract_if(.., |_, delivery| delivery.member == id) {
                self.expirations.remove(&(delivery.expires, number, offset));
                progress.redeliveries.insert(offset, delivery.attempts);
            }
        }
    }

    /// Adds new partitions, and moves expired deliveries to the redeliveries.
    pub fn update(&mut self, partitions: usize, now: Instant) {
        if self.progress.len() < partitions {
            self.progress.resize_with(partitions, Progress::default);
        }
        while let Some(&(expires, number, offset)) = self.expirations.first()
            && expires <= now
        {
            if let Some(delivery) = self.end_delivery(number, offset) {
                self.progress[number as usize].redeliveries.insert(offset, delivery.attempts);
            }
        }
    }

    /// Takes the next record for a member: a redelivery if there is one, else a new record.
    pub fn take<'a>(&mut self, member: u64, partitions: &'a [Partition], now: Instant) -> Option<TakenRecord<'a>> {
        let (ack_timeout, room) = self.members.get(&member).map(|member| (member.ack_timeout, member.in_flight < member.max_in_flight))?;
        if !room {
            return None;
        }
        let count = partitions.len();
        let order = (0..count).map(|step| (self.next_partition + step) % count);
        let (index, record, attempts) =
            order.clone().find_map(|index| self.progress[index].next_redelivery(index, &partitions[index])).or_else(|| {
                let mut order = order;
                order.find_map(|index| self.progress[index].next_new(index, &partitions[index]))
            })?;
        self.next_partition = (index + 1) % count;
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let expires = now + ack_timeout;
        self.progress[index].pending.insert(record.offset, Delivery { member, expires, attempts });
        self.expirations.insert((expires, number, record.offset));
        if let Some(member) = self.members.get_mut(&member) {
            member.in_flight += 1;
        }
        let expires_first = self.expirations.first() == Some(&(expires, number, record.offset));
        Some(TakenRecord { partition: number, record, attempts, expires_first })
    }

    /// Acknowledges a record. Returns false if it does not wait for an acknowledgement.
    pub fn acknowledge(&mut self, partition: u32, offset: u64) -> bool {
        self.end_delivery(partition, offset).is_some()
            || self.progress.get_mut(partition as usize).is_some_and(|progress| progress.redeliveries.remove(&offset).is_some())
    }

    /// Ends the delivery of a record.
    fn end_delivery(&mut self, partition: u32, offset: u64) -> Option<Delivery> {
        let delivery = self.progress.get_mut(partition as usize)?.pending.remove(&offset)?;
        self.expirations.remove(&(delivery.expires, partition, offset));
        if let Some(member) = self.members.get_mut(&delivery.member) {
            member.in_flight -= 1;
        }
        Some(delivery)
    }

    /// Moves the group to another offset and forgets all deliveries of the partition.
    pub fn seek(&mut self, partition: u32, next: u64) {
        let Some(progress) = self.progress.get(partition as usize) else { return };
        let pending: Vec<u64> = progress.pending.keys().copied().collect();
        for offset in pending {
            self.end_delivery(partition, offset);
        }
        self.progress[partition as usize] = Progress { next, ..Progress::default() };
    }

    /// When the next delivery expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expirations.first().map(|(expires, ..)| *expires)
    }

    /// For each partition the offset after the delivered records, after this record is delivered.
    pub fn positions_after(&self, partition: u32, offset: u64) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(&self.progress).map(move |(number, progress)| (number, if number == partition { offset + 1 } else { progress.next }))
    }

    pub fn info(&self, partitions: &[Partition]) -> ConsumerGroupInfo {
        let numbered = || (0..).zip(&self.progress);
        let mut consumers: Vec<_> = self
            .members
            .values()
            .map(|member| ConsumerInfo { consumer: member.name.clone(), pending: u64::from(member.in_flight) })
            .collect();
        consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
        consumers.truncate(MAX_LISTED_CONSUMERS);
        ConsumerGroupInfo {
            committed: numbered().map(|(partition, progress)| PartitionOffset { partition, offset: progress.committed() }).collect(),
            pending: self.progress.iter().map(|progress| (progress.pending.len() + progress.redeliveries.len()) as u64).sum(),
            lag: self.progress.iter().zip(partitions).map(|(progress, partition)| partition.count_from(progress.next)).sum(),
            consumers,
        }
    }
}

impl Progress {
    /// Takes the next record to deliver again. Records that retention has removed are skipped.
    fn next_redelivery<'a>(&mut self, index: usize, partition: &'a Partition) -> Option<(usize, &'a StoredRecord, u32)> {
        while let Some((offset, attempts)) = self.redeliveries.pop_first() {
            if let Some(record) = partition.get(offset) {
                return Some((index, record, attempts + 1));
            }
        }
        None
    }

    /// Takes the next record that was not delivered yet.
    fn next_new<'a>(&mut self, index: usize, partition: &'a Partition) -> Option<(usize, &'a StoredRecord, u32)> {
        let record = partition.from(self.next).next()?;
        self.next = record.offset + 1;
        Some((index, record, 1))
    }

    /// The lowest offset that may still be delivered.
    fn committed(&self) -> u64 {
        let unfinished = self.pending.keys().next().into_iter().chain(self.redeliveries.keys().next());
        unfinished.copied().min().unwrap_or(self.next).min(self.next)
    }
}
