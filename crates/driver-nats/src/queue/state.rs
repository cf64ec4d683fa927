//! The state of a queue, which all gateways share as one document.

use std::collections::BTreeMap;

use prost::Message;

use prism_driver::time::Millis;

/// Most messages of a queue that are leased or wait after a release, so that its document stays small.
pub const MAX_OPEN: usize = 20_000;

/// The state of a queue.
#[derive(Clone, PartialEq, Message)]
pub struct QueueState {
    /// The first sequence that was never taken, apart from those in `open`.
    #[prost(uint64, tag = "1")]
    pub next: u64,
    /// Messages that were taken and are still in the queue, by their sequence.
    #[prost(btree_map = "uint64, message", tag = "2")]
    pub open: BTreeMap<u64, Open>,
    /// Where messages go that have failed.
    #[prost(message, optional, tag = "3")]
    pub dead_letter: Option<DeadLetter>,
}

/// A message that was taken at least once.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Open {
    /// Random; 0 = it was released.
    #[prost(fixed64, tag = "1")]
    pub lease: u64,
    /// How often it was delivered.
    #[prost(uint32, tag = "2")]
    pub attempts: u32,
    /// When the lease or the delay ends.
    #[prost(int64, tag = "3")]
    pub until: Millis,
}

/// Where messages go that have failed.
#[derive(Clone, PartialEq, Message)]
pub struct DeadLetter {
    #[prost(string, tag = "1")]
    pub queue: String,
    /// After how many deliveries a message has failed.
    #[prost(uint32, tag = "2")]
    pub attempts: u32,
}

impl QueueState {
    /// Whether a message goes to the dead-letter queue when its lease ends without Complete.
    pub fn has_failed(&self, open: &Open) -> bool {
        self.dead_letter.as_ref().is_some_and(|dead| open.attempts >= dead.attempts)
    }

    /// Whether the lease of a message has expired and it goes to the dead-letter queue. A released message waits for its next delivery.
    fn is_dead(&self, open: &Open, now: Millis) -> bool {
        open.lease != 0 && open.until <= now && self.has_failed(open)
    }

    /// The sequences of messages that go to the dead-letter queue now.
    pub fn failed(&self, now: Millis, most: usize) -> Vec<u64> {
        let failed = self.open.iter().filter(|(_, open)| self.is_dead(open, now));
        failed.map(|(sequence, _)| *sequence).take(most).collect()
    }

    /// The sequences of messages that were taken before and are ready again.
    pub fn ready_again(&self, now: Millis, most: usize) -> Vec<u64> {
        let ready = self.open.iter().filter(|(_, open)| open.until <= now && !self.is_dead(open, now));
        ready.map(|(sequence, _)| *sequence).take(most).collect()
    }

    /// The next time when a message becomes ready again.
    pub fn next_ready(&self, now: Millis) -> Option<Millis> {
        self.open.values().map(|open| open.until).filter(|until| *until > now).min()
    }

    /// The numbers of messages that are leased, and that wait after a release.
    pub fn waiting(&self, now: Millis) -> (u64, u64) {
        let waiting = self.open.values().filter(|open| open.until > now);
        waiting.fold((0, 0), |(leased, delayed), open| if open.lease == 0 { (leased, delayed + 1) } else { (leased + 1, delayed) })
    }

    /// Gives out a message on lease. Returns the number of its deliveries.
    pub fn lease(&mut self, sequence: u64, lease: u64, until: Millis) -> u32 {
        let open = self.open.entry(sequence).or_default();
        *open = Open { lease, attempts: open.attempts.saturating_add(1), until };
        open.attempts
    }

    /// The message of a lease, if it has not ended.
    pub fn leased(&mut self, sequence: u64, lease: u64, now: Millis) -> Option<&mut Open> {
        self.open.get_mut(&sequence).filter(|open| lease != 0 && open.lease == lease && open.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fails_after_its_attempts() {
        let mut state = QueueState { next: 1, ..QueueState::default() };
        assert_eq!((state.lease(1, 7, 100), state.lease(2, 8, 200)), (1, 1));
        assert!(state.leased(1, 7, 99).is_some() && state.leased(1, 7, 100).is_none() && state.leased(1, 8, 99).is_none());
        assert_eq!((state.waiting(99), state.next_ready(100)), ((2, 0), Some(200)));
        assert_eq!((state.ready_again(150, 10), state.failed(150, 10)), (vec![1], vec![]));
        state.dead_letter = Some(DeadLetter { queue: "dead".to_owned(), attempts: 1 });
        assert_eq!((state.ready_again(150, 10), state.failed(150, 10)), (vec![], vec![1]));
        // A message that was released has no lease.
        state.open.insert(2, Open { lease: 0, attempts: 1, until: 200 });
        assert_eq!(state.waiting(150), (0, 1));
        assert!(state.leased(2, 0, 150).is_none());
    }

    #[test]
    fn the_document_of_many_leases_fits_into_a_message() {
        let mut state = QueueState::default();
        for sequence in 1 << 40..(1 << 40) + MAX_OPEN as u64 {
            state.lease(sequence, u64::MAX, 1_796_000_000_000);
        }
        assert!(state.encoded_len() < 700_000, "{} bytes", state.encoded_len());
    }
}
