//! Histories of keyspaces: their last changes, for watches. Only a keyspace that is watched has one, so that other writes cost nothing
//! more than a look into a small table.

use std::{cell::RefCell, collections::HashMap};

use rusqlite::{Connection, OptionalExtension as _};

use prism_driver::{
    id,
    time::{self, Millis},
    watch::{HISTORY_BYTES, HISTORY_CHANGES, HISTORY_MILLIS},
};

/// Values of the column `kind`.
pub const STORED: i64 = 0;
pub const DELETED: i64 = 1;
pub const EXPIRED: i64 = 2;

/// A row of the table `histories`.
#[derive(Clone, Copy, Debug)]
pub struct History {
    pub epoch: i64,
    pub last: i64,
    pub removed: i64,
    bytes: i64,
    pub until: Millis,
}

/// Finds the history of a keyspace, unless it has ended.
pub fn find(connection: &Connection, keyspace: i64) -> rusqlite::Result<Option<History>> {
    let mut select =
        connection.prepare_cached("SELECT epoch, last, removed, bytes, until FROM histories WHERE keyspace = ?1 AND until > ?2")?;
    let history = |row: &rusqlite::Row<'_>| {
        Ok(History { epoch: row.get(0)?, last: row.get(1)?, removed: row.get(2)?, bytes: row.get(3)?, until: row.get(4)? })
    };
    select.query_row((keyspace, time::now()), history).optional()
}

/// Removes at most `most` changes of histories that have ended, or else the histories themselves. Returns whether there may be more.
pub fn remove_ended(connection: &Connection, most: usize) -> rusqlite::Result<bool> {
    let (now, most) = (time::now(), i64::try_from(most).unwrap_or(i64::MAX));
    let removed = connection
        .prepare_cached(
            "DELETE FROM changes WHERE (keyspace, position) IN (SELECT changes.keyspace, position FROM changes
                 JOIN histories ON histories.keyspace = changes.keyspace WHERE until <= ?1 LIMIT ?2)",
        )?
        .execute((now, most))?;
    if removed == 0 {
        connection.prepare_cached("DELETE FROM histories WHERE until <= ?1")?.execute([now])?;
    }
    Ok(removed > 0)
}

/// Whether any history has ended.
pub fn any_ended(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM histories WHERE until <= ?1)")?.query_row([time::now()], |row| row.get(0))
}

/// The histories of the keyspaces that a transaction writes.
#[derive(Default)]
pub struct Histories {
    /// `None`: the keyspace has no history. The flag: the history was changed.
    known: RefCell<HashMap<i64, Option<(History, bool)>>>,
}

impl Histories {
    /// Whether the changes of a keyspace are recorded.
    pub fn is_recorded(&self, connection: &Connection, keyspace: i64) -> rusqlite::Result<bool> {
        let mut known = self.known.borrow_mut();
        if let Some(history) = known.get(&keyspace) {
            return Ok(history.is_some());
        }
        let history = find(connection, keyspace)?;
        known.insert(keyspace, history.map(|history| (history, false)));
        Ok(history.is_some())
    }

    /// Starts to record the changes of a keyspace, or continues to. The history ends some time after the last call.
    pub fn start(&self, connection: &Connection, keyspace: i64) -> rusqlite::Result<History> {
        let until = time::now() + HISTORY_MILLIS;
        self.is_recorded(connection, keyspace)?;
        let found = self.known.borrow().get(&keyspace).copied().flatten();
        let (history, changed) = if let Some((history, changed)) = found {
            (History { until, ..history }, changed)
        } else {
            connection.prepare_cached("DELETE FROM changes WHERE keyspace = ?1")?.execute([keyspace])?;
            (History { epoch: id::random_number().cast_signed(), last: 0, removed: 0, bytes: 0, until }, false)
        };
        let History { epoch, last, removed, bytes, until } = history;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO histories (keyspace, epoch, last, removed, bytes, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((keyspace, epoch, last, removed, bytes, until))?;
        self.known.borrow_mut().insert(keyspace, Some((history, changed)));
        Ok(history)
    }

    /// Records that the entry of a key, which is in the table, was stored.
    pub fn add_stored(&self, connection: &Connection, keyspace: i64, key: &[u8]) -> rusqlite::Result<()> {
        self.add(keyspace, |position| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO changes (keyspace, position, kind, key, revision, expires, create_revision, version, flags, bytes, value)
                 SELECT keyspace, ?3, ?4, key, revision, expires, create_revision, version, flags, length(key) + length(value), value
                 FROM entries WHERE keyspace = ?1 AND key = ?2 RETURNING bytes",
            )?;
            Ok(insert.query_row((keyspace, key, position, STORED), |row| row.get(0)).optional()?.unwrap_or(0))
        })
    }

    /// Records the removal of an entry.
    pub fn add_removed(&self, connection: &Connection, keyspace: i64, key: &[u8], revision: i64, kind: i64) -> rusqlite::Result<()> {
        self.add(keyspace, |position| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO changes (keyspace, position, kind, key, revision, create_revision, version, flags, bytes, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, length(?4), x'')",
            )?;
            insert.execute((keyspace, position, kind, key, revision))?;
            Ok(i64::try_from(key.len()).unwrap_or(0))
        })
    }

    fn add(&self, keyspace: i64, insert: impl FnOnce(i64) -> rusqlite::Result<i64>) -> rusqlite::Result<()> {
        let mut known = self.known.borrow_mut();
        let Some(Some((history, changed))) = known.get_mut(&keyspace) else { return Ok(()) };
        // If the operation is rolled back, the position stays empty.
        history.last += 1;
        *changed = true;
        history.bytes += insert(history.last)?;
        Ok(())
    }

    /// Removes what is beyond the limits, and writes the histories that have changed. Returns their keyspaces.
    pub fn finish(self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut keyspaces = Vec::new();
        for (keyspace, history) in self.known.into_inner() {
            let Some((mut history, true)) = history else { continue };
            shorten(connection, keyspace, &mut history)?;
            connection.prepare_cached("UPDATE histories SET last = ?2, removed = ?3, bytes = ?4 WHERE keyspace = ?1")?.execute((
                keyspace,
                history.last,
                history.removed,
                history.bytes,
            ))?;
            keyspaces.push(keyspace);
        }
        Ok(keyspaces)
    }
}

/// Removes the oldest changes that are beyond the limits.
fn shorten(connection: &Connection, keyspace: i64, history: &mut History) -> rusqlite::Result<()> {
    let oldest = history.last - i64::try_from(HISTORY_CHANGES).unwrap_or(i64::MAX);
    let max_bytes = i64::try_from(HISTORY_BYTES).unwrap_or(i64::MAX);
    while history.removed < oldest || (history.bytes > max_bytes && history.removed + 1 < history.last) {
        let mut delete = connection.prepare_cached("DELETE FROM changes WHERE keyspace = ?1 AND position = ?2 RETURNING bytes")?;
        let bytes: Option<i64> = delete.query_row((keyspace, history.removed + 1), |row| row.get(0)).optional()?;
        history.bytes -= bytes.unwrap_or(0);
        history.removed += 1;
    }
    Ok(())
}
