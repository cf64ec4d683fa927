//! Statements on the table `entries`. A row that has expired does not count as an entry; the sweeper removes it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{
    error::DatabaseResult,
    history::{DELETED, EXPIRED},
    writer::Tx,
};
use prism_call::proto::models::keyvalue::v1::Entry;
use prism_driver::{
    keyvalue::EntryMetadata,
    time::{self, Millis},
    transactions::Numbers,
};

/// Values up to this size in bytes are read inside the async runtime. Copying a larger one would block it for too long.
const MAX_SMALL_VALUE: i64 = 64 << 10;

/// The result of a read that does not read large values.
pub enum SmallEntry {
    /// The entry; `None` if the key does not exist.
    Entry(Option<Entry>),
    /// The value is large and was not read.
    TooLarge,
}

/// Reads metadata from the columns `revision, expires, create_revision, version, flags`, the first of which has the index `first`.
pub fn read_metadata(row: &Row<'_>, first: usize) -> rusqlite::Result<EntryMetadata> {
    Ok(EntryMetadata {
        numbers: Numbers {
            revision: unsigned(row.get(first)?),
            create_revision: unsigned(row.get(first + 2)?),
            version: unsigned(row.get(first + 3)?),
        },
        expires: row.get(first + 1)?,
        flags: row.get::<_, i64>(first + 4)?.cast_unsigned(),
    })
}

/// Reads the entry of a key, unless its value is large.
pub fn get_small(connection: &Connection, keyspace: i64, key: &Bytes) -> DatabaseResult<SmallEntry> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags, CASE WHEN length(value) <= ?4 THEN value END FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    let entry = select
        .query_row((keyspace, &key[..], time::now(), MAX_SMALL_VALUE), |row| {
            Ok(match row.get_ref(5)?.as_blob_or_null()? {
                Some(value) => SmallEntry::Entry(Some(read_metadata(row, 0)?.into_entry(key.clone(), Bytes::copy_from_slice(value)))),
                None => SmallEntry::TooLarge,
            })
        })
        .optional()?;
    Ok(entry.unwrap_or(SmallEntry::Entry(None)))
}

/// Reads the entry of a key.
pub fn get(connection: &Connection, keyspace: i64, key: &Bytes) -> DatabaseResult<Option<Entry>> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags, value FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select
        .query_row((keyspace, &key[..], time::now()), |row| {
            let value = Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?);
            Ok(read_metadata(row, 0)?.into_entry(key.clone(), value))
        })
        .optional()?)
}

/// Reads the metadata of a key; `None` if it does not exist.
pub fn metadata(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<EntryMetadata>> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select.query_row((keyspace, key, time::now()), |row| read_metadata(row, 0)).optional()?)
}

/// The revision of a key; 0 if it does not exist.
pub fn revision(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<u64> {
    Ok(metadata(connection, keyspace, key)?.map_or(0, |metadata| metadata.numbers.revision))
}

/// An entry to store.
pub struct Write<'w> {
    pub key: &'w [u8],
    pub value: &'w [u8],
    pub flags: u64,
    /// When the entry expires; `None` = never.
    pub expires: Option<Millis>,
}

/// Stores an entry.
pub fn set(tx: &Tx<'_>, keyspace: i64, write: &Write<'_>, revision: i64) -> DatabaseResult<()> {
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO entries (keyspace, key, revision, expires, create_revision, version, flags, value)
         VALUES (?1, ?2, ?3, ?4, ?3, 1, ?5, ?6)
         ON CONFLICT (keyspace, key) DO UPDATE SET
             revision = excluded.revision, expires = excluded.expires, flags = excluded.flags, value = excluded.value,
             create_revision = CASE WHEN expires <= ?7 THEN excluded.create_revision ELSE create_revision END,
             version = CASE WHEN expires <= ?7 THEN 1 ELSE version + 1 END",
    )?;
    let Write { key, value, flags, expires } = write;
    let (now, is_recorded) = (time::now(), tx.histories.is_recorded(tx.connection, keyspace)?);
    if is_recorded && let Some(expired) = expired_revision(tx.connection, keyspace, key, now)? {
        tx.histories.add_removed(tx.connection, keyspace, key, expired, EXPIRED)?;
    }
    upsert.execute((keyspace, key, revision, expires, flags.cast_signed(), value, now))?;
    if is_recorded {
        tx.histories.add_stored(tx.connection, keyspace, key)?;
    }
    Ok(())
}

/// Deletes a key. Returns its former revision, or `None` if it did not exist.
pub fn delete(tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<i64>> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM entries WHERE keyspace = ?1 AND key = ?2 RETURNING revision, expires")?;
    let deleted: Option<(i64, Option<Millis>)> = delete.query_row((keyspace, key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((revision, expires)) = deleted else { return Ok(None) };
    let is_live = expires.is_none_or(|expires| expires > time::now());
    if tx.histories.is_recorded(tx.connection, keyspace)? {
        tx.histories.add_removed(tx.connection, keyspace, key, revision, if is_live { DELETED } else { EXPIRED })?;
    }
    Ok(is_live.then_some(revision))
}

/// The revision of a row that has expired; `None` if the key has no such row.
fn expired_revision(connection: &Connection, keyspace: i64, key: &[u8], now: Millis) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT revision FROM entries WHERE keyspace = ?1 AND key = ?2 AND expires <= ?3")?;
    Ok(select.query_row((keyspace, key, now), |row| row.get(0)).optional()?)
}

/// Removes at most `most` expired rows of all keyspaces, and returns how many.
pub fn remove_expired(tx: &Tx<'_>, most: usize) -> DatabaseResult<usize> {
    let mut delete = tx.connection.prepare_cached(
        "DELETE FROM entries WHERE (keyspace, key) IN (SELECT keyspace, key FROM entries WHERE expires <= ?1 LIMIT ?2)
         RETURNING keyspace, key, revision",
    )?;
    let mut removed = 0;
    let mut rows = delete.query((time::now(), i64::try_from(most).unwrap_or(i64::MAX)))?;
    while let Some(row) = rows.next()? {
        removed += 1;
        let keyspace = row.get(0)?;
        if tx.histories.is_recorded(tx.connection, keyspace)? {
            let key: Vec<u8> = row.get(1)?;
            tx.histories.add_removed(tx.connection, keyspace, &key, row.get(2)?, EXPIRED)?;
        }
    }
    Ok(removed)
}

/// Whether any row has expired.
pub fn any_expired(connection: &Connection) -> DatabaseResult<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM entries WHERE expires <= ?1)")?;
    Ok(select.query_row([time::now()], |row| row.get(0))?)
}

/// Converts a number from the database, which is never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
