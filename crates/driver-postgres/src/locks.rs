//! Advisory locks on sets, sorted sets and lists, until the end of a transaction. They work behind poolers, too.

use tokio_postgres::types::Type;

use crate::sql::Sql;
use prism_driver::hash;

/// Waits for a lock by its number.
pub static LOCK: Sql = Sql { text: "SELECT pg_advisory_xact_lock($1)", types: &[Type::INT8] };

/// The number of the lock of a key. Two keys with the same number only wait for each other.
pub fn lock_number(kind: &str, keyspace: i64, key: &[u8]) -> i64 {
    hash::fnv1a(&[kind.as_bytes(), &keyspace.to_be_bytes(), key].concat()).cast_signed()
}
