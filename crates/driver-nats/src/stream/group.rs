//! The state of a consumer group, which all gateways share as one document.

use std::collections::BTreeMap;

use prost::Message;

use prism_driver::time::Millis;

/// Most records of a group that wait for an acknowledgement, so that its document stays small.
const MAX_PENDING: usize = 20_000;
/// How often a member that waits says that it is still there.
const SEEN_EVERY: Millis = 60_000;
/// A member that was not there for this time belonged to a gateway that crashed. Its records are delivered again.
const GONE_AFTER: Millis = 180_000;

/// A consumer group.
#[derive(Clone, PartialEq, Message)]
pub struct Group {
    /// Random, so that a group that was deleted and created again is another one.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// The first sequence that was not delivered.
    #[prost(uint64, tag = "2")]
    pub next: u64,
    /// Records that were appended before this time are left out.
    #[prost(int64, tag = "3")]
    pub not_before: Millis,
    /// Records that wait for an acknowledgement, by their sequence.
    #[prost(btree_map = "uint64, message", tag = "4")]
    pub pending: BTreeMap<u64, Delivery>,
    /// Members by their ids.
    #[prost(btree_map = "uint32, message", tag = "5")]
    pub members: BTreeMap<u32, Member>,
}

/// A record that was delivered.
#[derive(Clone, PartialEq, Message)]
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
    /// Adds a member, or notes that it is there, and removes members that are not. Returns whether anything changed.
    pub fn refresh(&mut self, id: u32, name: &str, now: Millis) -> bool {
        let mut changed = false;
        let member = self.members.entry(id).or_insert_with(|| Member { name: name.to_owned(), seen: 0 });
        if member.seen + SEEN_EVERY <= now {
            member.seen = now;
            changed = true;
        }
        let gone: Vec<u32> = self.members.iter().filter(|(_, member)| member.seen + GONE_AFTER <= now).map(|(id, _)| *id).collect();
        changed |= !gone.is_empty();
        for id in gone {
            self.leave(id);
        }
        changed
    }

    /// Removes a member. Its records are delivered again at once.
    pub fn leave(&mut self, id: u32) {
        self.members.remove(&id);
        for delivery in self.pending.values_mut().filter(|delivery| delivery.member == id) {
            (delivery.member, delivery.until) = (0, 0);
        }
    }

    /// How many more records a member may get.
    pub fn room(&self, id: u32, max_in_flight: usize, now: Millis) -> usize {
        let has = self.pending.values().filter(|delivery| delivery.member == id && delivery.until > now).count();
        max_in_flight.saturating_sub(has)
    }

    /// How many records the group may deliver for the first time.
    pub fn room_for_new(&self) -> usize {
        MAX_PENDING.saturating_sub(self.pending.len())
    }

    /// The sequences of records that are delivered again now.
    pub fn due(&self, now: Millis, most: usize) -> Vec<u64> {
        self.pending.iter().filter(|(_, delivery)| delivery.until <= now).map(|(sequence, _)| *sequence).take(most).collect()
    }

    /// The next time when a record is delivered again.
    pub fn next_due(&self) -> Option<Millis> {
        self.pending.values().map(|delivery| delivery.until).min()
    }

    /// Delivers a record to a member. Returns the number of its deliveries.
    pub fn deliver(&mut self, sequence: u64, id: u32, until: Millis) -> u32 {
        let delivery = self.pending.entry(sequence).or_default();
        *delivery = Delivery { member: id, attempts: delivery.attempts.saturating_add(1), until };
        self.next = self.next.max(sequence + 1);
        delivery.attempts
    }

    /// Marks records as done. Returns how many of them waited for it.
    pub fn ack(&mut self, sequences: &[u64]) -> u32 {
        sequences.iter().map(|sequence| u32::from(self.pending.remove(sequence).is_some())).sum()
    }

    /// Continues at a sequence as if the group had never been elsewhere.
    pub fn seek(&mut self, sequence: u64) {
        self.next = sequence;
        self.not_before = 0;
        self.pending.clear();
    }

    /// The first sequence that may still be delivered.
    pub fn committed(&self) -> u64 {
        self.pending.keys().next().copied().unwrap_or(self.next).min(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_member_that_left_are_due() {
        let mut group = Group { next: 1, ..Group::default() };
        assert!(group.refresh(7, "one", 100_000));
        assert!(!group.refresh(7, "one", 100_001));
        assert_eq!((group.deliver(1, 7, 200_000), group.deliver(2, 7, 200_000)), (1, 1));
        assert_eq!((group.room(7, 3, 150_000), group.room(7, 3, 200_000)), (1, 3));
        assert_eq!((group.ack(&[1, 9]), group.committed(), group.next), (1, 2, 3));
        assert_eq!((group.due(150_000, 10), group.next_due()), (vec![], Some(200_000)));
        // Another member notices that this one is gone.
        assert!(group.refresh(8, "two", 100_000 + GONE_AFTER));
        assert_eq!((group.due(100_000 + GONE_AFTER, 10), group.members.len()), (vec![2], 1));
        assert_eq!(group.deliver(2, 8, 900_000), 2);
        group.seek(1);
        assert_eq!((group.committed(), group.pending.len()), (1, 0));
    }

    #[test]
    fn the_document_of_many_deliveries_fits_into_a_message() {
        let mut group = Group::default();
        for sequence in 1 << 40..(1 << 40) + MAX_PENDING as u64 {
            group.deliver(sequence, u32::MAX, 1_796_000_000_000);
        }
        assert_eq!(group.room_for_new(), 0);
        assert!(group.encoded_len() < 700_000, "{} bytes", group.encoded_len());
    }
}
