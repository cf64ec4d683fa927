//! A bounded pool of connections. It never has more calls waiting than its limit, and makes one attempt to connect at a time
//! while the server is not reachable.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::{
    connector::{Connection, Connector},
    error::{self, Problem},
    settings::PostgresSettings,
};
use prism_call::Error;
use prism_driver::{ConnectionStats, connections::ConnectionCounters, lock::lock, retry::Retry};

/// A pool of connections.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    /// One permit for each connection, whether it is open, being opened or being closed.
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    retry: Retry,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one was used last.
    idle: Vec<Connection>,
    outage: Option<Outage>,
    closed: bool,
}

/// The server can't be connected.
struct Outage {
    problem: Problem,
    failures: u32,
    next_attempt: Instant,
    attempting: bool,
}

impl Pool {
    /// Opens no connection yet.
    pub fn new(connector: Connector, settings: &PostgresSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                connector,
                permits: Arc::new(Semaphore::new(settings.max_connections.to_usize())),
                waiting: AtomicUsize::new(0),
                max_waiting: settings.max_waiting.to_usize(),
                retry: settings.retry,
                state: Mutex::default(),
            }),
        }
    }

    /// The schema, as an identifier in statements.
    pub fn schema(&self) -> &str {
        self.shared.connector.schema()
    }

    /// The expression for the next revision.
    pub fn next_revision(&self) -> &str {
        self.shared.connector.next_revision()
    }

    /// How long callers should wait when a connection has just broken.
    pub fn retry_after(&self) -> Duration {
        *self.shared.retry.min
    }

    /// Returns a connection, at the latest at the deadline. Fails at once if the last attempt to connect failed.
    pub async fn acquire(&self, deadline: Instant) -> Result<Lease, Error> {
        let permit = self.shared.permit(deadline).await?;
        if let Some(connection) = self.shared.idle_connection()? {
            return Ok(Lease { connection: Some(connection), busy: false, shared: self.shared.clone(), permit: Some(permit) });
        }
        self.shared.begin_attempt()?;
        // A task, so that a caller who leaves does not waste the attempt: the connection becomes idle when the result is dropped.
        let attempt = tokio::spawn(self.shared.clone().connect(permit));
        match tokio::time::timeout_at(deadline.into(), attempt).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(error::backend_closed()),
            Err(_) => Err(error::unavailable("PostgreSQL could not be connected in time", *self.shared.retry.min)),
        }
    }

    /// The counts of all connections.
    pub fn counters(&self) -> &Arc<ConnectionCounters> {
        self.shared.connector.counters()
    }

    /// What the connections do now. One that listens is in use.
    pub fn connections(&self) -> ConnectionStats {
        let counters = self.counters();
        let (pooled, idle) = {
            let pooled = &lock(&self.shared.state).idle;
            // Those that broke are found when they are used next.
            (pooled.len() as u64, pooled.iter().filter(|connection| !connection.is_closed()).count() as u64)
        };
        ConnectionStats {
            in_use: counters.open().saturating_sub(pooled),
            idle: Some(idle),
            waiting: Some(self.shared.waiting.load(Ordering::Relaxed) as u64),
            reconnects: Some(counters.reconnects()),
            failures: counters.failures(),
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.permits.is_closed()
    }

    /// Closes all connections for good, those that are in use when their calls have ended.
    pub fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closed = true;
        state.idle.clear();
        self.shared.permits.close();
    }
}

impl Shared {
    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::Closed) => return Err(error::backend_closed()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let _waiting = Waiting::begin(self)?;
        match tokio::time::timeout_at(deadline.into(), self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(error::backend_closed()),
            Err(_) => {
                Err(error::unavailable("all connections to PostgreSQL were busy; raise max_connections if that is usual", *self.retry.min))
            }
        }
    }

    fn idle_connection(&self) -> Result<Option<Connection>, Error> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(error::backend_closed());
        }
        while let Some(connection) = state.idle.pop() {
            if !connection.is_closed() {
                return Ok(Some(connection));
            }
            connection.count_as_broken();
        }
        Ok(None)
    }

    /// Refuses an attempt to connect during the pause after a failed one, and beside another one during an outage.
    fn begin_attempt(&self) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let Some(outage) = &mut state.outage else { return Ok(()) };
        let wait = outage.next_attempt.saturating_duration_since(Instant::now());
        if outage.attempting || !wait.is_zero() {
            return Err(outage.problem.to_connect_error(wait));
        }
        outage.attempting = true;
        Ok(())
    }

    async fn connect(self: Arc<Self>, permit: OwnedSemaphorePermit) -> Result<Lease, Error> {
        match self.connector.connect().await {
            Ok(connection) => {
                if lock(&self.state).outage.take().is_some() {
                    tracing::info!(address = self.connector.address(), "PostgreSQL can be reached again");
                }
                Ok(Lease { connection: Some(connection), busy: false, shared: self, permit: Some(permit) })
            }
            Err(problem) => {
                drop(permit);
                Err(self.attempt_failed(problem))
            }
        }
    }

    /// Remembers a failed attempt, and when the next one may begin.
    fn attempt_failed(&self, problem: Problem) -> Error {
        let mut state = lock(&self.state);
        let failures = state.outage.as_ref().map_or(0, |outage| outage.failures);
        let pause = self.retry.pause(failures);
        let error = problem.to_connect_error(pause);
        if failures == 0 {
            tracing::warn!(address = self.connector.address(), %error, "PostgreSQL can't be used; retrying until it can");
        }
        state.outage =
            Some(Outage { problem, failures: failures.saturating_add(1), next_attempt: Instant::now() + pause, attempting: false });
        error
    }

    fn give_back(&self, connection: Connection) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.idle.push(connection);
        }
    }
}

/// Counts a call that waits for a connection.
struct Waiting<'s>(&'s Shared);

impl<'s> Waiting<'s> {
    fn begin(shared: &'s Shared) -> Result<Self, Error> {
        let waiting = Self(shared);
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= shared.max_waiting {
            return Err(error::unavailable("too many calls wait for a connection to PostgreSQL", *shared.retry.min));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection for one call. Dropping it gives the connection back, or closes it if a statement or a transaction is not finished.
pub struct Lease {
    connection: Option<Connection>,
    /// Whether a statement runs, or a transaction is open.
    busy: bool,
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The connection, marked as busy until [`finish`](Self::finish).
    pub fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.busy = true;
        self.connection.as_mut().ok_or_else(error::backend_closed)
    }

    /// Says that no statement runs and no transaction is open.
    pub fn finish(&mut self) {
        self.busy = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(connection), permit) = (self.connection.take(), self.permit.take()) else { return };
        if connection.is_closed() {
            connection.count_as_broken();
            return;
        }
        if !self.busy {
            self.shared.give_back(connection);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                connection.cancel().await;
                // Only now another connection may be opened.
                drop(permit);
            });
        }
    }
}
