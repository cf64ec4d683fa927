//! SortedSet: one row for each member, with an index in the order of the sorted set.

mod basic;
mod lex;
mod operations;
mod range;
mod rank;
mod rows;

use std::sync::Arc;

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The interfaces of sorted sets over one keyspace.
pub struct SortedSets {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the interfaces of sorted sets to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let sets = Arc::new(SortedSets { keyspace: keyspace.clone() });
    interfaces.sortedset_basic = Some(sets.clone());
    interfaces.sortedset_lex = Some(sets.clone());
    interfaces.sortedset_operations = Some(sets.clone());
    interfaces.sortedset_range = Some(sets.clone());
    interfaces.sortedset_rank = Some(sets);
}
