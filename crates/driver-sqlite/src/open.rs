//! Opens the database file: checks that it belongs to Prism, sets its modes and runs migrations.

use std::{
    fs::{DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::DatabaseResult;
use crate::{
    error::{map_open_error, unusable_database},
    functions, schema,
    settings::{Durability, SqliteSettings},
};
use prism_call::Error;

/// Prepared statements that a connection caches; more than this driver has.
const CACHED_STATEMENTS: usize = 256;
/// Modes of a new folder and a new file: only the user of the gateway may read the data.
const PRIVATE_FOLDER: u32 = 0o700;
pub const PRIVATE_FILE: u32 = 0o600;
/// The pause between two attempts while another process has locked the file.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// Opens the connection that writes.
pub fn writer(settings: &SqliteSettings) -> DatabaseResult<Connection> {
    let path = &settings.path;
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder).map_err(|error| {
            unusable_database(
                path,
                &format!("the folder {} can't be created ({error}); create it, or set path to another folder", folder.display()),
            )
            .with_source(error)
        })?;
    }
    // SQLite gives its other files the mode of the database. If the file can't be created, SQLite says why.
    let _ = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| map_open_error(path, error))?;
    functions::register(&connection).map_err(|error| map_open_error(path, error))?;
    connection.busy_timeout(*settings.busy_timeout).map_err(|error| map_open_error(path, error))?;
    check_owner(&connection, path)?;
    // SQLite itself does not wait for the lock that a change of the journal mode needs.
    retry_while_busy(*settings.busy_timeout, || prepare(&mut connection, settings)).map_err(|error| map_open_error(path, error))?;
    Ok(connection)
}

/// Repeats an attempt while another process has locked the file, at most until the timeout.
pub fn retry_while_busy<T>(timeout: Duration, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(RETRY_PAUSE);
            }
            result => return result,
        }
    }
}

/// Opens a connection that only reads. By default it does not wait for locks, because it may run inside the async runtime.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    functions::register(&connection)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

/// Opens another connection that may write, to a file that is already open.
pub fn second_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    functions::register(&connection)?;
    // A connection that has never read does not know that there is a log, and its checkpoints would do nothing.
    schema::version(&connection)?;
    Ok(connection)
}

/// Refuses a file of another program or of a newer Prism.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), Error> {
    let read = || -> rusqlite::Result<(i32, usize, i64)> {
        // In one transaction: another process may be creating the tables now.
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

/// Sets the modes and limits of the connection that writes, and runs migrations.
fn prepare(connection: &mut Connection, settings: &SqliteSettings) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // The mode is stored in the file. Changing it needs a lock, so it is read first.
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    }
    let synchronous = match settings.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // The temporary journals of savepoints are small and short-lived.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Truncates a log that a burst of writes has made long.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    // Before max_bytes is set: a migration may temporarily need space for two copies of a table.
    schema::migrate(connection)?;
    if let Some(bytes) = settings.max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(*bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages.min(i64::from(u32::MAX - 1)), |_| Ok(()))?;
    }
    Ok(())
}
