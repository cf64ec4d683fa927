//! The folder of a backend, and work on it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Semaphore;

use crate::{
    error::{folder_closed, map_io_error, unusable_folder},
    key_lock::KeyLocks,
    name,
    private_file::{ignore_missing, open_private},
    settings::{Durability, FilesSettings},
};
use prism_call::Error;
use prism_driver::{Keyspace, Limits};

/// Most threads that work on one folder at the same time. So a disk that does not respond takes no more threads of the gateway.
const PARALLEL: usize = 32;

/// Content of the file `format`.
const FORMAT: &str = "prism files 1\n";

/// Greatest sizes that this driver accepts.
pub const LIMITS: Limits = Limits { max_key_bytes: 1024, max_value_bytes: 5 << 40, max_batch_items: 1000 };

/// An open folder.
pub struct Folder {
    root: PathBuf,
    durability: Durability,
    permits: Arc<Semaphore>,
    closed: AtomicBool,
    pub locks: KeyLocks,
}

impl Folder {
    /// Describes a folder without touching it.
    pub fn new(settings: &FilesSettings) -> Self {
        Self {
            root: settings.path.clone(),
            durability: settings.durability,
            permits: Arc::new(Semaphore::new(PARALLEL)),
            closed: AtomicBool::new(false),
            locks: KeyLocks::new(settings.path.join("locks")),
        }
    }

    /// Opens the folder or creates it. Blocks the thread.
    pub fn open(settings: &FilesSettings) -> Result<Self, Error> {
        let folder = Self::new(settings);
        let root = &folder.root;
        let failed = |error: io::Error| unusable_folder(root, &format!("can't be opened or created: {error}")).with_source(error);
        let existed = root.is_dir();
        create_private(root).map_err(failed)?;
        let format = root.join("format");
        match fs::read_to_string(&format) {
            Ok(known) if known == FORMAT => {}
            Ok(_) => return Err(unusable_folder(root, "was written by another version of Prism; use that version, or another folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut present = fs::read_dir(root).map_err(failed)?.filter_map(Result::ok);
                if existed && present.any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"format.")) {
                    return Err(unusable_folder(root, "is not empty, and was not made by Prism; set path to another folder"));
                }
                write_format(root, &format).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        for part in ["data", "uploads", "locks"] {
            create_private(&root.join(part)).map_err(failed)?;
        }
        sync_folder(root).map_err(failed)?;
        folder.locks.lock("").map_err(|error| unusable_folder(root, "does not support locks of files").with_source(error))?;
        Ok(folder)
    }

    /// Runs work that blocks its thread.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        if self.closed.load(Ordering::Relaxed) {
            return Err(folder_closed());
        }
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| folder_closed())?;
        let work = tokio::task::spawn_blocking(move || {
            // The permit lasts as long as the thread works, even if the call is dropped.
            let _permit = permit;
            work()
        });
        work.await.unwrap_or_else(|error| Err(Error::internal("work on the folder ended early").with_source(error)))
    }

    /// Refuses work from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.permits.close();
    }

    /// The folder of a keyspace. It exists after the first write.
    pub fn keyspace(&self, keyspace: &Keyspace) -> PathBuf {
        self.root.join("data").join(name::encode(&keyspace.namespace)).join(name::encode(&keyspace.slot))
    }

    /// The folder of blobs that are being written.
    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Creates the folder of a keyspace, if it does not exist.
    pub fn create_keyspace(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        create_private(path)?;
        // From the inside out; the entries of new folders must survive too.
        path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root)).try_for_each(|folder| self.sync_folder(folder))
    }

    /// Waits until a file is on the disk.
    pub fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.durability == Durability::Full { file.sync_all() } else { Ok(()) }
    }

    /// Waits until the names in a folder are on the disk.
    pub fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if self.durability == Durability::Full { sync_folder(path) } else { Ok(()) }
    }

    /// Checks that files can be created. Blocks the thread.
    pub fn check_writable(&self) -> Result<(), Error> {
        let probe = self.uploads().join(format!("probe-{}", std::process::id()));
        open_private().create(true).truncate(true).open(&probe).map_err(map_io_error)?;
        fs::remove_file(probe).or_else(ignore_missing).map_err(map_io_error)
    }
}

/// Creates a folder, with those around it, that only its owner may use.
fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes the file `format` in one step, so that a crash does not leave a part of it. Another process may do the same.
fn write_format(root: &Path, format: &Path) -> io::Result<()> {
    use io::Write as _;
    let draft = root.join(format!("format.{}", std::process::id()));
    let mut file = open_private().create(true).truncate(true).open(&draft)?;
    file.write_all(FORMAT.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, format)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
