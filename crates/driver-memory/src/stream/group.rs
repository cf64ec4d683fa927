//! How far a consumer group is, and who has which record.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::shared::OVERHEAD,
    partition::{Partition, Stored},
};
use prism_call::proto::models::stream::v1::{ConsumerGroupInfo, ConsumerInfo, PartitionOffset};

/// Most members that GetConsumerGroupInfo tells of.
const MAX_TOLD: usize = 1000;

pub struct Group {
    /// Tells it from a later group with the same name.
    pub id: u64,
    progress: Vec<Progress>,
    members: BTreeMap<u64, Member>,
    /// All deliveries in the order in which their time is over.
    ends: BTreeSet<(Instant, u32, u64)>,
    /// The partition to look into first.
    turn: usize,
}

/// How far a group is in one partition.
#[derive(Default)]
struct Progress {
    /// The lowest offset that no member got yet.
    next: u64,
    /// Records that a member has.
    pending: BTreeMap<u64, Delivery>,
    /// Records that are to be delivered again, with how often they were.
    again: BTreeMap<u64, u32>,
}

struct Delivery {
    member: u64,
    ends: Instant,
    attempts: u32,
}

/// One open stream of the group.
pub struct Member {
    pub name: String,
    pub max_in_flight: u32,
    pub ack_timeout: Duration,
    pub in_flight: u32,
}

/// A record on its way to a member.
pub struct Taken<'a> {
    pub partition: u32,
    pub record: &'a Stored,
    pub attempts: u32,
    /// Whether nothing else ends sooner, so that who waits has to plan anew.
    pub ends_first: bool,
}

impl Group {
    /// A group that begins at these offsets, one for each partition.
    pub fn new(id: u64, starts: impl Iterator<Item = u64>) -> Self {
        let progress = starts.map(|next| Progress { next, ..Progress::default() }).collect();
        Self { id, progress, members: BTreeMap::new(), ends: BTreeSet::new(), turn: 0 }
    }

    /// What it counts in the budget.
    pub fn size(name: &str) -> u64 {
        name.len() as u64 + OVERHEAD
    }

    pub fn join(&mut self, id: u64, member: Member) {
        self.members.insert(id, member);
    }

    /// Takes a member out; what it had is delivered again.
    pub fn leave(&mut self, id: u64) {
        self.members.remove(&id);
        for (number, progress) in (0..).zip(&mut self.progress) {
            for (offset, delivery) in progress.pending.extract_if(.., |_, delivery| delivery.member == id) {
                self.ends.remove(&(delivery.ends, number, offset));
                progress.again.insert(offset, delivery.attempts);
            }
        }
    }

    /// Makes the group as it is now: new partitions are known, deliveries whose time is over are to be repeated.
    pub fn settle(&mut self, partitions: usize, now: Instant) {
        if self.progress.len() < partitions {
            self.progress.resize_with(partitions, Progress::default);
        }
        while let Some(&(ends, number, offset)) = self.ends.first()
            && ends <= now
        {
            if let Some(delivery) = self.end(number, offset) {
                self.progress[number as usize].again.insert(offset, delivery.attempts);
            }
        }
    }

    /// The next record for a member: one that is to be delivered again, else a new one.
    pub fn take<'a>(&mut self, member: u64, partitions: &'a [Partition], now: Instant) -> Option<Taken<'a>> {
        let (ack_timeout, room) = self.members.get(&member).map(|member| (member.ack_timeout, member.in_flight < member.max_in_flight))?;
        if !room {
            return None;
        }
        let count = partitions.len();
        let order = (0..count).map(|step| (self.turn + step) % count);
        let (index, record, attempts) =
            order.clone().find_map(|index| self.progress[index].repeated(index, &partitions[index])).or_else(|| {
                let mut order = order;
                order.find_map(|index| self.progress[index].first(index, &partitions[index]))
            })?;
        self.turn = (index + 1) % count;
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let ends = now + ack_timeout;
        self.progress[index].pending.insert(record.offset, Delivery { member, ends, attempts });
        self.ends.insert((ends, number, record.offset));
        if let Some(member) = self.members.get_mut(&member) {
            member.in_flight += 1;
        }
        let ends_first = self.ends.first() == Some(&(ends, number, record.offset));
        Some(Taken { partition: number, record, attempts, ends_first })
    }

    /// Marks a record as done; false when it waits for no acknowledgement.
    pub fn acknowledge(&mut self, partition: u32, offset: u64) -> bool {
        self.end(partition, offset).is_some()
            || self.progress.get_mut(partition as usize).is_some_and(|progress| progress.again.remove(&offset).is_some())
    }

    /// Ends the delivery of a record.
    fn end(&mut self, partition: u32, offset: u64) -> Option<Delivery> {
        let delivery = self.progress.get_mut(partition as usize)?.pending.remove(&offset)?;
        self.ends.remove(&(delivery.ends, partition, offset));
        if let Some(member) = self.members.get_mut(&delivery.member) {
            member.in_flight -= 1;
        }
        Some(delivery)
    }

    /// Continues at another place, as if nothing had been delivered.
    pub fn seek(&mut self, partition: u32, next: u64) {
        let Some(progress) = self.progress.get(partition as usize) else { return };
        let pending: Vec<u64> = progress.pending.keys().copied().collect();
        for offset in pending {
            self.end(partition, offset);
        }
        self.progress[partition as usize] = Progress { next, ..Progress::default() };
    }

    /// When the first delivery's time is over.
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(ends, ..)| *ends)
    }

    /// For each partition the place behind what was delivered, once this record is.
    pub fn places(&self, partition: u32, offset: u64) -> impl Iterator<Item = (u32, u64)> {
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
        consumers.truncate(MAX_TOLD);
        ConsumerGroupInfo {
            committed: numbered().map(|(partition, progress)| PartitionOffset { partition, offset: progress.committed() }).collect(),
            pending: self.progress.iter().map(|progress| (progress.pending.len() + progress.again.len()) as u64).sum(),
            lag: self.progress.iter().zip(partitions).map(|(progress, partition)| partition.count_from(progress.next)).sum(),
            consumers,
        }
    }
}

impl Progress {
    /// The next record to deliver again. Those that retention has removed meanwhile are forgotten.
    fn repeated<'a>(&mut self, index: usize, partition: &'a Partition) -> Option<(usize, &'a Stored, u32)> {
        while let Some((offset, attempts)) = self.again.pop_first() {
            if let Some(record) = partition.get(offset) {
                return Some((index, record, attempts + 1));
            }
        }
        None
    }

    /// The next record that nobody got yet.
    fn first<'a>(&mut self, index: usize, partition: &'a Partition) -> Option<(usize, &'a Stored, u32)> {
        let record = partition.from(self.next).next()?;
        self.next = record.offset + 1;
        Some((index, record, 1))
    }

    /// The lowest offset that may still be delivered.
    fn committed(&self) -> u64 {
        let unfinished = self.pending.keys().next().into_iter().chain(self.again.keys().next());
        unfinished.copied().min().unwrap_or(self.next).min(self.next)
    }
}
