//! `timeseries_retention`. Points that are too old are not found any more, and the sweeper removes them.

use async_trait::async_trait;

use super::{TimeSeries, names};
use crate::{database::Database, error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::timeseries::v1::{CompactRequest, CompactResponse, SetRetentionRequest, SetRetentionResponse, TimeSeriesRetention},
};
use prism_driver::{
    time::{self, Millis},
    timeseries::{check_name, check_optional_name, max_age},
};

/// Points that one write removes. The number is limited so that other writes don't wait long.
const POINTS_PER_WRITE: i64 = 5000;
/// Series of which one write removes points.
const SERIES_PER_WRITE: i64 = 500;

/// Which names to compact.
#[derive(Clone)]
enum Scope {
    Database,
    Keyspace,
    Name(String),
}

/// What was removed.
#[derive(Clone, Copy, Default)]
struct Removed {
    points: u64,
    series: u64,
}

/// Removes points that are past their retention, at most [`POINTS_PER_WRITE`] of each series and in all about as many. Returns `None` if there are none.
fn compact_step(tx: &Tx<'_>, keyspace: i64, scope: &Scope) -> DatabaseResult<Option<Removed>> {
    let (keyspace, name) = match scope {
        Scope::Database => (None, None),
        Scope::Keyspace => (Some(keyspace), None),
        Scope::Name(name) => (Some(keyspace), Some(name)),
    };
    let mut select = tx.connection.prepare_cached(
        "SELECT s.id, ?1 - n.max_age FROM series_names AS n JOIN series AS s ON s.name = n.id AND s.oldest < ?1 - n.max_age
         WHERE n.max_age IS NOT NULL AND (?2 IS NULL OR n.keyspace = ?2) AND (?3 IS NULL OR n.name = ?3) LIMIT ?4",
    )?;
    let found = select.query_map((time::now(), keyspace, name, SERIES_PER_WRITE), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<Result<Vec<(i64, Millis)>, _>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    let (mut removed, mut room) = (Removed::default(), POINTS_PER_WRITE);
    for (series, oldest) in found {
        let points = remove_points(tx, series, oldest, room)?;
        removed.points += points.unsigned_abs();
        removed.series += u64::from(update_oldest(tx, series)?);
        room -= points;
        if room <= 0 {
            break;
        }
    }
    Ok(Some(removed))
}

/// Removes at most `most` points of a series before a time, the oldest first. Returns how many.
fn remove_points(tx: &Tx<'_>, series: i64, before: Millis, most: i64) -> DatabaseResult<i64> {
    let mut delete = tx.connection.prepare_cached(
        "DELETE FROM points WHERE series = ?1 AND time < ?2
         AND time <= coalesce((SELECT time FROM points WHERE series = ?1 AND time < ?2 ORDER BY time LIMIT 1 OFFSET ?3 - 1), ?2)",
    )?;
    Ok(i64::try_from(delete.execute((series, before, most))?).unwrap_or(i64::MAX))
}

/// Writes the time of the oldest point of a series, or removes a series without points. Returns whether it is gone.
fn update_oldest(tx: &Tx<'_>, series: i64) -> DatabaseResult<bool> {
    let mut select = tx.connection.prepare_cached("SELECT min(time) FROM points WHERE series = ?1")?;
    let oldest: Option<Millis> = select.query_row([series], |row| row.get(0))?;
    match oldest {
        Some(oldest) => tx.connection.prepare_cached("UPDATE series SET oldest = ?2 WHERE id = ?1")?.execute((series, oldest))?,
        None => tx.connection.prepare_cached("DELETE FROM series WHERE id = ?1")?.execute([series])?,
    };
    Ok(oldest.is_none())
}

/// Removes points of all keyspaces that are past their retention.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    let any = database.readers.quick(|connection| {
        let mut select = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM series_names AS n JOIN series AS s ON s.name = n.id AND s.oldest < ?1 - n.max_age
             WHERE n.max_age IS NOT NULL)",
        )?;
        Ok(select.query_row([time::now()], |row| row.get::<_, bool>(0))?)
    });
    if any.await? {
        while database.remove(|tx| compact_step(tx, 0, &Scope::Database)).await?.is_some() {}
    }
    Ok(())
}

#[async_trait]
impl TimeSeriesRetention for TimeSeries {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check_name("name", &request.name)?;
        let max_age = max_age(request.max_age.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let former = names::find(tx.connection, keyspace, &request.name)?;
            if former.is_none() && max_age.is_none() {
                return Ok(None);
            }
            let name = names::open(tx, keyspace, &request.name)?;
            tx.connection.prepare_cached("UPDATE series_names SET max_age = ?2 WHERE id = ?1")?.execute((name.id, max_age))?;
            if max_age.is_none() {
                let mut delete = tx
                    .connection
                    .prepare_cached("DELETE FROM series_names WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM series WHERE name = ?1)")?;
                delete.execute([name.id])?;
            }
            Ok(former.and_then(|former| former.max_age))
        });
        Ok(SetRetentionResponse { previous_max_age: write.await?.map(time::duration) })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check_optional_name("name", &request.name)?;
        let scope = if request.name.is_empty() { Scope::Keyspace } else { Scope::Name(request.name) };
        let mut all = Removed::default();
        loop {
            let scope = scope.clone();
            let Some(removed) = self.keyspace.remove(move |tx, keyspace| compact_step(tx, keyspace, &scope)).await? else { break };
            all.points += removed.points;
            all.series += removed.series;
        }
        Ok(CompactResponse { points_removed: Some(all.points), series_removed: Some(all.series) })
    }
}
