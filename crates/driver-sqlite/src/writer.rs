//! The only connection that writes, on a thread of its own, with group commit: all operations that wait when the disk is ready
//! share the next commit.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
    thread,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot};

use crate::{
    checkpoint::Checkpointer,
    error::{DatabaseResult, database_closed, map_sqlite_error},
    history::Histories,
    open::retry_while_busy,
    settings::SqliteSettings,
    signals::{Signals, Topic},
};
use prism_call::Error;
use prism_driver::Keyspace;

/// Operations in the queue of the thread. More calls wait until there is space.
const QUEUE_LENGTH: usize = 1024;
/// Most operations that share a commit.
const MAX_BATCH: usize = 256;
/// How long SQLite itself waits for another process, in each attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(10);

/// Sends operations to the thread that writes.
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Write(Box<dyn Operation>),
    /// Checks whether another process has written, and if so wakes all waiting calls.
    CheckForWrites,
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. It ends when [`Writer::close`] is called or the writer is dropped.
    pub fn start(mut connection: Connection, settings: &SqliteSettings, signals: Arc<Signals>) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(QUEUE_LENGTH);
        let checkpointer = Checkpointer::start(&mut connection, &settings.path)?;
        let busy_timeout = *settings.busy_timeout;
        // While SQLite waits for a lock, it soon tries only ten times a second. If another process writes without a pause, the file is
        // unlocked only for moments between two transactions, and SQLite would almost always miss them. So each attempt is short, and
        // is repeated: every attempt starts with short pauses again.
        connection.busy_timeout(busy_timeout.min(ATTEMPT_TIMEOUT)).map_err(std::io::Error::other)?;
        let last_version = data_version(&connection);
        thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || WriterThread { connection, busy_timeout, signals, last_version, checkpointer }.run(waiting))?;
        Ok(Self { jobs })
    }

    /// A writer without a thread, which refuses all operations.
    pub fn closed() -> Self {
        Self { jobs: mpsc::channel(1).0 }
    }

    /// Runs `work` in a transaction, and returns when it is durable. After an error, nothing of it was written. If the call is dropped
    /// before its turn, `work` does not run; if it is dropped later, everything is written.
    ///
    /// `work` runs again if the commit that it shared with other operations has failed.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> DatabaseResult<T> + Send + 'static,
    {
        let (reply, replied) = oneshot::channel();
        let pending = Pending { work, result: None, reply };
        self.jobs.send(Job::Write(Box::new(pending))).await.map_err(|_| database_closed())?;
        replied.await.map_err(|_| database_closed())?
    }

    /// Makes the thread check whether another process has written.
    pub fn check_for_writes(&self) {
        // If the queue is full, the next check is soon enough.
        let _ = self.jobs.try_send(Job::CheckForWrites);
    }

    /// Commits the waiting operations, copies the log into the file and ends the thread.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

/// An operation that waits for its commit.
trait Operation: Send {
    /// Whether the call was dropped.
    fn is_abandoned(&self) -> bool;
    /// Runs the operation and keeps its result. Returns whether it succeeded.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Sends the result to the call.
    fn send_result(self: Box<Self>);
    /// Sends an error to the call.
    fn fail(self: Box<Self>, error: Error);
}

/// An operation with the closure and the result of its call.
struct Pending<T, F> {
    work: F,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Operation for Pending<T, F>
where
    T: Send,
    F: FnMut(&Tx<'_>) -> DatabaseResult<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let result = (self.work)(tx).map_err(Error::from);
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn send_result(self: Box<Self>) {
        // The call may have been dropped.
        let _ = self.reply.send(self.result.unwrap_or_else(|| Err(database_closed())));
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error));
    }
}

/// The transaction in which an operation runs.
pub struct Tx<'c> {
    /// The connection, for prepared statements.
    pub connection: &'c Connection,
    /// The histories of watched keyspaces.
    pub histories: Histories,
    /// The last revision of each keyspace that this transaction has changed. Written once, at its end.
    revisions: RefCell<HashMap<i64, i64>>,
    signals: RefCell<Vec<Topic>>,
    revisions_changed: Cell<bool>,
}

impl<'c> Tx<'c> {
    fn new(connection: &'c Connection) -> Self {
        let (histories, revisions) = (Histories::default(), RefCell::default());
        Self { connection, histories, revisions, signals: RefCell::default(), revisions_changed: Cell::new(false) }
    }

    /// The id of a keyspace, which is created if necessary.
    pub fn keyspace(&self, keyspace: &Keyspace) -> DatabaseResult<i64> {
        if let Some(id) = keyspace_id(self.connection, keyspace)? {
            return Ok(id);
        }
        let mut insert = self.connection.prepare_cached("INSERT INTO keyspaces (namespace, slot) VALUES (?1, ?2) RETURNING id")?;
        Ok(insert.query_row((&keyspace.namespace, &keyspace.slot), |row| row.get(0))?)
    }

    /// A new number of a keyspace: a revision or the id of a message.
    pub fn next_number(&self, keyspace: i64) -> DatabaseResult<i64> {
        let number = self.last_number(keyspace)? + 1;
        self.revisions.borrow_mut().insert(keyspace, number);
        self.revisions_changed.set(true);
        Ok(number)
    }

    /// The last number of a keyspace.
    pub fn last_number(&self, keyspace: i64) -> DatabaseResult<i64> {
        if let Some(last) = self.revisions.borrow().get(&keyspace) {
            return Ok(*last);
        }
        let mut select = self.connection.prepare_cached("SELECT revision FROM keyspaces WHERE id = ?1")?;
        Ok(select.query_row([keyspace], |row| row.get(0))?)
    }

    /// Wakes the waiters of a topic after the commit.
    pub fn signal(&self, topic: Topic) {
        self.signals.borrow_mut().push(topic);
    }

