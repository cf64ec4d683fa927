//! Statements on the tables `sorted_sets` and `sorted_set_members`.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, Rows};

use crate::{error::DatabaseResult, writer::Tx};
use prism_call::proto::models::sortedset::v1::ScoredMember;
use prism_driver::sortedset::PAGE_BYTES;

/// A row of the table `sorted_sets`.
#[derive(Clone, Copy, Debug)]
pub struct StoredSortedSet {
    pub id: i64,
    pub size: i64,
}

/// Finds a sorted set; `None` if it has no members.
pub fn find(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<StoredSortedSet>> {
    let mut select = connection.prepare_cached("SELECT id, size FROM sorted_sets WHERE keyspace = ?1 AND key = ?2")?;
    Ok(select.query_row((keyspace, key), |row| Ok(StoredSortedSet { id: row.get(0)?, size: row.get(1)? })).optional()?)
}

/// Finds a sorted set, and creates it if necessary.
pub fn open(tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> DatabaseResult<StoredSortedSet> {
    if let Some(set) = find(tx.connection, keyspace, key)? {
        return Ok(set);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO sorted_sets (keyspace, key) VALUES (?1, ?2) RETURNING id")?;
    Ok(StoredSortedSet { id: insert.query_row((keyspace, key), |row| row.get(0))?, size: 0 })
}

impl StoredSortedSet {
    /// The score of a member; `None` if it is not in the sorted set.
    pub fn score(&self, connection: &Connection, member: &[u8]) -> DatabaseResult<Option<f64>> {
        let mut select = connection.prepare_cached("SELECT score FROM sorted_set_members WHERE set_id = ?1 AND member = ?2")?;
        Ok(select.query_row((self.id, member), |row| row.get(0)).optional()?)
    }

    /// The least score.
    pub fn least_score(&self, connection: &Connection) -> DatabaseResult<f64> {
        let mut select = connection.prepare_cached("SELECT score FROM sorted_set_members WHERE set_id = ?1 ORDER BY score LIMIT 1")?;
        Ok(select.query_row([self.id], |row| row.get(0))?)
    }

    /// Gives a member a score. A new member is not counted.
    pub fn write(&self, tx: &Tx<'_>, member: &[u8], score: f64) -> DatabaseResult<()> {
        let mut upsert = tx.connection.prepare_cached(
            "INSERT INTO sorted_set_members (set_id, member, score) VALUES (?1, ?2, ?3)
             ON CONFLICT (set_id, member) DO UPDATE SET score = excluded.score",
        )?;
        upsert.execute((self.id, member, score))?;
        Ok(())
    }

    /// Removes a member. Returns whether it was in the sorted set. [`save`](Self::save) must follow.
    pub fn remove(&mut self, tx: &Tx<'_>, member: &[u8]) -> DatabaseResult<bool> {
        let mut delete = tx.connection.prepare_cached("DELETE FROM sorted_set_members WHERE set_id = ?1 AND member = ?2")?;
        let removed = delete.execute((self.id, member))? == 1;
        self.size -= i64::from(removed);
        Ok(removed)
    }

    /// Removes all members. [`save`](Self::save) must follow.
    pub fn clear(&mut self, tx: &Tx<'_>) -> DatabaseResult<()> {
        tx.connection.prepare_cached("DELETE FROM sorted_set_members WHERE set_id = ?1")?.execute([self.id])?;
        self.size = 0;
        Ok(())
    }

    /// Writes the size of the sorted set, or removes its row if it is empty.
    pub fn save(&self, tx: &Tx<'_>) -> DatabaseResult<()> {
        if self.size == 0 {
            tx.connection.prepare_cached("DELETE FROM sorted_sets WHERE id = ?1")?.execute([self.id])?;
        } else {
            tx.connection.prepare_cached("UPDATE sorted_sets SET size = ?2 WHERE id = ?1")?.execute((self.id, self.size))?;
        }
        Ok(())
    }
}

/// Reads the columns `member, score`, the first two of a row.
pub fn scored_member(row: &Row<'_>) -> rusqlite::Result<ScoredMember> {
    Ok(ScoredMember { member: Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?), score: row.get(1)? })
}

/// Reads a page of at most `most` members, and returns whether there may be more.
pub fn read_page(mut rows: Rows<'_>, most: usize) -> DatabaseResult<(Vec<ScoredMember>, bool)> {
    let (mut members, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let entry = scored_member(row)?;
        bytes += entry.member.len();
        members.push(entry);
        if members.len() >= most || bytes >= PAGE_BYTES {
            return Ok((members, true));
        }
    }
    Ok((members, false))
}
