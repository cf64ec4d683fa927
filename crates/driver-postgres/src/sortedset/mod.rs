//! SortedSet: one row for each member, with an index in the order of the sorted set. Long members are in the index with their first bytes only,
//! so the order is by score, these bytes and the member. Whoever writes takes the lock of the sorted set.

/// The first bytes of a member, as in the index.
macro_rules! start {
    ($member:literal) => {
        concat!("substring(", $member, " FROM 1 FOR 64)")
    };
}

mod basic;
mod lex;
mod operations;
mod range;
mod rank;

use std::sync::Arc;

use tokio_postgres::Row;

use crate::{columns::read_bytes, keyspace::KeyspaceHandle};
use prism_call::proto::{Interfaces, models::sortedset::v1::ScoredMember};

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

/// Reads the columns `member, score`, the first of which has the index `first`.
fn read_member(row: &Row, first: usize) -> ScoredMember {
    ScoredMember { member: read_bytes(row, first), score: row.get(first + 1) }
}
