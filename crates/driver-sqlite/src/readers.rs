//! A bounded pool of connections that only read. In WAL mode they neither wait for the writer nor make it wait.
//!
//! A point read takes a few microseconds as long as its pages are in memory, which is less than handing it to another thread
//! and back (10 to 20 microseconds). So short reads run where they are asked for, inside the async runtime, and watch the
//! clock: one that takes longer than [`SLOW`], because the disk is, sends the reads of the next [`PAUSE`] to blocking threads.
//! At worst the runtime's thread stands still for one disk access in each pause. Everything that reads more than a few rows
//! goes to a blocking thread in any case.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    error::{DatabaseError, DatabaseResult, database_closed},
    open,
};
use prism_call::{Code, Error};

/// A short read that takes longer has waited for the disk.
const SLOW: Duration = Duration::from_millis(1);
/// How long short reads then go to blocking threads.
const PAUSE: Duration = Duration::from_millis(100);

/// The pool. Connections are opened when they are first needed.
pub struct Readers {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
    count: u32,
    busy_timeout: Duration,
    started: Instant,
    /// Milliseconds since `started` until which short reads go to blocking threads.
    slow_until: AtomicU64,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// A connection on loan.
struct Loan {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    /// Behind the connection, which must be back before the next one gets the permit.
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

    /// A read of a few small rows; see the module for where it runs.
    pub async fn quick<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> DatabaseResult<T> + Send + 'static,
    {
        let begun = Instant::now();
        if self.since_start(begun) < self.slow_until.load(Ordering::Relaxed) {
            return self.read(work).await;
        }
        let loan = self.borrow().await?;
        let begun = Instant::now();
        let result = loan.with(&work);
        drop(loan);
        if begun.elapsed() > SLOW {
            self.slow_until.store(self.since_start(begun + PAUSE), Ordering::Relaxed);
        }
        match result {
            // Locked for a moment, as while another process recovers the log: wait for it, but not here.
            Err(error) if error.code() == Code::Unavailable => self.read(work).await,
            result => result,
        }
    }

    /// A longer read, on a blocking thread.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> DatabaseResult<T> + Send + 'static,
    {
        let loan = self.borrow().await?;
        let busy_timeout = self.busy_timeout;
        let task = tokio::task::spawn_blocking(move || {
            loan.with(|connection| {
                connection.busy_timeout(busy_timeout)?;
                let result = work(connection);
                connection.busy_timeout(Duration::ZERO)?;
                result
            })
        });
        task.await.map_err(|error| Error::internal("a read of the database was broken off").with_source(error))?
    }

    /// Waits for all reads and closes the connections.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.count).await;
        self.permits.close();
        self.pool.idle().clear();
        drop(all);
    }

    async fn borrow(&self) -> Result<Loan, Error> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| database_closed())?;
        let idle = self.pool.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.pool.path).map_err(DatabaseError::from)?,
        };
        Ok(Loan { pool: self.pool.clone(), connection: Some(connection), _permit: permit })
    }

    fn since_start(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loan {
    fn with<T>(&self, work: impl FnOnce(&Connection) -> DatabaseResult<T>) -> Result<T, Error> {
        let connection = self.connection.as_ref().ok_or_else(database_closed)?;
        Ok(work(connection)?)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle().push(connection);
        }
    }
}
