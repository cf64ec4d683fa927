//! The calls that wait for an element, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use tokio::sync::oneshot;

use prism_call::proto::models::list::v1::Element;
use prism_driver::list::End;

/// A call that waits for an element of one of its lists.
pub struct Waiter {
    pub keys: Vec<Bytes>,
    pub end: End,
    pub sender: oneshot::Sender<Element>,
}

/// The waiting calls of a keyspace. Their number is bounded by the permits that they hold.
#[derive(Default)]
pub struct Waiters {
    waiting: BTreeMap<u64, Waiter>,
    /// The numbers of the calls that wait for a key. A lower number is older.
    by_key: HashMap<Bytes, BTreeSet<u64>>,
    last: u64,
}

impl Waiters {
    /// Adds a call, and returns its number.
    pub fn add(&mut self, waiter: Waiter) -> u64 {
        self.last += 1;
        for key in &waiter.keys {
            self.by_key.entry(key.clone()).or_default().insert(self.last);
        }
        self.waiting.insert(self.last, waiter);
        self.last
    }

    /// Removes the call that has waited longest for a key.
    pub fn take_oldest(&mut self, key: &[u8]) -> Option<Waiter> {
        let oldest = *self.by_key.get(key)?.first()?;
        self.remove(oldest)
    }

    /// Removes a call, if it is still waiting.
    pub fn remove(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiting.remove(&number)?;
        for key in &waiter.keys {
            if let Some(numbers) = self.by_key.get_mut(key) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        Some(waiter)
    }
}
