//! Histories of keyspaces: a trigger records the changes of those that are watched. It is enabled while there is a history.

use tokio_postgres::types::Type;

use crate::{database::Database, error, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::{id, watch::HISTORY_MILLIS};

/// Bounds the wait for writers, who wait behind it.
static LOCK_TIMEOUT: Sql = Sql { text: "SET LOCAL lock_timeout = '3s'", types: &[] };
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
           RETURNING epoch, removed",
    types: &[Type::INT8, Type::INT8],
};

/// Finds the history of a keyspace.
pub static FIND: Sql = Sql {
    text: "SELECT epoch, removed, until > now() + $2 * interval '1 millisecond' FROM {schema}.histories
           WHERE keyspace = $1 AND until > now()",
    types: &[Type::INT8, Type::INT8],
};

/// Removes the changes that are beyond the limits: 10,000 changes, and 64 MiB.
static SHORTEN: Sql = Sql {
    text: "WITH sized AS (
               SELECT changes.keyspace, position, sum(bytes) OVER newest AS total, row_number() OVER newest AS number
               FROM {schema}.changes JOIN {schema}.histories USING (keyspace)
               WINDOW newest AS (PARTITION BY changes.keyspace ORDER BY position DESC)),
           cut AS (
               SELECT keyspace, max(position) AS position FROM sized
               WHERE number > 10000 OR (total > 67108864 AND number > 1) GROUP BY keyspace),
           gone AS (
               DELETE FROM {schema}.changes USING cut WHERE changes.keyspace = cut.keyspace AND changes.position <= cut.position)
           UPDATE {schema}.histories SET removed = greatest(removed, cut.position) FROM cut WHERE histories.keyspace = cut.keyspace",
    types: &[],
};

static ANY: Sql = Sql { text: "SELECT 1 FROM {schema}.histories LIMIT 1", types: &[] };

/// Removes histories that have ended. Returns how many, and whether others are left.
static REMOVE_ENDED: Sql = Sql {
    text: "WITH ended AS (DELETE FROM {schema}.histories WHERE until <= now() RETURNING keyspace),
           gone AS (DELETE FROM {schema}.changes USING ended WHERE changes.keyspace = ended.keyspace)
           SELECT (SELECT count(*) FROM ended), EXISTS (SELECT 1 FROM {schema}.histories WHERE until > now())",
    types: &[],
};

/// What a history is.
pub struct History {
    pub epoch: i64,
}

/// Finds the history of a keyspace and lets it continue, or starts one.
pub async fn start(database: &Database, context: &Context, keyspace: i64) -> Result<History, Error> {
    let half = HISTORY_MILLIS / 2;
    let found = database.query_optional(context, &FIND, &[&keyspace, &half]).await?;
    if let Some(row) = found.filter(|row| row.get(2)) {
        return Ok(History { epoch: row.get(0) });
    }
    if let Some(row) = database.query_optional(context, &RENEW, &[&keyspace, &HISTORY_MILLIS]).await? {
        return Ok(History { epoch: row.get(0) });
    }
    let mut session = database.session(context).await?;
    let [_, _, live] = session.begin(None, [(&LOCK_TIMEOUT, &[]), (&LOCK, &[]), (&ANY_LIVE, &[])]).await?;
    if !live.first().is_some_and(|row| row.get(0)) {
        session.query(&ENABLE, &[]).await?;
    }
    let epoch = id::random_number().cast_signed();
    session.commit([(&START, &[&keyspace, &epoch, &HISTORY_MILLIS])]).await?;
    let found = database.query_optional(context, &FIND, &[&keyspace, &half]).await?;
    found.map(|row| History { epoch: row.get(0) }).ok_or_else(error::unexpected_reply)
}

/// Shortens histories, and removes those that have ended.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    if database.query_optional(context, &ANY, &[]).await?.is_none() {
        return Ok(());
    }
    database.query(context, &SHORTEN, &[]).await?;
    let row = database.query_optional(context, &REMOVE_ENDED, &[]).await?.ok_or_else(error::unexpected_reply)?;
    let (ended, live): (i64, bool) = (row.get(0), row.get(1));
    if ended == 0 || live {
        return Ok(());
    }
    let mut session = database.session(context).await?;
    let [_, _, live] = session.begin(None, [(&LOCK_TIMEOUT, &[]), (&LOCK, &[]), (&ANY_LIVE, &[])]).await?;
    if live.first().is_some_and(|row| row.get(0)) {
        return session.commit([]).await;
    }
    session.commit([(&DISABLE, &[])]).await
}
