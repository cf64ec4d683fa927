//! Reads that wait at the end of a stream, each on a connection of its own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::Semaphore;

use super::{
    super::{error, link::Connector},
    offset::Id,
};
use prism_call::Error;

/// How much longer than asked an answer may take.
const GRACE: Duration = Duration::from_secs(1);
/// How long a reader sleeps when all connections are taken.
const WITHOUT: Duration = Duration::from_millis(100);

/// A bounded number of connections, made when they are needed and kept for the next reader.
pub struct Waiting {
    connector: Connector,
    permits: Semaphore,
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl Waiting {
    pub fn new(connector: Connector, connections: usize) -> Self {
        Self { connector, permits: Semaphore::new(connections), idle: Mutex::default() }
    }

    /// Returns when there is a record behind an id, or after a while.
    pub async fn wait(&self, stream: &[u8], behind: Id, most: Duration) -> Result<(), Error> {
        let Ok(_permit) = self.permits.try_acquire() else {
            tokio::time::sleep(most.min(WITHOUT)).await;
            return Ok(());
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connector.connect(None).await.map_err(|cause| self.broken(&cause))?,
        };
        let millis = u64::try_from(most.as_millis()).unwrap_or(1).max(1);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS").arg(stream).arg(behind);
        // A reader that leaves meanwhile drops the connection, so that it is not lent out while it waits.
        match tokio::time::timeout(most + GRACE, command.query_async::<Value>(&mut connection)).await {
            Ok(Ok(_)) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Ok(())
            }
            Ok(Err(cause)) => Err(self.broken(&cause)),
            Err(_) => Err(error::lost("Redis did not answer in time", self.connector.retry_after())),
        }
    }

    fn broken(&self, cause: &redis::RedisError) -> Error {
        error::from(cause, self.connector.retry_after())
    }
}
