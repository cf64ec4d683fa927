//! The statements on `entries`. An expired row is as good as gone; the sweeper removes it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{error::DatabaseResult, writer::Tx};
use prism_call::proto::models::keyvalue::v1::Entry;
use prism_driver::{
    time::{self, Millis},
    transactions::Numbers,
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

/// What a row tells beside its value.
pub struct Head {
    /// Revisions and version.
    pub numbers: Numbers,
    /// When it expires.
    pub expires: Option<Millis>,
    /// What the writer keeps beside the value.
    pub flags: u64,
}

impl Head {
    /// From the columns `revision, expires, create_revision, version, flags`, which begin at `first`.
    pub fn of(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            numbers: Numbers {
                revision: unsigned(row.get(first)?),
                create_revision: unsigned(row.get(first + 2)?),
                version: unsigned(row.get(first + 3)?),
            },
            expires: row.get(first + 1)?,
            flags: row.get::<_, i64>(first + 4)?.cast_unsigned(),
        })
    }

    /// With its key and its value.
    pub fn entry(self, key: Bytes, value: Bytes) -> Entry {
        let Numbers { revision, create_revision, version } = self.numbers;
        Entry { key, value, revision, expire_time: self.expires.map(time::timestamp), flags: self.flags, create_revision, version }
    }
}

/// Reads a key unless its value is large.
pub fn get_small(connection: &Connection, keyspace: i64, key: &Bytes) -> DatabaseResult<Found> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags, CASE WHEN length(value) <= ?4 THEN value END FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    let found = select
        .query_row((keyspace, &key[..], time::now(), SMALL), |row| {
            Ok(match row.get_ref(5)?.as_blob_or_null()? {
                Some(value) => Found::Entry(Some(Head::of(row, 0)?.entry(key.clone(), Bytes::copy_from_slice(value)))),
                None => Found::Large,
            })
        })
        .optional()?;
    Ok(found.unwrap_or(Found::Entry(None)))
}

/// Reads a key.
pub fn get(connection: &Connection, keyspace: i64, key: &Bytes) -> DatabaseResult<Option<Entry>> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags, value FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select
        .query_row((keyspace, &key[..], time::now()), |row| {
            let value = Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?);
            Ok(Head::of(row, 0)?.entry(key.clone(), value))
        })
        .optional()?)
}

/// What is told of a key that is there.
pub fn head(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<Head>> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags FROM entries
         WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select.query_row((keyspace, key, time::now()), |row| Head::of(row, 0)).optional()?)
}

/// The revision of a key; 0 when it is not there.
pub fn revision(connection: &Connection, keyspace: i64, key: &[u8]) -> DatabaseResult<u64> {
    Ok(head(connection, keyspace, key)?.map_or(0, |head| head.numbers.revision))
}

/// A value to store.
pub struct Write<'w> {
    /// The key.
    pub key: &'w [u8],
    /// The value.
    pub value: &'w [u8],
    /// What is kept beside it.
    pub flags: u64,
    /// When it expires.
    pub expires: Option<Millis>,
}

/// Stores a value. A row that has expired counts as none.
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
    upsert.execute((keyspace, key, revision, expires, flags.cast_signed(), value, time::now()))?;
    Ok(())
}

/// Deletes a key and gives the revision that it had, if it was there.
pub fn delete(tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> DatabaseResult<Option<i64>> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM entries WHERE keyspace = ?1 AND key = ?2 RETURNING revision, expires")?;
    let gone: Option<(i64, Option<Millis>)> = delete.query_row((keyspace, key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let now = time::now();
    Ok(gone.filter(|(_, expires)| expires.is_none_or(|expires| expires > now)).map(|(revision, _)| revision))
}

/// Removes up to `most` expired rows of all keyspaces and tells how many they were.
pub fn remove_expired(tx: &Tx<'_>, most: usize) -> DatabaseResult<usize> {
    let mut delete = tx
        .connection
        .prepare_cached("DELETE FROM entries WHERE (keyspace, key) IN (SELECT keyspace, key FROM entries WHERE expires <= ?1 LIMIT ?2)")?;
    Ok(delete.execute((time::now(), i64::try_from(most).unwrap_or(i64::MAX)))?)
}

/// Whether any row has expired.
pub fn any_expired(connection: &Connection) -> DatabaseResult<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM entries WHERE expires <= ?1)")?;
    Ok(select.query_row([time::now()], |row| row.get(0))?)
}

/// Numbers of the database are never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
