//! Executes statements within the time limit of a call.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{TryStreamExt as _, future::try_join_all, try_join};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::{Row, types::ToSql};

use crate::{
    connector::Connector,
    error::{self, Problem},
    parameter::Parameter,
    pool::{Lease, Pool},
    settings::PostgresSettings,
    sql::Sql,
};
use prism_call::{Context, Error};
use prism_driver::{ConnectionStats, connections::ConnectionCounters, watch::WatchPermits};

/// The parameters of a statement.
pub type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// A statement with its parameters.
pub type Call<'p> = (&'static Sql, Parameters<'p>);

/// A PostgreSQL database.
pub struct Database {
    pool: Pool,
    timeout: Duration,
    watches: WatchPermits,
}

impl Database {
    pub fn new(connector: Connector, settings: &PostgresSettings) -> Self {
        let watches = WatchPermits::new(settings.max_watches.to_usize());
        Self { pool: Pool::new(connector, settings), timeout: *settings.request_timeout, watches }
    }

    /// A permit for one more watch.
    pub fn watch_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.watches.acquire()
    }

    /// Executes one statement, which is a transaction of its own.
    pub async fn query(&self, context: &Context, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let mut session = self.session(context).await?;
        let rows = session.query(sql, parameters).await?;
        session.finish();
        Ok(rows)
    }

    /// Executes one statement that returns at most one row.
    pub async fn query_optional(&self, context: &Context, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Option<Row>, Error> {
        Ok(self.query(context, sql, parameters).await?.into_iter().next())
    }

    /// The schema, as an identifier in statements.
    pub fn schema(&self) -> &str {
        self.pool.schema()
    }

    /// The expression for the next revision.
    pub fn next_revision(&self) -> &str {
        self.pool.next_revision()
    }

    /// Executes a statement that was written for one request, which is a transaction of its own.
    pub async fn query_text(&self, context: &Context, text: &str, parameters: &[Parameter]) -> Result<Vec<Row>, Error> {
        let mut session = self.session(context).await?;
        let rows = session.query_text(text, parameters).await?;
        session.finish();
        Ok(rows)
    }

    /// The same, for results that are too large to be held. An error of `read` cancels the statement.
    pub async fn read_rows(
        &self,
        context: &Context,
        text: &str,
        parameters: &[Parameter],
        mut read: impl FnMut(&Row) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let mut session = self.session(context).await?;
        let connection = session.lease.connection()?;
        let deadline = session.deadline;
        let started = in_time(deadline, connection.execute_text(text, parameters)).await;
        let mut rows = pin!(session.accept(started)?);
        loop {
            let next = in_time(deadline, async { rows.try_next().await.map_err(Problem::from) }).await;
            match session.accept(next)? {
                Some(row) => read(&row)?,
                None => break,
            }
        }
        session.finish();
        Ok(())
    }

    /// Executes two statements in one round trip. Each is a transaction of its own, and the second one sees what the first one did.
    pub async fn query_two(&self, context: &Context, first: Call<'_>, second: Call<'_>) -> Result<[Vec<Row>; 2], Error> {
        let mut session = self.session(context).await?;
        let connection = session.lease.connection()?;
        let deadline = session.deadline;
        let work = async {
            let executables = (connection.executable(first.0).await?, connection.executable(second.0).await?);
            try_join!(connection.execute(&executables.0, first.1), connection.execute(&executables.1, second.1))
        };
        let result = in_time(deadline, work).await;
        let (one, other) = session.accept(result)?;
        session.finish();
        Ok([one, other])
    }

    /// How long the statements of a call may take.
    pub fn time_limit(&self, context: &Context) -> Duration {
        context.remaining().map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// How long callers should wait when the server did not reply.
    pub fn retry_after(&self) -> Duration {
        self.pool.retry_after()
    }

    /// Takes a connection for several statements.
    pub async fn session<'d>(&'d self, context: &'d Context) -> Result<Session<'d>, Error> {
        let deadline = Instant::now() + self.time_limit(context);
        match self.pool.acquire(deadline).await {
            Ok(lease) => Ok(Session { lease, in_transaction: false, deadline, database: self, context }),
            Err(_) if context.remaining().is_some_and(|left| left.is_zero()) => Err(Error::deadline_exceeded()),
            Err(error) => Err(error),
        }
    }

    /// What the connections do now, including the one that listens.
    pub fn connections(&self) -> ConnectionStats {
        self.pool.connections()
    }

    /// The counts of all connections.
    pub fn counters(&self) -> &Arc<ConnectionCounters> {
        self.pool.counters()
    }

    /// Closes all connections for good.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

/// A connection, for the statements of one call. Dropping it before [`finish`](Self::finish) or [`commit`](Self::commit) cancels its
/// statement and rolls its transaction back.
pub struct Session<'d> {
    lease: Lease,
    in_transaction: bool,
    deadline: Instant,
    database: &'d Database,
    context: &'d Context,
}

impl Session<'_> {
    /// Executes a statement.
    pub async fn query(&mut self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let connection = self.lease.connection()?;
        let work = async {
            let executable = connection.executable(sql).await?;
            connection.execute(&executable, parameters).await
        };
        let result = in_time(self.deadline, work).await;
        if !self.in_transaction && matches!(&result, Some(Err(problem)) if problem.is_reply()) {
            // The server has only refused the statement.
            self.finish();
        }
        self.accept(result)
    }

    /// Executes a statement that was written for one request.
    pub async fn query_text(&mut self, text: &str, parameters: &[Parameter]) -> Result<Vec<Row>, Error> {
        let connection = self.lease.connection()?;
        let work = async {
            let rows = connection.execute_text(text, parameters).await?;
            Ok(rows.try_collect().await?)
        };
        let result = in_time(self.deadline, work).await;
        if !self.in_transaction && matches!(&result, Some(Err(problem)) if problem.is_reply()) {
            self.finish();
        }
        self.accept(result)
    }

    /// Rolls the transaction back, so that the connection can be used by other calls.
    pub async fn roll_back(mut self) -> Result<(), Error> {
        let connection = self.lease.connection()?;
        let result = in_time(self.deadline, connection.command("ROLLBACK")).await;
        self.accept(result)?;
        self.finish();
        Ok(())
    }

    /// Executes `before` as a transaction of its own, then begins a transaction and executes statements in it, all in one round trip.
    pub async fn begin<const N: usize>(&mut self, before: Option<Call<'_>>, statements: [Call<'_>; N]) -> Result<[Vec<Row>; N], Error> {
        self.in_transaction = true;
        let connection = self.lease.connection()?;
        let work = async {
            let first = match before {
                Some(call) => Some((connection.executable(call.0).await?, call.1)),
                None => None,
            };
            let executables = connection.executables(&statements).await?;
            let connection = &*connection;
            let before = async {
                match &first {
                    Some((executable, parameters)) => connection.execute(executable, parameters).await.map(drop),
                    None => Ok(()),
                }
            };
            let all = try_join_all(executables.iter().zip(statements).map(|(executable, call)| connection.execute(executable, call.1)));
            let ((), (), rows) = try_join!(before, connection.command("BEGIN ISOLATION LEVEL READ COMMITTED"), all)?;
            Ok(rows)
        };
        let result = in_time(self.deadline, work).await;
        self.accept(result)?.try_into().map_err(|_| error::unexpected_reply())
    }

    /// Executes statements and commits the transaction, in one round trip.
    pub async fn commit<const N: usize>(mut self, statements: [Call<'_>; N]) -> Result<(), Error> {
        let connection = self.lease.connection()?;
        let work = async {
            let executables = connection.executables(&statements).await?;
            let connection = &*connection;
            let all = try_join_all(executables.iter().zip(statements).map(|(executable, call)| connection.execute(executable, call.1)));
            try_join!(all, connection.command("COMMIT"))
        };
        let result = in_time(self.deadline, work).await;
        self.accept(result)?;
        self.finish();
        Ok(())
    }

    /// Says that nothing runs, so that the connection can be used by other calls.
    pub fn finish(&mut self) {
        self.lease.finish();
    }

    /// Maps the result of statements. `None`: they took too long.
    fn accept<T>(&self, result: Option<Result<T, Problem>>) -> Result<T, Error> {
        match result {
            Some(Ok(value)) => Ok(value),
            Some(Err(problem)) => Err(problem.to_error(self.database.pool.retry_after())),
            None if self.context.remaining().is_some_and(|left| left.is_zero()) => Err(Error::deadline_exceeded()),
            None => Err(error::unavailable(
                "PostgreSQL did not reply in time; a write may or may not have happened",
                self.database.pool.retry_after(),
            )),
        }
    }
}

/// Waits until the deadline.
async fn in_time<T>(deadline: Instant, work: impl Future<Output = Result<T, Problem>>) -> Option<Result<T, Problem>> {
    tokio::time::timeout_at(deadline.into(), work).await.ok()
}
