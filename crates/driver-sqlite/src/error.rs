//! What SQLite says, as [`Error`].

use std::{path::Path, time::Duration};

use rusqlite::ErrorCode;

use prism_call::{Code, Error};

/// Maps an error of SQLite; for `map_err`.
pub fn sqlite_error(error: rusqlite::Error) -> Error {
    tell(&error).with_source(error)
}

/// The same for an error that several calls share.
pub fn tell(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::new(
            Code::ResourceExhausted,
            "BACKEND_FULL",
            "the database has no room left: its max_bytes or the disk is full; remove data, raise max_bytes or free some of the disk",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::backend_unavailable(
            "another process has locked the database file for longer than busy_timeout; try again later",
            Duration::from_secs(1),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::new(Code::DataLoss, "DATABASE_DAMAGED", "the database file is damaged; restore it from a backup")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
            Error::backend_unavailable(format!("the database file can't be read or written ({error})"), Duration::from_secs(5))
        }
        _ => Error::internal("SQLite refused a statement of this driver; the log has its words"),
    }
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend was closed, or closes.
pub fn closed() -> Error {
    Error::backend_unavailable("the database is closed because the gateway stops", Duration::from_secs(1))
}

/// A database that can't be opened: one sentence with the file, what is wrong and what helps.
pub fn opening(path: &Path, problem: &str) -> Error {
    Error::new(Code::FailedPrecondition, "DATABASE_UNUSABLE", format!("{}: {problem}", path.display()))
}

/// The sentence for what SQLite says while a file is opened.
pub fn cannot_open(path: &Path, error: rusqlite::Error) -> Error {
    let problem = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "is not a SQLite database; set path to another file, or move this one away".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => "is damaged; restore it from a backup, or move it away to begin anew".to_owned(),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "can't be opened or made; give the gateway's user the right to read and write the file and its folder".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "can't be written; give the gateway's user the right to write the file and its folder".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "is locked by another process for longer than busy_timeout; end that process, or raise busy_timeout".to_owned()
        }
        Some(ErrorCode::DiskFull) => "can't grow because the disk is full; free some of it".to_owned(),
        _ => format!("can't be opened: {error}"),
    };
    opening(path, &problem).with_source(error)
}
