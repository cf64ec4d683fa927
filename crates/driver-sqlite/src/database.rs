//! The open database, which all keyspaces of a backend share.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    error::DatabaseResult,
    members::Members,
    pop_queue::PopQueue,
    readers::Readers,
    reserve::Reserve,
    settings::SqliteSettings,
    signals::Signals,
    writer::{Tx, Writer},
};
use prism_call::Error;
use prism_driver::{Limits, results::ResultMemory, watch::WatchPermits};

/// The open database.
pub struct Database {
    /// The connection that writes.
    pub writer: Writer,
    /// The connections that read.
    pub readers: Readers,
    /// Wakes calls that wait for changes.
    pub signals: Arc<Signals>,
    /// Greatest sizes of keys, values and batches.
    pub limits: Limits,
    /// The members of consumer groups in this process.
    pub members: Members,
    /// Disk space for removals.
    pub reserve: Reserve,
    /// Limits the open watches.
    pub watches: WatchPermits,
    /// The calls that wait for elements of lists.
    pub waiting_pops: PopQueue,
    /// A random id, under which the calls of this gateway wait for elements of lists.
    pub gateway: i64,
    /// The memory of results that are computed as a whole.
    pub results: ResultMemory,
    /// Whether SQLite has found the file damaged.
    damaged: AtomicBool,
}

impl Database {
    /// A database without a file, which refuses all calls. It tells which interfaces the driver implements.
    pub fn closed() -> Self {
        Self {
            writer: Writer::closed(),
            readers: Readers::new(PathBuf::new(), 1, Duration::ZERO),
            signals: Arc::default(),
            limits: Limits::default(),
            members: Members::default(),
            reserve: Reserve::none(),
            watches: WatchPermits::new(0),
            waiting_pops: PopQueue::new(0),
            gateway: rand::random(),
            results: ResultMemory::default(),
            damaged: AtomicBool::new(false),
        }
    }

    /// The database with these connections, and with the limits of its settings.
    pub fn new(writer: Writer, readers: Readers, signals: Arc<Signals>, reserve: Reserve, settings: &SqliteSettings) -> Self {
        let watches = WatchPermits::new(settings.max_watches.to_usize());
        let waiting_pops = PopQueue::new(settings.max_waiting_pops.to_usize());
        Self { writer, readers, signals, reserve, watches, waiting_pops, ..Self::closed() }
    }

    /// Runs a write that frees space, as [`Writer::write`] does. On a full disk, it gets the space that is kept for it.
    pub async fn remove<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> DatabaseResult<T> + Clone + Send + 'static,
    {
        match self.writer.write(work.clone()).await {
            Err(error) if error.reason() == "BACKEND_FULL" && self.reserve.release() => self.writer.write(work).await,
            result => result,
        }
    }

    /// Remembers that the file is damaged, if an error says so.
    pub fn note_damage(&self, error: &Error) {
        if error.reason() == "DATABASE_DAMAGED" {
            self.damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Whether SQLite has found the file damaged. Only a restart with another file repairs that.
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }
}