    /// Writes the revisions and the histories, and returns the topics to signal.
    fn finish(self) -> rusqlite::Result<Vec<Topic>> {
        if self.revisions_changed.get() {
            let mut update = self.connection.prepare_cached("UPDATE keyspaces SET revision = ?2 WHERE id = ?1")?;
            for (keyspace, revision) in self.revisions.borrow().iter() {
                update.execute((keyspace, revision))?;
            }
        }
        let mut signals = self.signals.into_inner();
        signals.extend(self.histories.finish(self.connection)?.into_iter().map(Topic::Watch));
        Ok(signals)
    }
}

/// The id of a keyspace; `None` if nothing was written into it.
pub fn keyspace_id(connection: &Connection, keyspace: &Keyspace) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM keyspaces WHERE namespace = ?1 AND slot = ?2")?;
    Ok(select.query_row((&keyspace.namespace, &keyspace.slot), |row| row.get(0)).optional()?)
}

/// A number that changes when another connection has written. All other connections of this process only read, so it was another
/// process.
fn data_version(connection: &Connection) -> i64 {
    connection.prepare_cached("PRAGMA data_version").and_then(|mut pragma| pragma.query_row([], |row| row.get(0))).unwrap_or(0)
}

/// The state of the thread.
struct WriterThread {
    connection: Connection,
    /// How long to wait for a lock of another process.
    busy_timeout: Duration,
    signals: Arc<Signals>,
    /// The data version at the last check.
    last_version: i64,
    checkpointer: Checkpointer,
}

impl WriterThread {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch: Vec<Box<dyn Operation>> = Vec::with_capacity(MAX_BATCH);
        let mut closing = None;
        while let Some(first) = jobs.blocking_recv() {
            let mut check = false;
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(operation) => batch.push(operation),
                    Job::CheckForWrites => check = true,
                    Job::Close(done) => closing = Some(done),
                }
                next = if batch.len() < MAX_BATCH && closing.is_none() { jobs.try_recv().ok() } else { None };
            }
            self.commit(std::mem::take(&mut batch));
            if check {
                self.check_for_writes();
            }
            if closing.is_some() {
                break;
            }
        }
        // Dropping the queue makes all operations in it fail: the database is closed.
        drop(jobs);
        self.checkpointer.stop(&mut self.connection);
        // If this fails, the rest of the log stays where it is until the next start.
        let _ = self.connection.busy_timeout(self.busy_timeout);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(self.connection);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    fn check_for_writes(&mut self) {
        let version = data_version(&self.connection);
        if version != self.last_version {
            self.last_version = version;
            self.signals.send_all();
        }
    }

    /// Commits a batch. If that fails, commits each operation by itself, so that only those that can't be written fail.
    fn commit(&self, mut batch: Vec<Box<dyn Operation>>) {
        batch.retain(|operation| !operation.is_abandoned());
        if batch.is_empty() {
            return;
        }
        match self.attempt(&mut batch) {
            Ok(topics) => self.complete(topics, batch),
            Err(CommitFailure::NotStarted(error)) => batch.into_iter().for_each(|operation| operation.fail(map_sqlite_error(&error))),
            Err(CommitFailure::RolledBack(_)) if batch.len() > 1 => {
                for operation in batch {
                    let mut alone = vec![operation];
                    match self.attempt(&mut alone) {
                        Ok(topics) => self.complete(topics, alone),
                        Err(failure) => alone.into_iter().for_each(|operation| operation.fail(failure.to_error())),
                    }
                }
            }
            Err(failure) => batch.into_iter().for_each(|operation| operation.fail(failure.to_error())),
        }
    }

    /// Sends the results to the calls, and signals the topics.
    fn complete(&self, topics: Vec<Topic>, batch: Vec<Box<dyn Operation>>) {
        for operation in batch {
            operation.send_result();
        }
        for topic in topics {
            self.signals.send(&topic);
        }
    }

    /// Runs operations in one transaction and commits it. Changes of an operation that fails are rolled back.
    fn attempt(&self, batch: &mut [Box<dyn Operation>]) -> Result<Vec<Topic>, CommitFailure> {
        retry_while_busy(self.busy_timeout, || self.execute("BEGIN IMMEDIATE")).map_err(CommitFailure::NotStarted)?;
        let result = self.run_all(batch);
        // After some errors, for example a full disk, SQLite has already rolled the transaction back.
        if result.is_err() && !self.connection.is_autocommit() {
            let _ = self.execute("ROLLBACK");
        }
        result.map_err(CommitFailure::RolledBack)
    }

    fn run_all(&self, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<Vec<Topic>> {
        let tx = Tx::new(&self.connection);
        if let [alone] = batch {
            if !alone.run(&tx) {
                // The call gets its error; there is nothing to commit.
                if !self.connection.is_autocommit() {
                    self.execute("ROLLBACK")?;
                }
                return Ok(Vec::new());
            }
        } else {
            for operation in batch {
                self.execute("SAVEPOINT operation")?;
                let succeeded = operation.run(&tx);
                if !succeeded {
                    self.execute("ROLLBACK TO operation")?;
                }
                self.execute("RELEASE operation")?;
            }
        }
        let topics = tx.finish()?;
        self.execute("COMMIT")?;
        Ok(topics)
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }
}

/// Why a batch was not committed.
enum CommitFailure {
    /// The transaction did not start.
    NotStarted(rusqlite::Error),
    /// The transaction was rolled back.
    RolledBack(rusqlite::Error),
}

impl CommitFailure {
    fn to_error(&self) -> Error {
        let (Self::NotStarted(error) | Self::RolledBack(error)) = self;
        map_sqlite_error(error)
    }
}
