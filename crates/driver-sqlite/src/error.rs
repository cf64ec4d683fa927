//! Maps errors of SQLite to [`Error`]. Nothing else in this driver does.

use std::{path::Path, time::Duration};

use rusqlite::{ErrorCode, types::FromSqlError};

use prism_call::{Code, Error};

/// The result of statements inside a read or a write of the database.
pub type DatabaseResult<T> = Result<T, DatabaseError>;

/// An [`Error`] that `?` makes of an error of SQLite too.
///
/// `Error` and `rusqlite::Error` both belong to other crates, so this crate can't convert the one into the other directly.
#[derive(Debug)]
pub struct DatabaseError(Error);

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self(map_sqlite_error(&error).with_source(error))
    }
}

impl From<FromSqlError> for DatabaseError {
    fn from(error: FromSqlError) -> Self {
        rusqlite::Error::from(error).into()
    }
}

impl From<Error> for DatabaseError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        error.0
    }
}

/// Maps an error of SQLite without keeping it as the source, so that several calls can get the same one.
pub fn map_sqlite_error(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::new(
            Code::ResourceExhausted,
            "BACKEND_FULL",
            "the database has no room left: its max_bytes or the disk is full; remove data, raise max_bytes or free disk space",
        )
        .with_retry_after(Duration::from_secs(5)),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::backend_unavailable(
            "another process has locked the database file for longer than busy_timeout; try again later",
            Duration::from_secs(1),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::backend_unavailable(
            "the database file can't be written; give the gateway's user the right to write the file and its folder",
            Duration::from_secs(5),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
            Error::backend_unavailable(format!("the database file can't be read or written ({error})"), Duration::from_secs(5))
        }
        _ => Error::internal("SQLite refused a statement of this driver; the log has the message of SQLite"),
    }
}

/// `DATA_LOSS DATABASE_DAMAGED`
pub fn damaged() -> Error {
    Error::new(Code::DataLoss, "DATABASE_DAMAGED", "the database file is damaged; restore it from a backup")
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend is closed or closing.
pub fn database_closed() -> Error {
    Error::backend_unavailable("the database is closed because the gateway is stopping", Duration::from_secs(1))
}

/// `FAILED_PRECONDITION DATABASE_UNUSABLE`: one sentence with the file, the problem and what to do.
pub fn unusable_database(path: &Path, problem: &str) -> Error {
    Error::new(Code::FailedPrecondition, "DATABASE_UNUSABLE", format!("{}: {problem}", path.display()))
}

/// Maps an error of SQLite that happened while a file was opened.
pub fn map_open_error(path: &Path, error: rusqlite::Error) -> Error {
    let problem = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "is not a SQLite database; set path to another file, or move this one away".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => "is damaged; restore it from a backup, or move it away to start with an empty one".to_owned(),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "can't be opened or created; give the gateway's user the right to read and write the file and its folder".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "can't be written; give the gateway's user the right to write the file and its folder".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "is locked by another process for longer than busy_timeout; end that process, or raise busy_timeout".to_owned()
        }
        Some(ErrorCode::DiskFull) => "can't grow because the disk is full; free disk space".to_owned(),
        _ => format!("can't be opened: {error}"),
    };
    unusable_database(path, &problem).with_source(error)
}
