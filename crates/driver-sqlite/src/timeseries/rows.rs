//! Statements on the tables `series` and `points`.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::names::{self, SeriesName};
use crate::{error::DatabaseResult, writer::Tx};
use prism_driver::{
    attributes,
    range::next_after,
    time::Millis,
    timeseries::{Labels, NewPoints, Span, selector::Selector},
};

/// A row of the table `series`.
pub struct StoredSeries {
    pub id: i64,
    pub labels: Labels,
}

/// The labels of a series as they are stored.
pub fn encode_labels(labels: &Labels) -> Vec<u8> {
    attributes::encode(labels.clone())
}

/// Where in the series of a name to begin.
#[derive(Clone, Debug)]
pub enum SeriesStart {
    First,
    /// With the series that has these encoded labels.
    At(Vec<u8>),
    /// After the series that has these encoded labels.
    After(Vec<u8>),
}

/// Calls `visit` with the series of a selector in the order of their encoded labels, until it returns false or `most` series of the name were
/// looked at. Returns the encoded labels of the last one that was looked at, or `None` if there are no more.
pub fn visit_series(
    connection: &Connection,
    name: SeriesName,
    selector: &Selector,
    start: &SeriesStart,
    most: usize,
    mut visit: impl FnMut(StoredSeries, &[u8]) -> DatabaseResult<bool>,
) -> DatabaseResult<Option<Vec<u8>>> {
    let start = match start {
        SeriesStart::First => Vec::new(),
        SeriesStart::At(labels) => labels.clone(),
        SeriesStart::After(labels) => next_after(labels),
    };
    let mut select = connection.prepare_cached("SELECT id, labels FROM series WHERE name = ?1 AND labels >= ?2 ORDER BY labels")?;
    let mut rows = select.query((name.id, start))?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let encoded = row.get_ref(1)?.as_blob()?;
        let series = StoredSeries { id: row.get(0)?, labels: attributes::decode(encoded)? };
        seen += 1;
        if (selector.matches(&series.labels) && !visit(series, encoded)?) || seen >= most {
            return Ok(Some(encoded.to_vec()));
        }
    }
    Ok(None)
}

/// Calls `visit` with the points of a series in the order of time, or the other way round, until it returns false.
pub fn visit_points(
    connection: &Connection,
    series: i64,
    span: Span,
    reverse: bool,
    mut visit: impl FnMut(Millis, f64) -> bool,
) -> DatabaseResult<()> {
    let statement = if reverse {
        "SELECT time, value FROM points WHERE series = ?1 AND time >= ?2 AND time < ?3 ORDER BY time DESC"
    } else {
        "SELECT time, value FROM points WHERE series = ?1 AND time >= ?2 AND time < ?3 ORDER BY time"
    };
    let mut select = connection.prepare_cached(statement)?;
    let mut rows = select.query((series, span.start, span.end))?;
    while let Some(row) = rows.next()? {
        if !visit(row.get(0)?, row.get(1)?) {
            break;
        }
    }
    Ok(())
}

/// The time of the first point of a series in a span.
pub fn first_time(connection: &Connection, series: i64, span: Span) -> DatabaseResult<Option<Millis>> {
    let mut first = None;
    visit_points(connection, series, span, false, |time, _| {
        first = Some(time);
        false
    })?;
    Ok(first)
}

/// The last point of a series up to a time, but not before `oldest`.
pub fn point_before(connection: &Connection, series: i64, oldest: Millis, time: Millis) -> DatabaseResult<Option<(Millis, f64)>> {
    let mut select = connection
        .prepare_cached("SELECT time, value FROM points WHERE series = ?1 AND time >= ?2 AND time <= ?3 ORDER BY time DESC LIMIT 1")?;
    Ok(select.query_row((series, oldest, time), pair).optional()?)
}

/// The first point of a series after a time.
pub fn point_after(connection: &Connection, series: i64, time: Millis) -> DatabaseResult<Option<(Millis, f64)>> {
    let mut select = connection.prepare_cached("SELECT time, value FROM points WHERE series = ?1 AND time > ?2 ORDER BY time LIMIT 1")?;
    Ok(select.query_row((series, time), pair).optional()?)
}

fn pair(row: &Row<'_>) -> rusqlite::Result<(Millis, f64)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The id of a series that gets a point with this time. The series is created if necessary.
fn open_series(tx: &Tx<'_>, name: SeriesName, labels: &Labels, time: Millis) -> DatabaseResult<i64> {
    let labels = encode_labels(labels);
    let mut select = tx.connection.prepare_cached("SELECT id, oldest FROM series WHERE name = ?1 AND labels = ?2")?;
    let found: Option<(i64, Millis)> = select.query_row((name.id, &labels), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((series, oldest)) = found else {
        let mut insert = tx.connection.prepare_cached("INSERT INTO series (name, labels, oldest) VALUES (?1, ?2, ?3) RETURNING id")?;
        return Ok(insert.query_row((name.id, labels, time), |row| row.get(0))?);
    };
    if time < oldest {
        tx.connection.prepare_cached("UPDATE series SET oldest = ?2 WHERE id = ?1")?.execute((series, time))?;
    }
    Ok(series)
}

/// Writes the points of a series. Returns how many were written and how many were passed over.
pub fn insert(tx: &Tx<'_>, keyspace: i64, new: &NewPoints, keep: bool) -> DatabaseResult<(u64, u64)> {
    let found = names::find(tx.connection, keyspace, &new.name)?;
    let oldest = found.map_or(Millis::MIN, |name| name.oldest());
    let points = || new.points.range(oldest..);
    let Some((first, _)) = points().next() else { return Ok((0, new.points.len() as u64)) };
    let name = found.map_or_else(|| names::open(tx, keyspace, &new.name), Ok)?;
    let series = open_series(tx, name, &new.labels, *first)?;
    let mut insert = tx.connection.prepare_cached(if keep {
        "INSERT INTO points (series, time, value) VALUES (?1, ?2, ?3) ON CONFLICT (series, time) DO NOTHING"
    } else {
        "INSERT INTO points (series, time, value) VALUES (?1, ?2, ?3) ON CONFLICT (series, time) DO UPDATE SET value = excluded.value"
    })?;
    let mut written = 0;
    for (time, value) in points() {
        written += insert.execute((series, time, value))? as u64;
    }
    Ok((written, new.points.len() as u64 - written))
}
