//! Locks of keys. They hold across the processes of one machine, and end with the process that has them.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    error::{key_locked, map_io_error},
    name,
    private_file::open_private,
};
use prism_call::Error;

/// Number of locks. Keys share them, so that there is a bounded number of files.
const LOCKS: usize = 256;
/// How long to wait for another process.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often to try. Other processes hold a lock for the time of one rename.
const PAUSE: Duration = Duration::from_millis(1);

/// The locks of all keys of a folder.
pub struct KeyLocks {
    folder: PathBuf,
    /// The calls of this process wait here, without a thread.
    own: Vec<Mutex<()>>,
}

impl KeyLocks {
    /// The locks whose files are in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, own: (0..LOCKS).map(|_| Mutex::new(())).collect() }
    }

    /// Waits until no other call of this process has the lock of a name.
    pub async fn own(&self, name: &str) -> MutexGuard<'_, ()> {
        self.own[name::lock_number(name) % LOCKS].lock().await
    }

    /// Locks a name against other processes, until the returned file is dropped. Blocks the thread.
    pub fn lock(&self, name: &str) -> Result<File, Error> {
        let path = self.folder.join(format!("{:02x}", name::lock_number(name) % LOCKS));
        let file = open_private().create(true).truncate(false).open(path).map_err(map_io_error)?;
        let end = Instant::now() + TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(key_locked()),
                Err(TryLockError::Error(error)) => return Err(map_io_error(error)),
            }
        }
    }
}
