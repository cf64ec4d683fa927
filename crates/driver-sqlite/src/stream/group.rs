//! Statements on the table `consumer_groups`.

use rusqlite::{Connection, OptionalExtension as _};

use super::log::{self, StreamRow};
use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_driver::stream::consumer_group_not_found;

/// A consumer group.
pub struct Group {
    pub id: i64,
    /// The first offset that was not delivered yet.
    pub position: i64,
    pub stream: StreamRow,
}

/// Finds a group; `None` if it does not exist.
pub fn find(connection: &Connection, keyspace: i64, stream: &str, group: &str) -> DatabaseResult<Option<Group>> {
    let Some(stream) = log::find(connection, keyspace, stream)? else { return Ok(None) };
    let mut select = connection.prepare_cached("SELECT id, position FROM consumer_groups WHERE stream = ?1 AND name = ?2")?;
    Ok(select.query_row((stream.id, group), |row| Ok(Group { id: row.get(0)?, position: row.get(1)?, stream })).optional()?)
}

/// Finds a group, or fails with `NOT_FOUND CONSUMER_GROUP_NOT_FOUND`.
pub fn require(connection: &Connection, keyspace: i64, stream: &str, group: &str) -> DatabaseResult<Group> {
    Ok(find(connection, keyspace, stream, group)?.ok_or_else(|| consumer_group_not_found(stream, group))?)
}

/// The topic of the changes of a group.
pub fn topic(keyspace: i64, stream: &str, group: &str) -> Topic {
    Topic::Group(keyspace, stream.into(), group.into())
}

/// Moves a group to an offset, and removes all its deliveries.
pub fn move_to(tx: &Tx<'_>, group: i64, position: i64) -> DatabaseResult<()> {
    tx.connection.prepare_cached("DELETE FROM deliveries WHERE consumer_group = ?1")?.execute([group])?;
    tx.connection.prepare_cached("UPDATE consumer_groups SET position = ?2 WHERE id = ?1")?.execute((group, position))?;
    Ok(())
}
