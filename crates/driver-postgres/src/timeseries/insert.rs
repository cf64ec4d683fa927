//! Writes points.

use tokio_postgres::types::Type;

use super::TimeSeries;
use crate::{columns::unsigned, error, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::{
    attributes,
    time::Millis,
    timeseries::{Labels, NewPoints},
};

/// Series of which one statement writes points. PostgreSQL compares each point with each of them.
const SERIES_PER_STATEMENT: usize = 200;

/// Writes the points of some series (`$1` their names, `$2` their labels) that are not past their retention. `$3` has the number of the series of each point. The
/// rows of the series are locked in the order in which others lock them, and created if necessary. Returns how many points were written.
macro_rules! insert {
    ($on_conflict:literal) => {
        Sql {
            text: concat!(
                "WITH given AS MATERIALIZED (
                     SELECT number, name, labels, sha256(labels) AS digest FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS given (name, labels, number)),
                 wanted AS MATERIALIZED (
                     SELECT point.number, point.time, point.value
                     FROM unnest($3::bigint[], $4::bigint[], $5::double precision[]) AS point (number, time, value)
                     JOIN given ON given.number = point.number JOIN {schema}.series_names AS name ON name.id = given.name
                     WHERE name.max_age IS NULL OR point.time >= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - name.max_age),
                 opened AS (
                     INSERT INTO {schema}.series AS series (name, digest, labels, oldest)
                     SELECT given.name, given.digest, given.labels, min(wanted.time) FROM wanted JOIN given ON given.number = wanted.number
                     GROUP BY given.name, given.digest, given.labels ORDER BY given.name, given.digest
                     ON CONFLICT (name, digest) DO UPDATE SET oldest = least(series.oldest, excluded.oldest)
                     RETURNING id, name, digest),
                 written AS (
                     INSERT INTO {schema}.points (series, time, value)
                     SELECT opened.id, wanted.time, wanted.value FROM wanted JOIN given ON given.number = wanted.number
                     JOIN opened ON opened.name = given.name AND opened.digest = given.digest ORDER BY opened.id, wanted.time
                     ON CONFLICT (series, time) ",
                $on_conflict,
                " RETURNING 1)
                 SELECT count(*) FROM written"
            ),
            types: &[Type::INT8_ARRAY, Type::BYTEA_ARRAY, Type::INT8_ARRAY, Type::INT8_ARRAY, Type::FLOAT8_ARRAY],
        }
    };
}

static REPLACE: Sql = insert!("DO UPDATE SET value = excluded.value");
static KEEP: Sql = insert!("DO NOTHING");

/// The labels of a series as they are stored.
pub fn encode_labels(labels: &Labels) -> Vec<u8> {
    attributes::encode(labels.clone())
}

impl TimeSeries {
    /// Writes the points of some series. Returns how many were written.
    pub async fn insert_points(&self, context: &Context, series: &[NewPoints], keep: bool) -> Result<u64, Error> {
        let mut written = 0;
        for part in series.chunks(SERIES_PER_STATEMENT) {
            written += self.insert_part(context, part, keep).await?;
        }
        Ok(written)
    }

    async fn insert_part(&self, context: &Context, series: &[NewPoints], keep: bool) -> Result<u64, Error> {
        let mut names = Vec::with_capacity(series.len());
        for new in series {
            names.push(self.open_name(context, &new.name).await?);
        }
        let labels: Vec<Vec<u8>> = series.iter().map(|new| encode_labels(&new.labels)).collect();
        let (mut numbers, mut times, mut values): (Vec<i64>, Vec<Millis>, Vec<f64>) = (Vec::new(), Vec::new(), Vec::new());
        for (number, new) in (1..).zip(series) {
            for (time, value) in &new.points {
                numbers.push(number);
                times.push(*time);
                values.push(*value);
            }
        }
        let statement = if keep { &KEEP } else { &REPLACE };
        let row = self.keyspace.database.query_optional(context, statement, &[&names, &labels, &numbers, &times, &values]).await?;
        Ok(unsigned(row.ok_or_else(error::unexpected_reply)?.get(0)))
    }
}
