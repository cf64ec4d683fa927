//! Set: one row for each member. A set is read in the order of the identities of its members, which never change.
//!
//! Additions and removals are single statements, and take no lock on the set. Operations that store a result replace the members of the
//! destination under its lock.

mod basic;
mod cardinality;
mod operations;
mod random;

use std::sync::Arc;

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The set interfaces over one keyspace.
pub struct Sets {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the set interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let sets = Arc::new(Sets { keyspace: keyspace.clone() });
    interfaces.set_basic = Some(sets.clone());
    interfaces.set_cardinality = Some(sets.clone());
    interfaces.set_operations = Some(sets.clone());
    interfaces.set_random = Some(sets);
}

/// Many byte strings as a parameter.
fn slices(items: &[bytes::Bytes]) -> Vec<&[u8]> {
    items.iter().map(|item| &item[..]).collect()
}
