//! List: one row for each element, by consecutive positions, so that an element is found by its index.
//!
//! Calls that wait for an element have rows too, so that they are served in their order, whichever gateways they are on.

mod basic;
mod blocking;
mod indexing;
mod range;
mod rows;
mod shift;
#[cfg(test)]
mod tests;
mod waiters;

use std::sync::Arc;

pub use waiters::{RENEW_INTERVAL, end_waits, renew, sweep};

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The list interfaces over one keyspace.
pub struct Lists {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the list interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let lists = Arc::new(Lists { keyspace: keyspace.clone() });
    interfaces.list_basic = Some(lists.clone());
    interfaces.list_blocking = Some(lists.clone());
    interfaces.list_indexing = Some(lists.clone());
    interfaces.list_range = Some(lists);
}
