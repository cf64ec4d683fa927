//! Document: for each collection its documents in the order of their ids, and its indexes.

mod basic;
mod indexing;
mod query;
mod store;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::store::Store;
use crate::state::SharedState;
use prism_call::{Error, proto::Interfaces};
use prism_driver::time::{self, Millis};

/// Expired documents that each write removes, so that they are removed even if the sweeper is late.
const EXPIRED_PER_WRITE: usize = 4;
/// Expired documents that the sweeper removes while it holds the lock once.
const EXPIRED_PER_LOCK: usize = 256;

/// The document interfaces over one keyspace. Its streams keep the data alive.
#[derive(Clone)]
pub struct Documents {
    shared: Arc<SharedState>,
    store: Arc<RwLock<Store>>,
    /// Held while an index is made or dropped, so that one call at a time does so.
    indexing: Arc<tokio::sync::Mutex<()>>,
}

/// Adds the document interfaces to those of a keyspace.
pub fn add(documents: &Arc<Documents>, interfaces: &mut Interfaces) {
    interfaces.document_basic = Some(documents.clone());
    interfaces.document_query = Some(documents.clone());
    interfaces.document_indexing = Some(documents.clone());
}

impl Documents {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { store: Arc::new(RwLock::new(Store::new(shared.clone()))), shared, indexing: Arc::default() }
    }

    /// Removes expired documents, and lets other calls take the lock after each [`EXPIRED_PER_LOCK`].
    pub fn sweep(&self) {
        let now = time::now();
        while self.lock().sweep(now, EXPIRED_PER_LOCK) == EXPIRED_PER_LOCK {}
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Store>, Error> {
        self.shared.check_open()?;
        Ok(self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks the documents for a write, and removes a few that have expired.
    fn write(&self, now: Millis) -> Result<RwLockWriteGuard<'_, Store>, Error> {
        self.shared.check_open()?;
        let mut store = self.lock();
        store.sweep(now, EXPIRED_PER_WRITE);
        Ok(store)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}
