//! Statements on the table `documents`. A row that has expired does not count as a document; the sweeper removes it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, types::Type};

use crate::{error::DatabaseResult, writer::Tx};
use prism_driver::{
    document::{Facts, StoredDocument, json},
    time,
};

/// The id of a collection; `None` if it does not exist.
pub fn find_collection(connection: &Connection, keyspace: i64, name: &str) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM document_collections WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((keyspace, name), |row| row.get(0)).optional()?)
}

/// The id of a collection, which is created if it does not exist.
pub fn collection(tx: &Tx<'_>, keyspace: i64, name: &str) -> DatabaseResult<i64> {
    if let Some(id) = find_collection(tx.connection, keyspace, name)? {
        return Ok(id);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO document_collections (keyspace, name) VALUES (?1, ?2) RETURNING id")?;
    Ok(insert.query_row((keyspace, name), |row| row.get(0))?)
}

/// The columns of a document, in the order in which [`read`] expects them.
pub const COLUMNS: &str = "id, revision, created, updated, expires, body";

/// Reads a document.
pub fn read(row: &Row<'_>) -> rusqlite::Result<StoredDocument> {
    let id = std::str::from_utf8(row.get_ref(0)?.as_blob()?)?;
    let facts = Facts { revision: unsigned(row.get(1)?), created: row.get(2)?, updated: row.get(3)?, expires: row.get(4)? };
    let body = json::read(row.get_ref(5)?.as_str()?);
    let body = body.ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, "a body is not a JSON object".into()))?;
    Ok(StoredDocument { id: Arc::from(id), body, facts })
}

/// Reads a document by its id.
pub fn get(connection: &Connection, collection: i64, id: &str) -> DatabaseResult<Option<StoredDocument>> {
    let mut select = connection.prepare_cached(
        "SELECT id, revision, created, updated, expires, body FROM documents
         WHERE collection = ?1 AND id = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(select.query_row((collection, id.as_bytes(), time::now()), read).optional()?)
}

/// The revision of a document; `None` if it does not exist.
pub fn revision(connection: &Connection, collection: i64, id: &str) -> DatabaseResult<Option<u64>> {
    let mut select = connection
        .prepare_cached("SELECT revision FROM documents WHERE collection = ?1 AND id = ?2 AND (expires IS NULL OR expires > ?3)")?;
    Ok(select.query_row((collection, id.as_bytes(), time::now()), |row| Ok(unsigned(row.get(0)?))).optional()?)
}

/// Stores a document in place of the one that has its id.
pub fn put(tx: &Tx<'_>, collection: i64, document: &StoredDocument) -> rusqlite::Result<()> {
    let StoredDocument { id, body, facts } = document;
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO documents (collection, id, revision, created, updated, expires, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (collection, id) DO UPDATE SET
             revision = excluded.revision, created = excluded.created, updated = excluded.updated, expires = excluded.expires,
             body = excluded.body",
    )?;
    let revision = facts.revision.cast_signed();
    upsert.execute((collection, id.as_bytes(), revision, facts.created, facts.updated, facts.expires, json::write(body)))?;
    Ok(())
}

/// Deletes a document.
pub fn delete(tx: &Tx<'_>, collection: i64, id: &str) -> DatabaseResult<()> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM documents WHERE collection = ?1 AND id = ?2")?;
    delete.execute((collection, id.as_bytes()))?;
    Ok(())
}

/// Removes all expired rows of a collection. Returns whether there were any.
pub fn remove_expired_of(tx: &Tx<'_>, collection: i64) -> DatabaseResult<bool> {
    // With the plus, SQLite finds the rows by their expiration instead of reading the whole collection.
    let mut delete = tx.connection.prepare_cached("DELETE FROM documents WHERE expires <= ?2 AND +collection = ?1")?;
    Ok(delete.execute((collection, time::now()))? > 0)
}

/// Removes at most `most` expired rows of all keyspaces.
pub fn remove_expired(tx: &Tx<'_>, most: usize) -> DatabaseResult<usize> {
    let mut delete = tx
        .connection
        .prepare_cached("DELETE FROM documents WHERE number IN (SELECT number FROM documents WHERE expires <= ?1 LIMIT ?2)")?;
    Ok(delete.execute((time::now(), i64::try_from(most).unwrap_or(i64::MAX)))?)
}

/// Whether any row has expired.
pub fn any_expired(connection: &Connection) -> DatabaseResult<bool> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM documents WHERE expires <= ?1)")?;
    Ok(select.query_row([time::now()], |row| row.get(0))?)
}

/// Converts a number from the database, which is never negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
