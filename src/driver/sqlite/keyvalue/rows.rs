//! The statements on `entries`. An expired row is as good as gone; the sweeper removes it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{
    call::Error,
    driver::{
        common::time::{self, Millis},
        sqlite::writer::Tx,
    },
    proto::models::keyvalue::v1::Entry,
};

/// Values up to this size are read inside the async runtime; copying a larger one takes too long for that.
const SMALL: i64 = 64 << 10;

/// A read that does not touch large values.
pub enum Found {
    /// The entry, or that there is none.
    Entry(Option<Entry>),
    /// There is one with a large value.
    Large,
}

/// Reads a key unless its value is large.
pub fn get_small(connection: &Connection, keyspace: i64, key: &Bytes) -> Result<Found, Error> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, CASE WHEN length(value) <= ?4 THEN value END FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    let found = select
        .query_row((keyspace, &key[..], time::now(), SMALL), |row| {
            Ok(match row.get_ref(2)?.as_blob_or_null()? {
                Some(value) => Found::Entry(Some(entry(key.clone(), value, row)?)),
                None => Found::Large,
            })
        })
        .optional()?;
    Ok(found.unwrap_or(Found::Entry(None)))
}

/// Reads a key.
pub fn get(connection: &Connection, keyspace: i64, key: &Bytes) -> Result<Option<Entry>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, value FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select
        .query_row((keyspace, &key[..], time::now()), |row| {
            let value = row.get_ref(2)?.as_blob()?;
            entry(key.clone(), value, row)
        })
        .optional()?)
}

/// The columns `revision` and `expires` must come first.
fn entry(key: Bytes, value: &[u8], row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key,
        value: Bytes::copy_from_slice(value),
        revision: unsigned(row.get(0)?),
        expire_time: row.get::<_, Option<Millis>>(1)?.map(time::timestamp),
    })
}

/// The revision and the expiration of a key that is there.
pub fn head(connection: &Connection, keyspace: i64, key: &[u8]) -> Result<Option<(i64, Option<Millis>)>, Error> {
    let mut select = connection
        .prepare_cached("SELECT revision, expires FROM entries WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)")?;
    Ok(select.query_row((keyspace, key, time::now()), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Stores a value.
pub fn set(tx: &Tx<'_>, keyspace: i64, key: &[u8], value: &[u8], expires: Option<Millis>, revision: i64) -> Result<(), Error> {
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO entries (keyspace, key, revision, expires, value) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (keyspace, key) DO UPDATE SET revision = excluded.revision, expires = excluded.expires, value = excluded.value",
    )?;
    upsert.execute((keyspace, key, revision, expires, value))?;
    Ok(())
}

/// Deletes a key and gives the revision that it had, if it was there.
pub fn delete(tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> Result<Option<i64>, Error> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM entries WHERE keyspace = ?1 AND key = ?2 RETURNING revision, expires")?;
    let gone: Option<(i64, Option<Millis>)> = delete.query_row((keyspace, key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let now = time::now();
    Ok(gone.filter(|(_, expires)| expires.is_none_or(|expires| expires > now)).map(|(revision, _)| revision))
}

/// Removes up to `most` expired rows of all keyspaces and tells how many they were.
pub fn remove_expired(tx: &Tx<'_>, most: usize) -> Result<usize, Error> {
    let mut delete = tx
        .connection
        .prepare_cached("DELETE FROM entries WHERE (keyspace, key) IN (SELECT keyspace, key FROM entries WHERE expires <= ?1 LIMIT ?2)")?;
    Ok(delete.execute((time::now(), i64::try_from(most).unwrap_or(i64::MAX)))?)
}

/// Whether any row has expired.
pub fn any_expired(connection: &Connection) -> Result<bool, Error> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM entries WHERE expires <= ?1)")?;
    Ok(select.query_row([time::now()], |row| row.get(0))?)
}

/// Numbers of the database are never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
