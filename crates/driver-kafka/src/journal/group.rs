//! The state of a consumer group.

use std::collections::BTreeMap;

use prost::Message;

use super::take::{At, Range, Take, Taken};
use prism_driver::time::Millis;

/// Most records of a group that wait for an acknowledgement, so that a part of a snapshot stays small.
pub const MAX_PENDING: usize = 20_000;
/// How often a member that waits says that it is still there.
pub const SEEN_EVERY: Millis = 60_000;
/// A member that was not there for this time belonged to a gateway that crashed. Its records are delivered again.
const GONE_AFTER: Millis = 180_000;

/// A consumer group.
#[derive(Clone, PartialEq, Message)]
pub struct Group {
    /// Random, so that a group that was deleted and created again is another one.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// Records that were appended before this time are left out.
    #[prost(int64, tag = "2")]
    pub not_before: Millis,
    #[prost(btree_map = "uint32, message", tag = "3")]
    pub partitions: BTreeMap<u32, Progress>,
    /// Members by their ids.
    #[prost(btree_map = "uint32, message", tag = "4")]
    pub members: BTreeMap<u32, Member>,
}

/// How far a group came in a partition.
#[derive(Clone, PartialEq, Message)]
pub struct Progress {
    /// The first offset that was not delivered.
    #[prost(uint64, tag = "1")]
    pub next: u64,
    /// Records that wait for an acknowledgement, by their offset.
    #[prost(btree_map = "uint64, message", tag = "2")]
    pub pending: BTreeMap<u64, Delivery>,
}

/// A record that was delivered.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Delivery {
    /// The member that has it; 0 = none any more.
    #[prost(uint32, tag = "1")]
    pub member: u32,
    /// How often it was delivered.
    #[prost(uint32, tag = "2")]
    pub attempts: u32,
    /// When it is delivered again.
    #[prost(int64, tag = "3")]
    pub until: Millis,
}

/// A member.
#[derive(Clone, PartialEq, Message)]
pub struct Member {
    /// The name that the client gave it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// When it was there for the last time.
    #[prost(int64, tag = "2")]
    pub seen: Millis,
}

impl Group {
    pub fn new(id: u64, positions: &[At], not_before: Millis) -> Self {
        let mut group = Self { id, not_before, ..Self::default() };
        for at in positions {
            group.partitions.entry(at.partition).or_default().next = at.offset;
        }
        group
    }

    /// Gives records to a member.
    pub fn take(&mut self, take: &Take, now: Millis) -> Vec<Taken> {
        self.refresh(take.member, &take.member_name, now);
        let mut room = self.room(take.member, take.max_in_flight, now);
        let delivery = Delivery { member: take.member, attempts: 1, until: now.saturating_add(take.ack_timeout) };
        let mut taken = Vec::new();
        for At { partition, offset } in &take.again {
            let waiting = self.partitions.get_mut(partition).and_then(|progress| progress.pending.get_mut(offset));
            if let Some(waiting) = waiting.filter(|waiting| waiting.until <= now)
                && room > 0
            {
                room -= 1;
                *waiting = Delivery { attempts: waiting.attempts.saturating_add(1), ..delivery };
                taken.push(Taken { partition: *partition, offset: *offset, attempt: waiting.attempts });
            }
        }
        room = room.min(MAX_PENDING.saturating_sub(self.pending()));
        for Range { partition, from, to, offsets } in &take.new {
            let progress = self.partitions.entry(*partition).or_default();
            // After a seek back, the member does not know the records in between.
            if *from > progress.next {
                continue;
            }
            let mut complete = true;
            for offset in offsets {
                if *offset < progress.next {
                    continue;
                }
                if room == 0 {
                    complete = false;
                    break;
                }
                room -= 1;
                progress.pending.insert(*offset, delivery);
                progress.next = offset + 1;
                taken.push(Taken { partition: *partition, offset: *offset, attempt: 1 });
            }
            if complete {
                progress.next = progress.next.max(*to);
            }
        }
        taken
    }

    /// Adds a member, or notes that it is there, and removes members that are not.
    fn refresh(&mut self, id: u32, name: &str, now: Millis) {
        self.members.insert(id, Member { name: name.to_owned(), seen: now });
        let gone: Vec<u32> = self.members.iter().filter(|(_, member)| member.seen + GONE_AFTER <= now).map(|(id, _)| *id).collect();
        for id in gone {
            self.leave(id);
        }
    }

    /// Removes a member. Its records are delivered again at once.
    pub fn leave(&mut self, id: u32) {
        self.members.remove(&id);
        let waiting = self.partitions.values_mut().flat_map(|progress| progress.pending.values_mut());
        for delivery in waiting.filter(|delivery| delivery.member == id) {
            (delivery.member, delivery.until) = (0, 0);
        }
    }

