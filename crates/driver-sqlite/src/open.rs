//! Opens the file: checks that it is ours, sets the modes and brings the tables up to date.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    error::{map_open_error, unusable_database},
    schema,
    settings::{Durability, Settings},
};
use crate::error::DatabaseResult;
use prism_call::Error;

/// Statements that a connection keeps prepared; more than this driver has.
const PREPARED: usize = 96;
/// Between two tries, while another process is in the way.
const PAUSE: Duration = Duration::from_millis(2);

/// The connection that writes.
pub fn writer(settings: &Settings) -> DatabaseResult<Connection> {
    let path = &settings.path;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| {
            unusable_database(
                path,
                &format!("the folder {} can't be made ({error}); make it, or set path to another place", folder.display()),
            )
            .with_source(error)
        })?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| map_open_error(path, error))?;
    connection.busy_timeout(*settings.busy_timeout).map_err(|error| map_open_error(path, error))?;
    ours(&connection, path)?;
    // SQLite itself does not wait for the lock that a change of the journal's mode needs.
    patiently(*settings.busy_timeout, || prepare(&mut connection, settings)).map_err(|error| map_open_error(path, error))?;
    Ok(connection)
}

/// Tries again while another process is in the way, for so long at most.
pub fn patiently<T>(timeout: Duration, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let until = Instant::now() + timeout;
    loop {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// A connection that only reads. It does not wait for locks unless it is told to: it may run inside the async runtime.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// A connection that may write, to a file that is open already.
pub fn second_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // A connection that never read does not know that there is a log, and would move nothing.
    schema::version(&connection)?;
    Ok(connection)
}

/// Refuses a file of another program, and one of a newer Prism.
fn ours(connection: &Connection, path: &Path) -> Result<(), Error> {
    let read = || -> rusqlite::Result<(i32, usize, i64)> {
        // In one look: another process may be making the tables at this very moment.
        let snapshot = connection.unchecked_transaction()?;
        let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let version = schema::version(connection)?;
        snapshot.finish()?;
        Ok((application, version, tables))
    };
    let (application, version, tables) = read().map_err(|error| map_open_error(path, error))?;
    if application != schema::APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
        return Err(unusable_database(path, "is a SQLite database of another program; set path to another file"));
    }
    if version > schema::latest() {
        let problem = format!(
            "was written by a newer Prism (its tables have version {version}, this build knows {}); use that Prism or a newer one",
            schema::latest()
        );
        return Err(unusable_database(path, &problem));
    }
    Ok(())
}

fn prepare(connection: &mut Connection, settings: &Settings) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // The mode is a property of the file: changing it needs a lock, so look first.
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    }
    let synchronous = match settings.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Journals of savepoints are small and short-lived.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A log that a burst of writes has made long is cut again.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    // Before the bound: for a moment a migration may need room for a table twice.
    schema::migrate(connection)?;
    if let Some(bytes) = settings.max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages.min(i64::from(u32::MAX - 1)), |_| Ok(()))?;
    }
    Ok(())
}
