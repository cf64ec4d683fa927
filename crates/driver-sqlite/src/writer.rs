//! The one connection that writes, on a thread of its own, with group commit: all operations that wait when the disk is ready
//! again share its next commit.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
    thread,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot};

use super::{
    checkpoint::Checkpointer,
    error::{DatabaseResult, database_closed, map_sqlite_error},
    open::patiently,
    settings::Settings,
    signals::{Signals, Topic},
};
use prism_call::Error;
use prism_driver::Keyspace;

/// Operations that wait for the thread; who comes later waits for a place.
const QUEUE: usize = 1024;
/// Most operations that share a commit.
const BATCH: usize = 256;
/// How long SQLite itself waits for another process, each time.
const BUSY_LOOK: Duration = Duration::from_millis(10);

/// The way to the thread.
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Write(Box<dyn Operation>),
    /// Finds out whether another process has written, and wakes those who wait.
    Look,
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. It ends with [`Writer::close`] or when the writer is dropped.
    pub fn start(mut connection: Connection, settings: &Settings, signals: Arc<Signals>) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let checkpointer = Checkpointer::start(&mut connection, &settings.path)?;
        let busy_timeout = *settings.busy_timeout;
        // SQLite soon looks but ten times a second, and in the moments between two transactions of a process that always has more to write
        // it hardly ever looks just then. So it waits briefly, again and again, and each time begins with short pauses.
        connection.busy_timeout(busy_timeout.min(BUSY_LOOK)).map_err(std::io::Error::other)?;
        let seen = data_version(&connection);
        thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || Thread { connection, busy_timeout, signals, seen, checkpointer }.run(waiting))?;
        Ok(Self { jobs })
    }

    /// A writer that refuses everything, for asking a backend what it could do.
    pub fn closed() -> Self {
        Self { jobs: mpsc::channel(1).0 }
    }

    /// Does `work` in a transaction and answers when it is durable. With an error nothing of it was written. A call that is
    /// dropped before its turn is left out; one that is dropped later is written as a whole.
    ///
    /// `work` runs again when the commit that it shared with others failed.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> DatabaseResult<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { work, outcome: None, answer };
        self.jobs.send(Job::Write(Box::new(pending))).await.map_err(|_| database_closed())?;
        answered.await.map_err(|_| database_closed())?
    }

    /// Looks for writes of other processes soon.
    pub fn look(&self) {
        // Without a place the thread is busy; the next look will do.
        let _ = self.jobs.try_send(Job::Look);
    }

    /// Commits what waits, moves the log into the file and ends the thread.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

/// One operation that waits for its commit.
trait Operation: Send {
    /// Whether nobody waits for the answer any more.
    fn abandoned(&self) -> bool;
    /// Does it and keeps the outcome. True: it worked.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Tells the outcome.
    fn answer(self: Box<Self>);
    /// Tells that it was not written.
    fn fail(self: Box<Self>, error: Error);
}

struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Operation for Pending<T, F>
where
    T: Send,
    F: FnMut(&Tx<'_>) -> DatabaseResult<T> + Send,
{
    fn abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let outcome = (self.work)(tx).map_err(Error::from);
        let worked = outcome.is_ok();
        self.outcome = Some(outcome);
        worked
    }

    fn answer(self: Box<Self>) {
        // Who left does not want it.
        let _ = self.answer.send(self.outcome.unwrap_or_else(|| Err(database_closed())));
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

/// A transaction that an operation runs in.
pub struct Tx<'c> {
    /// The connection, for prepared statements.
    pub connection: &'c Connection,
    /// The last revision of each keyspace that this transaction has touched; written once, at its end.
    revisions: RefCell<HashMap<i64, i64>>,
    signals: RefCell<Vec<Topic>>,
    wrote: Cell<bool>,
}

impl<'c> Tx<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self { connection, revisions: RefCell::default(), signals: RefCell::default(), wrote: Cell::new(false) }
    }

    /// The id of a keyspace, which is made if this is the first write into it.
    pub fn keyspace(&self, keyspace: &Keyspace) -> DatabaseResult<i64> {
        if let Some(id) = keyspace_id(self.connection, keyspace)? {
            return Ok(id);
        }
        let mut insert = self.connection.prepare_cached("INSERT INTO keyspaces (namespace, slot) VALUES (?1, ?2) RETURNING id")?;
        Ok(insert.query_row((&keyspace.namespace, &keyspace.slot), |row| row.get(0))?)
    }

    /// The next number of a keyspace: a revision or the id of a message.
    pub fn next_number(&self, keyspace: i64) -> DatabaseResult<i64> {
        let mut revisions = self.revisions.borrow_mut();
        let last = match revisions.get(&keyspace) {
            Some(last) => *last,
            None => {
                self.connection.prepare_cached("SELECT revision FROM keyspaces WHERE id = ?1")?.query_row([keyspace], |row| row.get(0))?
            }
        };
        revisions.insert(keyspace, last + 1);
        self.wrote.set(true);
        Ok(last + 1)
    }

    /// Wakes those who wait for a topic, once this is committed.
    pub fn signal(&self, topic: Topic) {
        self.signals.borrow_mut().push(topic);
    }

    fn finish(self) -> rusqlite::Result<Vec<Topic>> {
        if self.wrote.get() {
            let mut update = self.connection.prepare_cached("UPDATE keyspaces SET revision = ?2 WHERE id = ?1")?;
            for (keyspace, revision) in self.revisions.borrow().iter() {
                update.execute((keyspace, revision))?;
            }
        }
        Ok(self.signals.into_inner())
    }
}