    /// How many more records a member may get.
    pub fn room(&self, id: u32, max_in_flight: u32, now: Millis) -> usize {
        let waiting = self.partitions.values().flat_map(|progress| progress.pending.values());
        let has = waiting.filter(|delivery| delivery.member == id && delivery.until > now).count();
        (max_in_flight as usize).saturating_sub(has)
    }

    /// How many records wait for an acknowledgement.
    pub fn pending(&self) -> usize {
        self.partitions.values().map(|progress| progress.pending.len()).sum()
    }

    /// Records that are delivered again now.
    pub fn due(&self, now: Millis, most: usize) -> Vec<At> {
        let waiting =
            self.partitions.iter().flat_map(|(partition, progress)| progress.pending.iter().map(move |entry| (*partition, entry)));
        let due = waiting.filter(|(_, (_, delivery))| delivery.until <= now);
        due.map(|(partition, (offset, _))| At { partition, offset: *offset }).take(most).collect()
    }

    /// The next time when a record is delivered again.
    pub fn next_due(&self) -> Option<Millis> {
        self.partitions.values().flat_map(|progress| progress.pending.values()).map(|delivery| delivery.until).min()
    }

    /// Marks records as done. Returns how many of them waited for it.
    pub fn ack(&mut self, partition: u32, offsets: &[u64]) -> u32 {
        let Some(progress) = self.partitions.get_mut(&partition) else { return 0 };
        offsets.iter().map(|offset| u32::from(progress.pending.remove(offset).is_some())).sum()
    }

    /// Continues at offsets as if the group had never been elsewhere.
    pub fn seek(&mut self, positions: &[At]) {
        self.not_before = 0;
        for at in positions {
            self.partitions.insert(at.partition, Progress { next: at.offset, pending: BTreeMap::new() });
        }
    }
}

impl Progress {
    /// The first offset that may still be delivered.
    pub fn committed(&self) -> u64 {
        self.pending.keys().next().copied().unwrap_or(self.next).min(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(member: u32, from: u64, offsets: &[u64], again: &[u64]) -> Take {
        let to = offsets.last().map_or(from, |last| last + 1);
        Take {
            member,
            max_in_flight: 3,
            ack_timeout: 1000,
            new: vec![Range { partition: 0, from, to, offsets: offsets.to_vec() }],
            again: again.iter().map(|offset| At { partition: 0, offset: *offset }).collect(),
            ..Take::default()
        }
    }

    fn offsets(taken: &[Taken]) -> Vec<(u64, u32)> {
        taken.iter().map(|taken| (taken.offset, taken.attempt)).collect()
    }

    #[test]
    fn members_that_ask_for_the_same_records_get_different_ones() {
        let mut group = Group::new(1, &[At { partition: 0, offset: 0 }], 0);
        assert_eq!(offsets(&group.take(&take(7, 0, &[0, 1, 2, 3, 4], &[]), 0)), [(0, 1), (1, 1), (2, 1)]);
        assert_eq!(offsets(&group.take(&take(8, 0, &[0, 1, 2, 3, 4], &[]), 0)), [(3, 1), (4, 1)]);
        assert_eq!(group.partitions[&0].next, 5);
        // The offset 5 was removed.
        assert_eq!(offsets(&group.take(&take(8, 5, &[6], &[]), 0)), [(6, 1)]);
        // A member that missed the commands in between gets nothing.
        assert_eq!(offsets(&group.take(&take(9, 9, &[9], &[]), 0)), []);
        assert_eq!((group.ack(0, &[0, 2, 99]), group.ack(1, &[0]), group.partitions[&0].committed()), (2, 0, 1));
    }

    #[test]
    fn records_are_delivered_again() {
        let mut group = Group::new(1, &[], 0);
        group.take(&take(7, 0, &[0, 1], &[]), 0);
        assert_eq!((group.due(999, 9), group.next_due()), (vec![], Some(1000)));
        assert_eq!(offsets(&group.take(&take(8, 2, &[], &[0, 1]), 999)), []);
        assert_eq!(offsets(&group.take(&take(8, 2, &[], &[0]), 1000)), [(0, 2)]);
        group.leave(8);
        assert_eq!(group.due(1000, 9).len(), 2);
        // A gateway crashed with its member.
        group.take(&take(9, 2, &[2], &[]), 1000);
        group.take(&take(10, 3, &[], &[]), 1000 + GONE_AFTER);
        assert_eq!(group.members.keys().collect::<Vec<_>>(), [&10]);
        group.seek(&[At { partition: 0, offset: 1 }]);
        assert_eq!((group.pending(), group.partitions[&0].committed()), (0, 1));
    }

    #[test]
    fn a_group_fits_into_a_part_of_a_snapshot() {
        let mut group = Group::default();
        let progress = group.partitions.entry(1023).or_default();
        for offset in 1 << 40..(1 << 40) + MAX_PENDING as u64 {
            progress.pending.insert(offset, Delivery { member: u32::MAX, attempts: 99, until: 1_796_000_000_000 });
        }
        assert!(group.encoded_len() < 700_000, "{} bytes", group.encoded_len());
    }
}
