//! `timeseries_retention`. Points that are too old are not found any more, and the sweeper removes them.

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::TimeSeries;
use crate::{columns::unsigned, database::Database, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::timeseries::v1::{CompactRequest, CompactResponse, SetRetentionRequest, SetRetentionResponse, TimeSeriesRetention},
};
use prism_driver::{
    time,
    timeseries::{check_name, check_optional_name, max_age},
};

/// Series of which one transaction removes points.
const SERIES_PER_TRANSACTION: i64 = 200;

/// Sets the greatest age, and returns the former one.
static SET: Sql = Sql {
    text: "UPDATE {schema}.series_names AS name SET max_age = $2
           FROM (SELECT id, max_age FROM {schema}.series_names WHERE id = $1 FOR UPDATE) AS former WHERE name.id = former.id RETURNING former.max_age",
    types: &[Type::INT8, Type::INT8],
};

/// Locks series with points that are too old, in the order in which insertions lock them. Parameters: the keyspace and the name, or NULL for all.
macro_rules! lock {
    ($lock:literal) => {
        Sql {
            text: concat!(
                "WITH aging AS MATERIALIZED (
                     SELECT id, (extract(epoch FROM statement_timestamp()) * 1000)::bigint - max_age AS before FROM {schema}.series_names
                     WHERE max_age IS NOT NULL AND ($1::bigint IS NULL OR keyspace = $1) AND ($2::bytea IS NULL OR name = $2)),
                 due AS MATERIALIZED (
                     SELECT found.id, aging.before FROM aging CROSS JOIN LATERAL (
                         SELECT id FROM {schema}.series WHERE series.name = aging.id AND series.oldest < aging.before ORDER BY oldest LIMIT $3) AS found
                     LIMIT $3)
                 SELECT series.id, due.before FROM due JOIN {schema}.series AS series ON series.id = due.id
                 ORDER BY series.name, series.digest FOR UPDATE OF series",
                $lock
            ),
            types: &[Type::INT8, Type::BYTEA, Type::INT8],
        }
    };
}

static LOCK: Sql = lock!("");
static LOCK_FREE: Sql = lock!(" SKIP LOCKED");

/// Removes points of series (`$1`) before some times (`$2`), the oldest first, at most 5,000.
static REMOVE_POINTS: Sql = Sql {
    text: "WITH old AS MATERIALIZED (
               SELECT old.series, old.time FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, before) CROSS JOIN LATERAL (
                   SELECT series, time FROM {schema}.points WHERE series = wanted.id AND time < wanted.before ORDER BY time LIMIT 5000) AS old
               LIMIT 5000),
           removed AS (
               DELETE FROM {schema}.points AS point USING old WHERE point.series = old.series AND point.time = old.time RETURNING 1)
           SELECT count(*) FROM removed",
    types: &[Type::INT8_ARRAY, Type::INT8_ARRAY],
};

/// Removes those of some series that have no points.
static REMOVE_SERIES: Sql = Sql {
    text: "WITH removed AS (
               DELETE FROM {schema}.series AS series WHERE id = ANY ($1)
                   AND NOT EXISTS (SELECT 1 FROM {schema}.points WHERE points.series = series.id) RETURNING 1)
           SELECT count(*) FROM removed",
    types: &[Type::INT8_ARRAY],
};

/// Writes the times of the oldest points of some series.
static UPDATE_OLDEST: Sql = Sql {
    text:
        "UPDATE {schema}.series AS series SET oldest = first.time FROM unnest($1::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
               SELECT time FROM {schema}.points WHERE points.series = wanted.id ORDER BY time LIMIT 1) AS first WHERE series.id = wanted.id",
    types: &[Type::INT8_ARRAY],
};

/// What was removed.
#[derive(Clone, Copy, Default)]
struct Removed {
    points: u64,
    series: u64,
}

/// Removes points that are past their retention, in one transaction. Returns `None` if there are none.
async fn compact_step(
    database: &Database,
    context: &Context,
    lock: &'static Sql,
    keyspace: Option<i64>,
    name: Option<&[u8]>,
) -> Result<Option<Removed>, Error> {
    let mut session = database.session(context).await?;
    let [rows] = session.begin(None, [(lock, &[&keyspace, &name, &SERIES_PER_TRANSACTION])]).await?;
    if rows.is_empty() {
        session.roll_back().await?;
        return Ok(None);
    }
    let (ids, before): (Vec<i64>, Vec<i64>) = rows.iter().map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1))).unzip();
    // These statements begin when the series are locked, so they see all points of other transactions.
    let points = session.query(&REMOVE_POINTS, &[&ids, &before]).await?;
    let series = session.query(&REMOVE_SERIES, &[&ids]).await?;
    session.commit([(&UPDATE_OLDEST, &[&ids])]).await?;
    let count = |rows: &[tokio_postgres::Row]| rows.first().map_or(0, |row| unsigned(row.get(0)));
    Ok(Some(Removed { points: count(&points), series: count(&series) }))
}

/// Removes points of all keyspaces that are past their retention, except those of series that another transaction uses now.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    while compact_step(database, context, &LOCK_FREE, None, None).await?.is_some() {}
    Ok(())
}

#[async_trait]
impl TimeSeriesRetention for TimeSeries {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check_name("name", &request.name)?;
        let max_age = max_age(request.max_age.as_ref())?;
        let name = match max_age {
            Some(_) => self.open_name(context, &request.name).await?,
            None => match self.find_name(context, &request.name).await? {
                Some(name) => name,
                None => return Ok(SetRetentionResponse::default()),
            },
        };
        let row = self.keyspace.database.query_optional(context, &SET, &[&name, &max_age]).await?;
        Ok(SetRetentionResponse { previous_max_age: row.and_then(|row| row.get::<_, Option<i64>>(0)).map(time::duration) })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check_optional_name("name", &request.name)?;
        let keyspace = self.keyspace.id(context).await?;
        let name = (!request.name.is_empty()).then_some(request.name.as_bytes());
        let mut all = Removed::default();
        while let Some(removed) = compact_step(&self.keyspace.database, context, &LOCK, Some(keyspace), name).await? {
            all.points += removed.points;
            all.series += removed.series;
        }
        Ok(CompactResponse { points_removed: Some(all.points), series_removed: Some(all.series) })
    }
}
