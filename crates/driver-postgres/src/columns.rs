//! Converts values from and to columns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio_postgres::Row;

use prism_driver::{keyvalue::EntryMetadata, time::Millis, transactions::Numbers};

/// Reads metadata from the columns `revision, create_revision, version, flags, expires`, the first of which has the index `first`.
pub fn read_metadata(row: &Row, first: usize) -> EntryMetadata {
    EntryMetadata {
        numbers: Numbers {
            revision: unsigned(row.get(first)),
            create_revision: unsigned(row.get(first + 1)),
            version: unsigned(row.get(first + 2)),
        },
        flags: row.get::<_, i64>(first + 3).cast_unsigned(),
        expires: read_time(row, first + 4),
    }
}

/// Reads a column of bytes.
pub fn read_bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

/// Reads a time.
pub fn read_time(row: &Row, column: usize) -> Option<Millis> {
    row.get::<_, Option<SystemTime>>(column).map(millis)
}

/// Converts a time to that of a column.
pub fn column_time(time: Option<Millis>) -> Option<SystemTime> {
    time.map(|time| UNIX_EPOCH + Duration::from_millis(u64::try_from(time).unwrap_or(0)))
}

/// Converts a time of a request, which may be far in the past or in the future: to one between the years 1970 and 9999.
pub fn request_time(time: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(time).unwrap_or(0).min(253_402_300_799_999))
}

fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Converts a number of the database, which is never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Converts a revision of a request. One that is too large for the database becomes one that no entry has.
pub fn column_revision(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(-1)
}
