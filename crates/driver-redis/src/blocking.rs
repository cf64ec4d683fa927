//! Commands that wait in Redis, each on its own connection: reads at the end of a stream, and pops from empty lists.

use std::{sync::Mutex, time::Duration};

use redis::{Cmd, Value, aio::MultiplexedConnection};
use tokio::sync::{Semaphore, watch};

use crate::{connection::Connector, error};
use prism_call::Error;
use prism_driver::{connections::OpenConnection, lock::lock};

/// How much later than requested the reply may come.
const GRACE: Duration = Duration::from_secs(1);

/// A bounded pool of connections for commands that wait. Connections are opened when they are needed and then reused.
pub struct BlockingConnections {
    connector: Connector,
    permits: Semaphore,
    idle: Mutex<Vec<BlockingConnection>>,
    /// How many commands may wait at the same time.
    limit: usize,
    closed: watch::Sender<bool>,
}

/// A connection of the pool.
struct BlockingConnection {
    connection: MultiplexedConnection,
    open: OpenConnection,
}

impl BlockingConnections {
    pub fn new(connector: Connector, limit: usize) -> Self {
        Self { connector, permits: Semaphore::new(limit), idle: Mutex::default(), limit, closed: watch::Sender::new(false) }
    }

    /// How many commands may wait at the same time: the setting `waiting_connections`.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many connections wait for their next command.
    pub fn idle(&self) -> u64 {
        lock(&self.idle).len() as u64
    }

    /// Runs a command that waits at most for a duration, and returns its reply; `None` if all connections are in use.
    pub async fn run(&self, command: &Cmd, longest: Duration) -> Result<Option<Value>, Error> {
        let Ok(_permit) = self.permits.try_acquire() else { return Ok(None) };
        let mut closed = self.closed.subscribe();
        let mut connection = self.connection().await?;
        // A call that is dropped while it waits also drops the connection, which can't be reused before the reply.
        let reply = tokio::select! {
            reply = tokio::time::timeout(longest + GRACE, command.query_async::<Value>(&mut connection.connection)) => reply,
            _ = closed.wait_for(|closed| *closed) => return Err(error::backend_closed()),
        };
        match reply {
            Ok(Ok(value)) => {
                lock(&self.idle).push(connection);
                Ok(Some(value))
            }
            Ok(Err(cause)) => {
                if cause.is_io_error() {
                    connection.open.broke();
                }
                Err(self.map_error(&cause))
            }
            Err(_) => Err(error::unavailable("Redis did not reply in time", self.connector.retry_after())),
        }
    }

    /// Ends all commands that wait, for good.
    pub fn close(&self) {
        self.closed.send_replace(true);
        lock(&self.idle).clear();
    }

    /// A connection that works: one that is idle, or a new one.
    async fn connection(&self) -> Result<BlockingConnection, Error> {
        loop {
            let idle = lock(&self.idle).pop();
            let Some(mut connection) = idle else {
                let counters = self.connector.counters();
                return match self.connector.connect(None).await {
                    Ok(connection) => Ok(BlockingConnection { connection, open: counters.established() }),
                    Err(cause) => {
                        counters.failed();
                        Err(self.map_error(&cause))
                    }
                };
            };
            // The server may have closed it since its last use.
            let ping = redis::cmd("PING");
            if matches!(tokio::time::timeout(GRACE, ping.query_async::<Value>(&mut connection.connection)).await, Ok(Ok(_))) {
                return Ok(connection);
            }
            // What closed it, such as a restart or a firewall, has probably closed the others too. Checking each of them would take long.
            connection.open.broke();
            for other in lock(&self.idle).drain(..) {
                other.open.broke();
            }
        }
    }

    fn map_error(&self, cause: &redis::RedisError) -> Error {
        error::map_redis_error(cause, self.connector.retry_after())
    }
}
