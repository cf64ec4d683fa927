//! Stream: one row for each record, by stream and offset. A stream has only partition 0.

mod basic;
mod consumer_groups;
mod group;
mod log;
mod member;
mod reader;
mod replay;
mod retention;

use std::sync::Arc;

pub use member::{RENEW_INTERVAL, renew};

use crate::{database::Database, keyspace::KeyspaceHandle};
use prism_call::{Error, proto::Interfaces};

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

/// Applies retention, and removes members that have expired.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    member::sweep(database).await?;
    retention::sweep(database).await
}

/// The only partition.
const PARTITION: u32 = 0;

/// Converts a number of a request. One that is too large for the database becomes the greatest number.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a number from the database, which is never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
