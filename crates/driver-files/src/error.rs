//! Maps errors of the file system to [`Error`]. Nothing else in this driver does.

use std::{io, path::Path, time::Duration};

use prism_call::{Code, Error};

/// Maps an error of a read or a write.
pub fn map_io_error(error: io::Error) -> Error {
    use io::ErrorKind;
    let mapped = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::new(Code::ResourceExhausted, "BACKEND_FULL", "the disk of the folder is full; remove blobs or free disk space")
        }
        ErrorKind::FileTooLarge => {
            Error::invalid("chunk", "the content is larger than the file system allows").with_reason("VALUE_TOO_LARGE")
        }
        _ => Error::backend_unavailable(format!("the folder of the blobs can't be read or written ({error})"), Duration::from_secs(5)),
    };
    mapped.with_source(error)
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: another process has locked a key for too long.
pub fn key_locked() -> Error {
    Error::backend_unavailable("another process has locked the key for more than five seconds; try again later", Duration::from_secs(1))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend is closed or closing.
pub fn folder_closed() -> Error {
    Error::backend_unavailable("the folder of the blobs is closed because the gateway is stopping", Duration::from_secs(1))
}

/// `DATA_LOSS BLOB_DAMAGED`: a file is not as this driver writes it.
pub fn damaged_blob(path: &Path) -> Error {
    let message = "the file of the blob is damaged; restore it from a backup, or store the blob again";
    Error::new(Code::DataLoss, "BLOB_DAMAGED", message).with_source(format!("{}", path.display()))
}

/// `FAILED_PRECONDITION FOLDER_UNUSABLE`: one sentence with the folder, the problem and what to do.
pub fn unusable_folder(path: &Path, problem: &str) -> Error {
    Error::new(Code::FailedPrecondition, "FOLDER_UNUSABLE", format!("{}: {problem}", path.display()))
}
