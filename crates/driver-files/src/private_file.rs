//! Files that only their owner may read.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _};

/// Options for reading and writing a file that only its owner may read.
pub fn open_private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Treats a missing file as success.
pub fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
