//! Set: all sets of a keyspace under one lock, so that an operation reads several of them at one instant.

mod basic;
mod cardinality;
mod members;
mod operations;
mod random;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use self::{basic::Basic, members::MemberSet};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Limits, lock::lock};

/// The set interfaces over one keyspace.
pub struct Sets {
    shared: Arc<SharedState>,
    limits: Limits,
    state: Mutex<SetState>,
}

/// Adds the set interfaces to those of a keyspace.
pub fn add(sets: &Arc<Sets>, interfaces: &mut Interfaces) {
    interfaces.set_basic = Some(Arc::new(Basic(sets.clone())));
    interfaces.set_cardinality = Some(sets.clone());
    interfaces.set_operations = Some(sets.clone());
    interfaces.set_random = Some(sets.clone());
}

/// The sets of one keyspace. None of them is empty.
struct SetState {
    shared: Arc<SharedState>,
    sets: HashMap<Bytes, MemberSet>,
}

impl Sets {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        let state = SetState { shared: shared.clone(), sets: HashMap::new() };
        Self { shared, limits, state: Mutex::new(state) }
    }

    fn state(&self) -> Result<MutexGuard<'_, SetState>, Error> {
        self.shared.check_open()?;
        Ok(lock(&self.state))
    }
}

impl SetState {
    /// Counts the bytes of removed members as free, and removes the set if it is empty.
    fn removed(&mut self, key: &[u8], mut bytes: u64) {
        if self.sets.get(key).is_some_and(|set| set.len() == 0) {
            self.sets.remove(key);
            bytes += key_bytes(key);
        }
        self.shared.release(bytes);
    }
}

impl Drop for SetState {
    fn drop(&mut self) {
        self.shared.release(self.sets.iter().map(|(key, set)| key_bytes(key) + set_bytes(set)).sum());
    }
}

/// Bytes that a member counts towards `max_bytes`.
fn member_bytes(member: &Bytes) -> u64 {
    member.len() as u64 + OVERHEAD
}

/// Bytes that a set counts in addition to its members.
fn key_bytes(key: &[u8]) -> u64 {
    key.len() as u64 + OVERHEAD
}

fn set_bytes(set: &MemberSet) -> u64 {
    set.iter().map(member_bytes).sum()
}
