//! Blocking reads at the end of a stream, each on its own connection.

use std::{sync::Mutex, time::Duration};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::Semaphore;

use super::record_id::RecordId;
use crate::{connection::Connector, error};
use prism_call::Error;
use prism_driver::lock::lock;

/// How much later than requested the reply may come.
const GRACE: Duration = Duration::from_secs(1);
/// How long a reader sleeps if all connections are in use.
const SLEEP_WITHOUT_CONNECTION: Duration = Duration::from_millis(100);

/// A bounded pool of connections for blocking reads. Connections are opened when they are needed and then reused.
pub struct BlockingReads {
    connector: Connector,
    permits: Semaphore,
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl BlockingReads {
    pub fn new(connector: Connector, connections: usize) -> Self {
        Self { connector, permits: Semaphore::new(connections), idle: Mutex::default() }
    }

    /// Returns when a stream has a record after an id, at the latest after a duration.
    pub async fn wait(&self, stream: &[u8], after: RecordId, longest: Duration) -> Result<(), Error> {
        let Ok(_permit) = self.permits.try_acquire() else {
            tokio::time::sleep(longest.min(SLEEP_WITHOUT_CONNECTION)).await;
            return Ok(());
        };
        let idle = lock(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connector.connect(None).await.map_err(|cause| self.map_error(&cause))?,
        };
        let millis = u64::try_from(longest.as_millis()).unwrap_or(1).max(1);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(millis).arg("STREAMS").arg(stream).arg(after);
        // A reader that is dropped while it waits also drops the connection, which can't be reused before the reply.
        match tokio::time::timeout(longest + GRACE, command.query_async::<Value>(&mut connection)).await {
            Ok(Ok(_)) => {
                lock(&self.idle).push(connection);
                Ok(())
            }
            Ok(Err(cause)) => Err(self.map_error(&cause)),
            Err(_) => Err(error::unavailable("Redis did not reply in time", self.connector.retry_after())),
        }
    }

    fn map_error(&self, cause: &redis::RedisError) -> Error {
        error::map_redis_error(cause, self.connector.retry_after())
    }
}
