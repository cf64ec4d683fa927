//! The tables, as numbered migrations. A released migration never changes; changes are new migrations at the end.

use rusqlite::{Connection, TransactionBehavior};

/// Marks a file as one of Prism (`PRAGMA application_id`): "PRSM".
pub const APPLICATION_ID: i32 = 0x5052_534D;

/// Migration `n` updates a database from version `n` (`PRAGMA user_version`) to version `n + 1`.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_entry_facts.sql"),
    include_str!("migrations/0003_changes.sql"),
    include_str!("migrations/0004_sets.sql"),
    include_str!("migrations/0005_lists.sql"),
    include_str!("migrations/0006_timeseries.sql"),
    include_str!("migrations/0007_documents.sql"),
    include_str!("migrations/0008_graphs.sql"),
];

/// The version that this build supports.
pub fn latest() -> usize {
    MIGRATIONS.len()
}

/// The version of a database; 0 for a new one.
pub fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map(|version| usize::try_from(version).unwrap_or(usize::MAX))
}

/// Writes the version of a database again: a write that changes nothing.
pub fn rewrite_version(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

/// Updates a database to the latest version in one transaction. If several processes call it at the same time, the first one
/// updates, and the others wait for its lock and then find nothing to do.
pub fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if version(connection)? >= latest() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(latest().max(from)).unwrap_or(i64::MAX))?;
    transaction.commit()
}
