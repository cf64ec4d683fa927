//! List: all lists of a keyspace under one lock, so that a push can hand its elements to waiting calls in one atomic step.

mod basic;
mod blocking;
mod indexing;
mod range;
mod waiters;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use self::{range::Ranges, waiters::Waiters};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{
    Error,
    proto::{Interfaces, models::list::v1::Element},
};
use prism_driver::{
    Limits,
    list::{End, POP_BYTES},
    lock::lock,
};

/// The list interfaces over one keyspace.
pub struct Lists {
    shared: Arc<SharedState>,
    limits: Limits,
    state: Mutex<ListState>,
}

/// Adds the list interfaces to those of a keyspace.
pub fn add(lists: &Arc<Lists>, interfaces: &mut Interfaces) {
    interfaces.list_basic = Some(lists.clone());
    interfaces.list_blocking = Some(lists.clone());
    interfaces.list_indexing = Some(lists.clone());
    interfaces.list_range = Some(Arc::new(Ranges(lists.clone())));
}

/// The lists of one keyspace, and the calls that wait for elements. No list is empty.
struct ListState {
    shared: Arc<SharedState>,
    lists: HashMap<Bytes, VecDeque<Bytes>>,
    waiters: Waiters,
}

impl Lists {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        let state = ListState { shared: shared.clone(), lists: HashMap::new(), waiters: Waiters::default() };
        Self { shared, limits, state: Mutex::new(state) }
    }

    fn state(&self) -> Result<MutexGuard<'_, ListState>, Error> {
        self.shared.check_open()?;
        Ok(lock(&self.state))
    }
}

impl Drop for ListState {
    fn drop(&mut self) {
        let bytes = self.lists.iter().map(|(key, list)| key_bytes(key) + list.iter().map(element_bytes).sum::<u64>()).sum();
        self.shared.release(bytes);
    }
}

impl ListState {
    /// Pushes values, and hands them to waiting calls. Returns the length before that.
    fn push(&mut self, key: &[u8], values: Vec<Bytes>, end: End) -> Result<u64, Error> {
        let elements: u64 = values.iter().map(element_bytes).sum();
        let new = if self.lists.contains_key(key) { 0 } else { key_bytes(key) };
        self.shared.reserve(elements + new)?;
        let list = self.lists.entry(Bytes::copy_from_slice(key)).or_default();
        for value in values {
            push(list, value, end);
        }
        let length = list.len() as u64;
        self.serve(key);
        Ok(length)
    }

    /// Takes elements from an end: at most `limit`, and none after the reply has [`POP_BYTES`].
    fn pop(&mut self, key: &[u8], limit: usize, end: End) -> Vec<Bytes> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < limit
            && bytes < POP_BYTES
            && let Some(value) = self.pop_one(key, end)
        {
            bytes += value.len();
            taken.push(value);
        }
        taken
    }

    fn pop_one(&mut self, key: &[u8], end: End) -> Option<Bytes> {
        let list = self.lists.get_mut(key)?;
        let value = match end {
            End::Left => list.pop_front(),
            End::Right => list.pop_back(),
        }?;
        self.removed(key, element_bytes(&value));
        Some(value)
    }

    /// Counts the bytes of removed elements as free, and removes the list if it is empty.
    fn removed(&mut self, key: &[u8], mut bytes: u64) {
        if self.lists.get(key).is_some_and(VecDeque::is_empty) {
            self.lists.remove(key);
            bytes += key_bytes(key);
        }
        self.shared.release(bytes);
    }

    /// Hands elements of a list to the calls that wait for it, the oldest call first.
    fn serve(&mut self, key: &[u8]) {
        while self.lists.contains_key(key)
            && let Some(waiter) = self.waiters.take_oldest(key)
        {
            let end = waiter.end;
            let Some(value) = self.pop_one(key, end) else { return };
            if let Err(element) = waiter.sender.send(Element { key: Bytes::copy_from_slice(key), value }) {
                self.put_back(element, end);
            }
        }
    }

    /// Puts an element back that a call took and did not return.
    fn put_back(&mut self, element: Element, end: End) {
        let Element { key, value } = element;
        // The element existed before, so this must not fail.
        let mut bytes = element_bytes(&value);
        if !self.lists.contains_key(&key) {
            bytes += key_bytes(&key);
        }
        self.shared.reserve_unchecked(bytes);
        push(self.lists.entry(key).or_default(), value, end);
    }
}

fn push(list: &mut VecDeque<Bytes>, value: Bytes, end: End) {
    match end {
        End::Left => list.push_front(value),
        End::Right => list.push_back(value),
    }
}

/// Bytes that an element counts towards `max_bytes`.
fn element_bytes(value: &Bytes) -> u64 {
    value.len() as u64 + OVERHEAD
}

/// Bytes that a list counts in addition to its elements.
fn key_bytes(key: &[u8]) -> u64 {
    key.len() as u64 + OVERHEAD
}
