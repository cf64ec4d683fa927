//! A bounded pool of connections that only read. In WAL mode they neither wait for the writer nor make it wait.
//!
//! A read of one row takes a few microseconds if its pages are in memory, which is less than switching to another thread and
//! back (10 to 20 microseconds). So short reads run on the calling thread, inside the async runtime, and measure their time. If
//! one takes longer than [`SLOW_READ`] because the disk is slow, short reads run on blocking threads for the next
//! [`SLOW_PERIOD`]. So a thread of the runtime waits at most for one disk access in each period. Longer reads always run on a
//! blocking thread.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{DatabaseError, DatabaseResult, database_closed},
    open,
};
use prism_call::{Code, Error};
use prism_driver::lock::lock;

/// A short read that takes longer than this has waited for the disk.
const SLOW_READ: Duration = Duration::from_millis(1);
/// How long short reads run on blocking threads after a slow one.
const SLOW_PERIOD: Duration = Duration::from_millis(100);

/// The pool of connections, which are opened when they are first needed.
pub struct Readers {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
    count: u32,
    busy_timeout: Duration,
    started: Instant,
    /// Until this time, in milliseconds since `started`, short reads run on blocking threads.
    slow_until: AtomicU64,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// A connection that is in use; it returns to the pool when it is dropped.
struct PooledConnection {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    /// Dropped after the connection, which must be back in the pool before another read gets the permit.
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    /// A pool of at most `count` connections to the file.
    pub fn new(path: PathBuf, count: u32, busy_timeout: Duration) -> Self {
        Self {
            pool: Arc::new(Pool { path, idle: Mutex::default() }),
            permits: Arc::new(Semaphore::new(count as usize)),
            count,
            busy_timeout,
            started: Instant::now(),
            slow_until: AtomicU64::new(0),
        }
    }

    /// Runs a read of a few small rows, on the calling thread if the disk is not slow.
    pub async fn quick<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> DatabaseResult<T> + Send + 'static,
    {
        if self.since_start(Instant::now()) < self.slow_until.load(Ordering::Relaxed) {
            return self.read(work).await;
        }
        let pooled = self.connection().await?;
        let started = Instant::now();
        let result = pooled.with(&work);
        drop(pooled);
        if started.elapsed() > SLOW_READ {
            self.slow_until.store(self.since_start(started + SLOW_PERIOD), Ordering::Relaxed);
        }
        match result {
            // Locked for a moment, for example while another process recovers the log. Waits for it on a blocking thread.
            Err(error) if error.code() == Code::Unavailable => self.read(work).await,
            result => result,
        }
    }

    /// Runs a longer read on a blocking thread.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> DatabaseResult<T> + Send + 'static,
    {
        let pooled = self.connection().await?;
        let busy_timeout = self.busy_timeout;
        let task = tokio::task::spawn_blocking(move || {
            pooled.with(|connection| {
                connection.busy_timeout(busy_timeout)?;
                let result = work(connection);
                connection.busy_timeout(Duration::ZERO)?;
                result
            })
        });
        task.await.map_err(|error| Error::internal("a read of the database was interrupted").with_source(error))?
    }

    /// Waits for all reads to end, and closes the connections.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.count).await;
        self.permits.close();
        self.pool.idle().clear();
        drop(all);
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    async fn connection(&self) -> Result<PooledConnection, Error> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| database_closed())?;
        let idle = self.pool.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.pool.path).map_err(DatabaseError::from)?,
        };
        Ok(PooledConnection { pool: self.pool.clone(), connection: Some(connection), _permit: permit })
    }

    fn since_start(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        lock(&self.idle)
    }
}

impl PooledConnection {
    fn with<T>(&self, work: impl FnOnce(&Connection) -> DatabaseResult<T>) -> Result<T, Error> {
        let connection = self.connection.as_ref().ok_or_else(database_closed)?;
        Ok(work(connection)?)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle().push(connection);
        }
    }
}
