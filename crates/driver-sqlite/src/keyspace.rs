//! A handle to one keyspace of the database, which reads and writes it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    database::Database,
    error::DatabaseResult,
    members::Members,
    pop_queue::QueuedPop,
    signals::{Topic, Waiter},
    writer::{Tx, keyspace_id},
};
use prism_call::Error;
use prism_driver::{Keyspace, Limits, results::ResultBytes};

/// A handle to one keyspace of the database.
pub struct KeyspaceHandle {
    database: Arc<Database>,
    keyspace: Keyspace,
    /// The id of the keyspace in the database; unknown until something is stored in it.
    id: OnceLock<i64>,
}

/// The id for reads of a keyspace in which nothing was stored. No row has it.
const EMPTY_KEYSPACE: i64 = 0;

impl KeyspaceHandle {
    pub fn new(database: Arc<Database>, keyspace: Keyspace) -> Arc<Self> {
        Arc::new(Self { database, keyspace, id: OnceLock::new() })
    }

    /// Greatest sizes of keys, values and batches.
    pub fn limits(&self) -> &Limits {
        &self.database.limits
    }

    /// Runs a write, as [`Writer::write`](crate::writer::Writer::write) does. `work` gets the id of the keyspace, which is created if necessary.
    pub async fn write<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>, i64) -> DatabaseResult<T> + Send + 'static,
    {
        if let Some(id) = self.id.get().copied() {
            let written = self.database.writer.write(move |tx| work(tx, id)).await;
            return written.inspect_err(|error| self.database.note_damage(error));
        }
        let keyspace = self.keyspace.clone();
        let create_and_work = move |tx: &Tx<'_>| {
            let id = tx.keyspace(&keyspace)?;
            Ok((id, work(tx, id)?))
        };
        // The id is only valid after the commit.
        let (id, answer) = self.database.writer.write(create_and_work).await?;
        let _ = self.id.set(id);
        Ok(answer)
    }

    /// Runs a write that frees space, as [`Database::remove`] does.
    pub async fn remove<T, F>(self: &Arc<Self>, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>, i64) -> DatabaseResult<T> + Clone + Send + 'static,
    {
        let id = match self.id.get() {
            Some(id) => *id,
            // There is nothing to remove in a keyspace that does not exist yet.
            None => self.quick(|_, id| Ok(id)).await?,
        };
        let removed = self.database.remove(move |tx| work(tx, id)).await;
        removed.inspect_err(|error| self.database.note_damage(error))
    }

    /// Runs a short read, as [`Readers::quick`](crate::readers::Readers::quick) does.
    pub async fn quick<T, F>(self: &Arc<Self>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection, i64) -> DatabaseResult<T> + Send + 'static,
    {
        let keyspace = self.clone();
        let read = self.database.readers.quick(move |connection| work(connection, keyspace.id(connection)?)).await;
        read.inspect_err(|error| self.database.note_damage(error))
    }

    /// Runs a longer read, as [`Readers::read`](crate::readers::Readers::read) does.
    pub async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> DatabaseResult<T> + Send + 'static,
    {
        let keyspace = self.clone();
        let read = self.database.readers.read(move |connection| work(connection, keyspace.id(connection)?)).await;
        read.inspect_err(|error| self.database.note_damage(error))
    }

    /// Starts to wait for changes of a topic in this keyspace.
    pub async fn wait(&self, topic: impl FnOnce(i64) -> Topic) -> Result<Waiter, Error> {
        // A topic contains the id, so the keyspace is created if necessary.
        let id = match self.id.get() {
            Some(id) => *id,
            None => self.write(|_, id| Ok(id)).await?,
        };
        Ok(self.database.signals.wait(topic(id)))
    }

    /// A permit for one more watch.
    pub fn watch_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.database.watches.acquire()
    }

    /// Adds a call that waits for elements of lists to the queue of this process.
    pub fn queue_pop(&self, keys: &Arc<[Bytes]>) -> Result<QueuedPop, Error> {
        self.database.waiting_pops.add(&self.keyspace, keys)
    }

    /// The id of this gateway in the table `waiting_gateways`.
    pub fn gateway(&self) -> i64 {
        self.database.gateway
    }

    /// An empty result that is computed as a whole.
    pub fn result(&self) -> ResultBytes {
        self.database.results.result()
    }

    /// Whether the database was closed.
    pub fn is_closed(&self) -> bool {
        self.database.readers.is_closed()
    }

    /// The members of consumer groups in this process.
    pub fn members(&self) -> &Members {
        &self.database.members
    }

    fn id(&self, connection: &Connection) -> DatabaseResult<i64> {
        if let Some(id) = self.id.get() {
            return Ok(*id);
        }
        Ok(keyspace_id(connection, &self.keyspace)?.map_or(EMPTY_KEYSPACE, |id| *self.id.get_or_init(|| id)))
    }
}
