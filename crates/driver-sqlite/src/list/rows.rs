//! Statements on the tables `lists` and `list_elements`.

use std::ops::Range;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};

use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_driver::list::{End, POP_BYTES};

/// A row of the table `lists`.
#[derive(Clone, Copy, Debug)]
pub struct StoredList {
    pub id: i64,
    /// Position of the first element.
    pub first: i64,
    pub length: i64,
}

/// Finds a list; `None` if it has no elements.
pub fn find(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<StoredList>> {
    let mut select = connection.prepare_cached("SELECT id, first, length FROM lists WHERE keyspace = ?1 AND key = ?2")?;
    let list = select.query_row((keyspace, key), |row| Ok(StoredList { id: row.get(0)?, first: row.get(1)?, length: row.get(2)? }));
    Ok(list.optional()?)
}

/// Pushes values one after another, creates the list if necessary, and wakes the calls that wait for it. Returns the length.
pub fn push(tx: &Tx<'_>, keyspace: i64, key: &[u8], values: &[Bytes], end: End) -> DatabaseResult<u64> {
    let mut list = if let Some(list) = find(tx.connection, keyspace, key)? {
        list
    } else {
        let mut insert =
            tx.connection.prepare_cached("INSERT INTO lists (keyspace, key, first, length) VALUES (?1, ?2, 0, 0) RETURNING id")?;
        StoredList { id: insert.query_row((keyspace, key), |row| row.get(0))?, first: 0, length: 0 }
    };
    for value in values {
        let position = match end {
            End::Left => {
                list.first -= 1;
                list.first
            }
            End::Right => list.end(),
        };
        list.insert(tx, position, value)?;
        list.length += 1;
    }
    list.save(tx)?;
    signal(tx, keyspace, key);
    Ok(list.length.unsigned_abs())
}

/// Takes elements from an end: at most `limit`, and none after the reply has [`POP_BYTES`].
pub fn pop(tx: &Tx<'_>, keyspace: i64, key: &[u8], limit: usize, end: End) -> DatabaseResult<Vec<Bytes>> {
    let Some(mut list) = find(tx.connection, keyspace, key)? else { return Ok(Vec::new()) };
    let statement = match end {
        End::Left => "SELECT value FROM list_elements WHERE list = ?1 ORDER BY position LIMIT ?2",
        End::Right => "SELECT value FROM list_elements WHERE list = ?1 ORDER BY position DESC LIMIT ?2",
    };
    let (mut taken, mut bytes) = (Vec::new(), 0);
    let mut select = tx.connection.prepare_cached(statement)?;
    let mut rows = select.query((list.id, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    while bytes < POP_BYTES
        && let Some(row) = rows.next()?
    {
        let value = Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?);
        bytes += value.len();
        taken.push(value);
    }
    drop(rows);
    let count = i64::try_from(taken.len()).unwrap_or(i64::MAX);
    list.keep(
        tx,
        match end {
            End::Left => list.first + count..list.end(),
            End::Right => list.first..list.end() - count,
        },
    )?;
    list.save(tx)?;
    Ok(taken)
}

/// Wakes the calls that wait for a list.
pub fn signal(tx: &Tx<'_>, keyspace: i64, key: &[u8]) {
    tx.signal(Topic::List(keyspace, key.into()));
}

impl StoredList {
    /// The position after the last element.
    pub fn end(&self) -> i64 {
        self.first + self.length
    }

    /// The length in the type of indexes.
    pub fn len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(0)
    }

    /// The position of an index.
    pub fn at(&self, index: usize) -> i64 {
        self.first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX))
    }

    /// Inserts an element at a free position.
    pub fn insert(&self, tx: &Tx<'_>, position: i64, value: &[u8]) -> DatabaseResult<()> {
        let mut insert = tx.connection.prepare_cached("INSERT INTO list_elements (list, position, value) VALUES (?1, ?2, ?3)")?;
        insert.execute((self.id, position, value))?;
        Ok(())
    }

    /// Removes the elements outside of some positions. [`save`](Self::save) must follow.
    pub fn keep(&mut self, tx: &Tx<'_>, positions: Range<i64>) -> DatabaseResult<()> {
        let mut delete = tx.connection.prepare_cached("DELETE FROM list_elements WHERE list = ?1 AND position >= ?2 AND position < ?3")?;
        for removed in [self.first..positions.start, positions.end..self.end()] {
            if !removed.is_empty() {
                delete.execute((self.id, removed.start, removed.end))?;
            }
        }
        self.first = positions.start;
        self.length = positions.end - positions.start;
        Ok(())
    }

    /// Writes the first position and the length, or removes the row of an empty list.
    pub fn save(&self, tx: &Tx<'_>) -> DatabaseResult<()> {
        if self.length == 0 {
            tx.connection.prepare_cached("DELETE FROM lists WHERE id = ?1")?.execute([self.id])?;
        } else {
            let mut update = tx.connection.prepare_cached("UPDATE lists SET first = ?2, length = ?3 WHERE id = ?1")?;
            update.execute((self.id, self.first, self.length))?;
        }
        Ok(())
    }
}