/// The id of a keyspace that something was written into.
pub fn keyspace_id(connection: &Connection, keyspace: &Keyspace) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM keyspaces WHERE namespace = ?1 AND slot = ?2")?;
    Ok(select.query_row((&keyspace.namespace, &keyspace.slot), |row| row.get(0)).optional()?)
}

/// Changes when another connection has written. All others of this process only read, so that is another process.
fn data_version(connection: &Connection) -> i64 {
    connection.prepare_cached("PRAGMA data_version").and_then(|mut ask| ask.query_row([], |row| row.get(0))).unwrap_or(0)
}

struct Thread {
    connection: Connection,
    /// How long to wait for another process.
    busy_timeout: Duration,
    signals: Arc<Signals>,
    /// The data version at the last look.
    seen: i64,
    checkpointer: Checkpointer,
}

impl Thread {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch: Vec<Box<dyn Operation>> = Vec::with_capacity(BATCH);
        let mut closing = None;
        while let Some(first) = jobs.blocking_recv() {
            let mut look = false;
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(operation) => batch.push(operation),
                    Job::Look => look = true,
                    Job::Close(done) => closing = Some(done),
                }
                next = if batch.len() < BATCH && closing.is_none() { jobs.try_recv().ok() } else { None };
            }
            self.commit(std::mem::take(&mut batch));
            if look {
                self.look();
            }
            if closing.is_some() {
                break;
            }
        }
        // Dropping the queue tells all who still wait in it that the database is closed.
        drop(jobs);
        self.checkpointer.stop(&mut self.connection);
        // What is left in the log stays there if this fails.
        let _ = self.connection.busy_timeout(self.busy_timeout);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(self.connection);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    fn look(&mut self) {
        let version = data_version(&self.connection);
        if version != self.seen {
            self.seen = version;
            self.signals.send_all();
        }
    }

    /// Commits a batch, or, if that fails, each operation by itself, so that one that can't be written takes no other along.
    fn commit(&self, mut batch: Vec<Box<dyn Operation>>) {
        batch.retain(|operation| !operation.abandoned());
        if batch.is_empty() {
            return;
        }
        match self.attempt(&mut batch) {
            Ok(topics) => self.tell(topics, batch),
            Err(Failure::Nothing(error)) => batch.into_iter().for_each(|operation| operation.fail(map_sqlite_error(&error))),
            Err(Failure::Lost(_)) if batch.len() > 1 => {
                for operation in batch {
                    let mut alone = vec![operation];
                    match self.attempt(&mut alone) {
                        Ok(topics) => self.tell(topics, alone),
                        Err(failure) => alone.into_iter().for_each(|operation| operation.fail(failure.tell())),
                    }
                }
            }
            Err(failure) => batch.into_iter().for_each(|operation| operation.fail(failure.tell())),
        }
    }

    fn tell(&self, topics: Vec<Topic>, batch: Vec<Box<dyn Operation>>) {
        for operation in batch {
            operation.answer();
        }
        for topic in topics {
            self.signals.send(&topic);
        }
    }

    /// Runs operations in one transaction and commits it. An operation that fails leaves nothing behind.
    fn attempt(&self, batch: &mut [Box<dyn Operation>]) -> Result<Vec<Topic>, Failure> {
        patiently(self.busy_timeout, || self.execute("BEGIN IMMEDIATE")).map_err(Failure::Nothing)?;
        let result = self.run_all(batch);
        // Some errors, as a full disk, make SQLite roll the transaction back by itself.
        if result.is_err() && !self.connection.is_autocommit() {
            let _ = self.execute("ROLLBACK");
        }
        result.map_err(Failure::Lost)
    }

    fn run_all(&self, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<Vec<Topic>> {
        let tx = Tx::new(&self.connection);
        if let [alone] = batch {
            if !alone.run(&tx) {
                // What it says goes out as its answer; there is nothing to commit.
                if !self.connection.is_autocommit() {
                    self.execute("ROLLBACK")?;
                }
                return Ok(Vec::new());
            }
        } else {
            for operation in batch {
                self.execute("SAVEPOINT operation")?;
                let worked = operation.run(&tx);
                if !worked {
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

/// Why a batch was not written.
enum Failure {
    /// It did not begin.
    Nothing(rusqlite::Error),
    /// It was rolled back.
    Lost(rusqlite::Error),
}

impl Failure {
    fn tell(&self) -> Error {
        let (Self::Nothing(error) | Self::Lost(error)) = self;
        map_sqlite_error(error)
    }
}
