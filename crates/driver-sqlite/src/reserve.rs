//! Disk space that is kept for removals: on a full disk, a removal needs room in the write-ahead log before it frees any.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::open::PRIVATE_FILE;

/// Bytes of the file. The log of a removal of many keys has a few hundred pages.
const BYTES: usize = 1 << 20;

/// A file beside the database that only takes space.
pub struct Reserve {
    /// `None` for a database without a file.
    path: Option<PathBuf>,
}

impl Reserve {
    /// A reserve beside a database. It is created if there is room for it.
    pub fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-reserve");
        let reserve = Self { path: Some(name.into()) };
        reserve.restore();
        reserve
    }

    /// The reserve of a database without a file.
    pub fn none() -> Self {
        Self { path: None }
    }

    /// Frees the space. Returns false if there was none.
    pub fn release(&self) -> bool {
        self.path.as_ref().is_some_and(|path| fs::remove_file(path).is_ok())
    }

    /// Takes the space again, if there is room for it.
    pub fn restore(&self) {
        let Some(path) = self.path.as_ref().filter(|path| !path.exists()) else { return };
        if write(path).is_err() {
            // A part of it is of no use. Another attempt follows with the next health check.
            let _ = fs::remove_file(path);
        }
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    // Not zeros: some file systems would not store them.
    file.write_all(&vec![0xa5; BYTES])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_freed_and_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prism.db-reserve");
        let reserve = Reserve::beside(&folder.path().join("prism.db"));
        assert_eq!(fs::metadata(&file).unwrap().len(), 1 << 20);
        assert!(reserve.release() && !file.exists());
        assert!(!reserve.release());
        reserve.restore();
        assert!(file.exists());
        assert!(!Reserve::none().release());
    }
}
