//! The stream interfaces: a row for each record, by stream and offset. Streams have one partition here, number 0.

mod basic;
mod groups;
mod log;
mod member;
mod reading;
mod replay;
mod retention;

use std::sync::Arc;

use super::space::{Database, Space};
use prism_call::{Code, Error, proto::Interfaces};

/// The four interfaces over one keyspace.
pub struct Streams {
    space: Arc<Space>,
}

/// Adds them to what the driver implements.
pub fn add(interfaces: &mut Interfaces, space: &Arc<Space>) {
    let streams = Arc::new(Streams { space: space.clone() });
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams);
}

pub use member::{RENEW, renew};

/// Removes what retention no longer keeps, and members whose gateway is gone.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    member::sweep(database).await?;
    retention::sweep(database).await
}

/// The only partition.
const PARTITION: u32 = 0;

fn only_partition(partition: Option<u32>) -> Result<(), Error> {
    match partition {
        None | Some(PARTITION) => Ok(()),
        Some(other) => Err(Error::new(
            Code::NotFound,
            "PARTITION_NOT_FOUND",
            format!("the stream has no partition {other}; streams of a SQLite backend have only partition 0"),
        )),
    }
}

/// For a number of a request; those that the database can't hold are beyond all that there is.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Numbers of the database are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
