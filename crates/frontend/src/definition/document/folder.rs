//! The folders whose files a document may refer to.

use std::path::{Path, PathBuf};

use crate::definition::embedded::{beside, read};

/// Maximum number of files of a document.
pub const MAX_FILES: usize = 4_000;
/// Maximum size of all files of a document together, in bytes.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;

/// The folders whose files a document may refer to: its own and that of the definition. Files outside of them are not read.
#[derive(Clone, Debug, Default)]
pub struct DocumentFolders(Vec<PathBuf>);

impl DocumentFolders {
    /// Returns the folders of some files.
    pub fn of_files(files: &[&str]) -> Self {
        let folder = |file: &&str| {
            let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            folder.canonicalize().ok()
        };
        Self(files.iter().filter_map(folder).collect())
    }

    /// Returns the name of a file that another file names by a relative path.
    pub fn name(file: &str, path: &str) -> String {
        beside(file, path)
    }

    /// Reads a file, or returns why it can't be read.
    pub fn read(&self, name: &str) -> Result<String, String> {
        if self.0.is_empty() {
            return Err("a document without a folder can't refer to files".to_owned());
        }
        // Links are resolved, so that they don't lead out of the folders.
        let path = Path::new(name).canonicalize().map_err(|error| error.to_string())?;
        if !self.0.iter().any(|folder| path.starts_with(folder)) {
            return Err("it is outside of the folder of the document".to_owned());
        }
        read(&path.to_string_lossy())
    }
}
