//! Statements on the tables `list_waiters` and `waiting_gateways`.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};

use crate::{database::Database, error::DatabaseResult, writer::Tx};
use prism_call::Error;
use prism_driver::time;

/// How often a gateway with waiting calls renews its row.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How long the row of a gateway is valid. If a gateway crashes while calls wait, calls of other gateways wait for their turn until then.
const LEASE: Duration = Duration::from_secs(10);

/// A call in the table.
#[derive(Clone, Copy, Debug)]
pub struct CallId {
    /// When it came. A lower number has waited longer.
    pub number: i64,
    pub gateway: i64,
}

/// Adds a call that waits for lists.
pub fn add(tx: &Tx<'_>, keyspace: i64, keys: &[Bytes], CallId { number, gateway }: CallId) -> DatabaseResult<()> {
    renew_row(tx, gateway)?;
    let mut insert = tx.connection.prepare_cached("INSERT INTO list_waiters (keyspace, key, number, gateway) VALUES (?1, ?2, ?3, ?4)")?;
    for key in keys {
        insert.execute((keyspace, &key[..], number, gateway))?;
    }
    Ok(())
}

/// Removes a call.
pub fn remove(tx: &Tx<'_>, CallId { number, gateway }: CallId) -> DatabaseResult<()> {
    tx.connection.prepare_cached("DELETE FROM list_waiters WHERE gateway = ?1 AND number = ?2")?.execute((gateway, number))?;
    Ok(())
}

/// The first of some lists that has elements and for which no call of another gateway has waited longer than this one.
pub fn next_list(connection: &Connection, keyspace: i64, call: CallId, keys: &[Bytes]) -> DatabaseResult<Option<Bytes>> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM lists WHERE keyspace = ?1 AND key = ?2 AND NOT EXISTS (
             SELECT 1 FROM list_waiters AS w JOIN waiting_gateways AS g ON g.id = w.gateway AND g.expires > ?5
             WHERE w.keyspace = ?1 AND w.key = ?2 AND (w.number, w.gateway) < (?3, ?4) AND w.gateway <> ?4)",
    )?;
    let (now, CallId { number, gateway }) = (time::now(), call);
    for key in keys {
        if select.query_row((keyspace, &key[..], number, gateway, now), |_| Ok(())).optional()?.is_some() {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

fn renew_row(tx: &Tx<'_>, gateway: i64) -> DatabaseResult<()> {
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO waiting_gateways (id, expires) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET expires = excluded.expires",
    )?;
    upsert.execute((gateway, time::after(time::now(), LEASE)))?;
    Ok(())
}

/// Renews the row of this gateway if calls wait on it.
pub async fn renew(database: &Database) -> Result<(), Error> {
    if database.waiting_pops.any() {
        let gateway = database.gateway;
        database.writer.write(move |tx| renew_row(tx, gateway)).await?;
    }
    Ok(())
}

/// Removes the calls of this gateway, because it closes the database.
pub async fn end_waits(database: &Database) -> Result<(), Error> {
    if database.waiting_pops.any() {
        let gateway = database.gateway;
        let write = database.remove(move |tx| {
            tx.connection.prepare_cached("DELETE FROM list_waiters WHERE gateway = ?1")?.execute([gateway])?;
            tx.connection.prepare_cached("DELETE FROM waiting_gateways WHERE id = ?1")?.execute([gateway])?;
            Ok(())
        });
        write.await?;
    }
    Ok(())
}

/// Removes gateways that have not renewed their rows, and their calls.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    let any_expired = database.readers.quick(|connection| {
        let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM waiting_gateways WHERE expires <= ?1)")?;
        Ok(select.query_row([time::now()], |row| row.get::<_, bool>(0))?)
    });
    if any_expired.await? {
        let write = database.remove(|tx| {
            let now = time::now();
            let mut delete = tx
                .connection
                .prepare_cached("DELETE FROM list_waiters WHERE gateway IN (SELECT id FROM waiting_gateways WHERE expires <= ?1)")?;
            delete.execute([now])?;
            tx.connection.prepare_cached("DELETE FROM waiting_gateways WHERE expires <= ?1")?.execute([now])?;
            Ok(())
        });
        write.await?;
    }
    Ok(())
}
