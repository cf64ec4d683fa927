//! Histories of keyspaces: a trigger records the changes of those that are watched. It is enabled while there is a history.

use tokio_postgres::types::Type;

use crate::{database::Database, error, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::{
    id,
    watch::{HISTORY_BYTES, HISTORY_CHANGES, HISTORY_MILLIS},
};

/// Bounds the wait for writers, who wait behind it: to enable the trigger, and to disable it, which is tried again with the next sweep.
static ENABLE_TIMEOUT: Sql = Sql { text: "SET LOCAL lock_timeout = '3s'", types: &[] };
static DISABLE_TIMEOUT: Sql = Sql { text: "SET LOCAL lock_timeout = '100ms'", types: &[] };
static LOCK: Sql = Sql { text: "LOCK TABLE {schema}.histories IN SHARE ROW EXCLUSIVE MODE", types: &[] };
static ANY_LIVE: Sql = Sql { text: "SELECT EXISTS (SELECT 1 FROM {schema}.histories WHERE until > now())", types: &[] };
static ENABLE: Sql = Sql { text: "ALTER TABLE {schema}.entries ENABLE TRIGGER record_change", types: &[] };
static DISABLE: Sql = Sql { text: "ALTER TABLE {schema}.entries DISABLE TRIGGER record_change", types: &[] };

/// Starts a history, or lets it continue.
static START: Sql = Sql {
    text: "INSERT INTO {schema}.histories AS history (keyspace, epoch, until)
           VALUES ($1, $2, now() + $3 * interval '1 millisecond')
           ON CONFLICT (keyspace) DO UPDATE SET
               epoch = CASE WHEN history.until <= now() THEN excluded.epoch ELSE history.epoch END, until = excluded.until",
    types: &[Type::INT8, Type::INT8, Type::INT8],
};

/// Lets a history that has not ended continue.
static RENEW: Sql = Sql {
    text: "UPDATE {schema}.histories SET until = now() + $2 * interval '1 millisecond' WHERE keyspace = $1 AND until > now()
           RETURNING epoch",
    types: &[Type::INT8, Type::INT8],
};

/// Finds the history of a keyspace.
pub static FIND: Sql = Sql {
    text: "SELECT epoch, removed, until > now() + $2 * interval '1 millisecond' FROM {schema}.histories
           WHERE keyspace = $1 AND until > now()",
    types: &[Type::INT8, Type::INT8],
};

/// Removes the changes that are beyond the limits: a number of changes, and of bytes.
static SHORTEN: Sql = Sql {
    text: "WITH sized AS (
               SELECT changes.keyspace, position, sum(bytes) OVER newest AS total, row_number() OVER newest AS number
               FROM {schema}.changes JOIN {schema}.histories USING (keyspace)
               WINDOW newest AS (PARTITION BY changes.keyspace ORDER BY position DESC)),
           cut AS (
               SELECT keyspace, max(position) AS position FROM sized
               WHERE number > $1 OR (total > $2 AND number > 1) GROUP BY keyspace),
           gone AS (
               DELETE FROM {schema}.changes USING cut WHERE changes.keyspace = cut.keyspace AND changes.position <= cut.position)
           UPDATE {schema}.histories SET removed = greatest(removed, cut.position) FROM cut WHERE histories.keyspace = cut.keyspace",
    types: &[Type::INT8, Type::INT8],
};

/// Whether there are histories, and whether one of them has ended.
static ANY: Sql = Sql { text: "SELECT count(*) > 0, count(*) FILTER (WHERE until <= now()) > 0 FROM {schema}.histories", types: &[] };

/// Removes histories that have ended.
static REMOVE_ENDED: Sql = Sql {
    text: "WITH ended AS (DELETE FROM {schema}.histories WHERE until <= now() RETURNING keyspace)
           DELETE FROM {schema}.changes USING ended WHERE changes.keyspace = ended.keyspace",
    types: &[],
};

/// Finds the history of a keyspace and lets it continue, or starts one. Returns its epoch.
pub async fn start(database: &Database, context: &Context, keyspace: i64) -> Result<i64, Error> {
    let half = HISTORY_MILLIS / 2;
    let found = database.query_optional(context, &FIND, &[&keyspace, &half]).await?;
    if let Some(row) = found.filter(|row| row.get(2)) {
        return Ok(row.get(0));
    }
    if let Some(row) = database.query_optional(context, &RENEW, &[&keyspace, &HISTORY_MILLIS]).await? {
        return Ok(row.get(0));
    }
    let mut session = database.session(context).await?;
    let [_, _, live] = session.begin(None, [(&ENABLE_TIMEOUT, &[]), (&LOCK, &[]), (&ANY_LIVE, &[])]).await?;
    if !live.first().is_some_and(|row| row.get(0)) {
        session.query(&ENABLE, &[]).await?;
    }
    let epoch = id::random_number().cast_signed();
    session.commit([(&START, &[&keyspace, &epoch, &HISTORY_MILLIS])]).await?;
    let found = database.query_optional(context, &FIND, &[&keyspace, &half]).await?;
    found.map(|row| row.get(0)).ok_or_else(error::unexpected_reply)
}

/// Shortens histories, and removes those that have ended.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    let row = database.query_optional(context, &ANY, &[]).await?.ok_or_else(error::unexpected_reply)?;
    let (any, any_ended): (bool, bool) = (row.get(0), row.get(1));
    if !any {
        return Ok(());
    }
    let (changes, bytes) = (i64::try_from(HISTORY_CHANGES).unwrap_or(i64::MAX), i64::try_from(HISTORY_BYTES).unwrap_or(i64::MAX));
    database.query(context, &SHORTEN, &[&changes, &bytes]).await?;
    if !any_ended {
        return Ok(());
    }
    let mut session = database.session(context).await?;
    let [_, _, live] = session.begin(None, [(&DISABLE_TIMEOUT, &[]), (&LOCK, &[]), (&ANY_LIVE, &[])]).await?;
    if live.first().is_some_and(|row| row.get(0)) {
        return session.commit([(&REMOVE_ENDED, &[])]).await;
    }
    // In one transaction: the last history stays, and with it the next attempt, until the trigger is disabled.
    session.commit([(&REMOVE_ENDED, &[]), (&DISABLE, &[])]).await
}
