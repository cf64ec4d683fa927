//! Reads of many rows, which end when their caller leaves.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, InterruptHandle};

use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::Error;
use prism_driver::lock::lock;

/// Interrupts a read when it is dropped. A read on a blocking thread would otherwise go on, and keep its connection, when its deadline has passed.
struct InterruptOnDrop(Arc<Mutex<Option<InterruptHandle>>>);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        // The lock is held until the connection is interrupted, so that another call does not get it before.
        let mut running = lock(&self.0);
        if let Some(connection) = running.take() {
            connection.interrupt();
        }
    }
}

/// Runs a read as [`KeyspaceHandle::read`] does, and interrupts it if the future is dropped.
pub async fn scan<T, F>(keyspace: &Arc<KeyspaceHandle>, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&Connection, i64) -> DatabaseResult<T> + Send + 'static,
{
    let call = InterruptOnDrop(Arc::default());
    let caller = Arc::downgrade(&call.0);
    let read = keyspace.read(move |connection, keyspace| {
        let running = caller.upgrade().ok_or_else(|| Error::internal("the caller of a read has left"))?;
        *lock(&running) = Some(connection.get_interrupt_handle());
        let result = work(connection, keyspace);
        // Other calls use the connection next.
        *lock(&running) = None;
        result
    });
    read.await
}
