//! Statements on the table `series_names`.

use rusqlite::{Connection, OptionalExtension as _};

use crate::{error::DatabaseResult, writer::Tx};
use prism_driver::{
    time::{self, Millis},
    timeseries::Span,
};

/// A row of the table `series_names`.
#[derive(Clone, Copy, Debug)]
pub struct SeriesName {
    pub id: i64,
    /// Greatest age of points; `None` = they live forever.
    pub max_age: Option<Millis>,
}

/// Finds a name; `None` if it has neither series nor retention.
pub fn find(connection: &Connection, keyspace: i64, name: &str) -> DatabaseResult<Option<SeriesName>> {
    let mut select = connection.prepare_cached("SELECT id, max_age FROM series_names WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((keyspace, name), |row| Ok(SeriesName { id: row.get(0)?, max_age: row.get(1)? })).optional()?)
}

/// Finds a name, and creates it if necessary.
pub fn open(tx: &Tx<'_>, keyspace: i64, name: &str) -> DatabaseResult<SeriesName> {
    if let Some(found) = find(tx.connection, keyspace, name)? {
        return Ok(found);
    }
    let mut insert = tx.connection.prepare_cached("INSERT INTO series_names (keyspace, name) VALUES (?1, ?2) RETURNING id")?;
    Ok(SeriesName { id: insert.query_row((keyspace, name), |row| row.get(0))?, max_age: None })
}

impl SeriesName {
    /// The time of the oldest point that can be found.
    pub fn oldest(&self) -> Millis {
        self.max_age.map_or(Millis::MIN, |age| time::now().saturating_sub(age))
    }

    /// The part of a span whose points can be found.
    pub fn visible(&self, span: Span) -> Span {
        Span { start: span.start.max(self.oldest()), end: span.end }
    }
}
