//! One keyspace in the file, and the ways to read and write it.

use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use super::{
    members::Members,
    readers::Readers,
    signals::{Signals, Topic, Waiter},
    writer::{Tx, Writer, keyspace_id},
};
use crate::error::DatabaseResult;
use prism_call::Error;
use prism_driver::{Keyspace, Limits};

/// The open database, shared by all keyspaces.
pub struct Database {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub readers: Readers,
    /// Wakes those who wait.
    pub signals: Arc<Signals>,
    /// Greatest sizes.
    pub limits: Limits,
    /// The members of consumer groups here.
    pub members: Members,
}

/// A keyspace.
pub struct Space {
    database: Arc<Database>,
    keyspace: Keyspace,
    /// Known once something is stored in it.
    id: OnceLock<i64>,
}

/// The id of a keyspace that nothing was written into: no row has it.
const NOWHERE: i64 = 0;

impl Space {
    /// The keyspace of a database.
    pub fn new(database: Arc<Database>, keyspace: Keyspace) -> Arc<Self> {
        Arc::new(Self { database, keyspace, id: OnceLock::new() })
    }

    /// Greatest sizes.
    pub fn limits(&self) -> &Limits {
        &self.database.limits
    }

    /// As [`Writer::write`]; `work` gets the keyspace's id.
    pub async fn write<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>, i64) -> DatabaseResult<T> + Send + 'static,
    {
        if let Some(id) = self.id.get().copied() {
            return self.database.writer.write(move |tx| work(tx, id)).await;
        }
        let keyspace = self.keyspace.clone();
        let both = move |tx: &Tx<'_>| {
            let id = tx.keyspace(&keyspace)?;
            Ok((id, work(tx, id)?))
        };
        // Only a committed id is one.
        let (id, answer) = self.database.writer.write(both).await?;
        let _ = self.id.set(id);
        Ok(answer)
    }

    /// As [`Readers::quick`].
    pub async fn quick<T, F>(self: &Arc<Self>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection, i64) -> DatabaseResult<T> + Send + 'static,
    {
        let space = self.clone();
        self.database.readers.quick(move |connection| work(connection, space.id(connection)?)).await
    }

    /// As [`Readers::read`].
    pub async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, i64) -> DatabaseResult<T> + Send + 'static,
    {
        let space = self.clone();
        self.database.readers.read(move |connection| work(connection, space.id(connection)?)).await
    }

    /// Begins to wait for something in this keyspace.
    pub async fn wait(&self, topic: impl FnOnce(i64) -> Topic) -> Result<Waiter, Error> {
        // A topic needs an id, so the keyspace is made if it is not there yet.
        let id = match self.id.get() {
            Some(id) => *id,
            None => self.write(|_, id| Ok(id)).await?,
        };
        Ok(self.database.signals.wait(topic(id)))
    }

    /// The members of consumer groups here.
    pub fn members(&self) -> &Members {
        &self.database.members
    }

    fn id(&self, connection: &Connection) -> DatabaseResult<i64> {
        if let Some(id) = self.id.get() {
            return Ok(*id);
        }
        Ok(keyspace_id(connection, &self.keyspace)?.map_or(NOWHERE, |id| *self.id.get_or_init(|| id)))
    }
}
