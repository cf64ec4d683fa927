//! SortedSet: all sorted sets of a keyspace under one lock, so that an operation reads several of them at one instant.

mod basic;
mod lex;
mod operations;
mod range;
mod rank;
mod ranked;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use self::{lex::Lex, range::Ranges, ranked::RankedSet};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Limits, lock::lock};

/// The interfaces of sorted sets over one keyspace.
pub struct SortedSets {
    shared: Arc<SharedState>,
    limits: Limits,
    state: Mutex<SortedSetState>,
}

/// Adds the interfaces of sorted sets to those of a keyspace.
pub fn add(sets: &Arc<SortedSets>, interfaces: &mut Interfaces) {
    interfaces.sortedset_basic = Some(sets.clone());
    interfaces.sortedset_lex = Some(Arc::new(Lex(sets.clone())));
    interfaces.sortedset_operations = Some(sets.clone());
    interfaces.sortedset_range = Some(Arc::new(Ranges(sets.clone())));
    interfaces.sortedset_rank = Some(sets.clone());
}

/// The sorted sets of one keyspace. None of them is empty.
struct SortedSetState {
    shared: Arc<SharedState>,
    sets: HashMap<Bytes, RankedSet>,
}

impl SortedSets {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        let state = SortedSetState { shared: shared.clone(), sets: HashMap::new() };
        Self { shared, limits, state: Mutex::new(state) }
    }

    fn state(&self) -> Result<MutexGuard<'_, SortedSetState>, Error> {
        self.shared.check_open()?;
        Ok(lock(&self.state))
    }
}

impl Drop for SortedSetState {
    fn drop(&mut self) {
        self.shared.release(self.sets.iter().map(|(key, set)| set_bytes(key, set)).sum());
    }
}

/// Bytes that a member counts towards `max_bytes`.
fn member_bytes(member: &Bytes) -> u64 {
    member.len() as u64 + OVERHEAD
}

/// Bytes that a sorted set counts in addition to its members.
fn key_bytes(key: &[u8]) -> u64 {
    key.len() as u64 + OVERHEAD
}

fn set_bytes(key: &[u8], set: &RankedSet) -> u64 {
    if set.len() == 0 { 0 } else { key_bytes(key) + set.members().map(member_bytes).sum::<u64>() }
}
