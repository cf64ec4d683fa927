//! Stream: one row for each record, by stream and offset. A stream has only partition 0.
//!
//! A statement that appends changes the row of its stream and keeps the lock on it until the record is committed. So offsets have no gaps, and
//! whoever sees a record sees all those before it. Appends to one stream wait for each other.
//!
//! The state of a consumer group is in tables only, so members on several gateways share it. A member that takes records locks the row of its
//! group.

mod basic;
mod consumer_groups;
mod group;
mod log;
mod member;
mod reader;
mod replay;
mod retention;

use std::sync::Arc;

pub use log::{Log, LogKind, NewRecord};

use crate::{database::Database, keyspace::KeyspaceHandle, notifications::Notifications};
use prism_call::{Context, Error, proto::Interfaces};

/// The stream interfaces over one keyspace.
pub struct Streams {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let streams = Arc::new(Streams { keyspace: keyspace.clone() });
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams);
}

/// Removes members that have expired, and applies retention, even if one of both fails.
pub async fn sweep(database: &Database, notifications: &Notifications, context: &Context) -> Result<(), Error> {
    let members = member::sweep(database, notifications, context).await;
    retention::sweep(database, context).await.and(members)
}

/// The only partition.
const PARTITION: u32 = 0;

/// Converts a number of a request. One that is too large for the database becomes the greatest number.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
