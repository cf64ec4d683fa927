//! Opens connections.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::OnceCell, task::AbortHandle};
use tokio_postgres::{Client, Config, Row, RowStream, Statement, types::ToSql};

use crate::{
    error::Problem,
    parameter::Parameter,
    schema,
    settings::{PostgresSettings, address},
    sql::{Sql, Texts},
    tls::TlsConnector,
};
use prism_driver::connections::{ConnectionCounters, OpenConnection};

/// How long the server may take to cancel a statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long migrations may take, including the wait for another gateway that runs them.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

/// Opens connections, and runs migrations over the first one.
pub struct Connector {
    config: Config,
    tls: TlsConnector,
    texts: Arc<Texts>,
    schema: String,
    prepare: bool,
    timeout: Duration,
    /// Statements for a new connection. Empty behind a pooler, where settings of a session would get lost.
    session: String,
    migrated: OnceCell<()>,
    counters: Arc<ConnectionCounters>,
}

impl Connector {
    pub fn new(config: Config, tls: TlsConnector, settings: &PostgresSettings) -> Self {
        let session = if settings.prepared_statements {
            // The gateway cancels statements at their deadlines. This is for the case that the gateway dies.
            let limit = settings.request_timeout.as_millis().saturating_mul(2).min(i32::MAX as u128);
            format!(
                "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}; SET default_transaction_isolation = 'read committed'"
            )
        } else {
            String::new()
        };
        Self {
            config,
            tls,
            texts: Arc::new(Texts::new(&settings.schema)),
            schema: settings.schema.clone(),
            prepare: settings.prepared_statements,
            timeout: *settings.connect_timeout,
            session,
            migrated: OnceCell::new(),
            counters: Arc::default(),
        }
    }

    /// The counts of all connections.
    pub fn counters(&self) -> &Arc<ConnectionCounters> {
        &self.counters
    }

    /// Opens a connection. The tables exist then.
    pub async fn connect(&self) -> Result<Connection, Problem> {
        let connected = self.connect_uncounted().await;
        if connected.is_err() {
            self.counters.failed();
        }
        connected
    }

    async fn connect_uncounted(&self) -> Result<Connection, Problem> {
        let mut connection = tokio::time::timeout(self.timeout, self.open()).await.unwrap_or(Err(Problem::ConnectTimeout))?;
        let migrate = self.migrated.get_or_try_init(|| schema::migrate(&connection.client, &self.schema, self.texts.schema()));
        tokio::time::timeout(MIGRATION_TIMEOUT, migrate).await.unwrap_or(Err(Problem::ConnectTimeout))?;
        connection.open = Some(self.counters.established());
        Ok(connection)
    }

    async fn open(&self) -> Result<Connection, Problem> {
        let (client, transport) = self.config.connect(self.tls.clone()).await?;
        // It ends when the client is dropped or the connection breaks; calls report the reason.
        let task = tokio::spawn(async move { drop(transport.await) }).abort_handle();
        let connection = Connection {
            client,
            statements: HashMap::new(),
            texts: self.texts.clone(),
            prepare: self.prepare,
            tls: self.tls.clone(),
            task,
            open: None,
        };
        if !self.session.is_empty() {
            connection.client.batch_execute(&self.session).await?;
        }
        Ok(connection)
    }

    /// The schema, as an identifier in statements.
    pub fn schema(&self) -> &str {
        self.texts.schema()
    }

    /// The expression for the next revision.
    pub fn next_revision(&self) -> &str {
        self.texts.next_revision()
    }

    /// The addresses of the servers, for the log.
    pub fn address(&self) -> String {
        address(&self.config)
    }
}

/// A connection, used by one call at a time.
pub struct Connection {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    texts: Arc<Texts>,
    prepare: bool,
    tls: TlsConnector,
    task: AbortHandle,
    /// Counts the connection, once it can be used.
    open: Option<OpenConnection>,
}

/// A statement that can be executed on one connection.
pub enum Executable {
    Prepared(Statement),
    /// Parsed at each execution, in the same round trip.
    Text(Arc<str>, &'static Sql),
}

impl Connection {
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Says that the connection broke, for the metrics.
    pub fn count_as_broken(&self) {
        if let Some(open) = &self.open {
            open.broke();
        }
    }

    /// Makes a statement executable; the first time, the server prepares it.
    pub async fn executable(&mut self, sql: &'static Sql) -> Result<Executable, Problem> {
        if !self.prepare {
            return Ok(Executable::Text(self.texts.complete(sql), sql));
        }
        if let Some(statement) = self.statements.get(sql.text) {
            return Ok(Executable::Prepared(statement.clone()));
        }
        let statement = self.client.prepare_typed(&self.texts.complete(sql), sql.types).await?;
        self.statements.insert(sql.text, statement.clone());
        Ok(Executable::Prepared(statement))
    }

    /// Makes statements executable.
    pub async fn executables(&mut self, calls: &[(&'static Sql, &[&(dyn ToSql + Sync)])]) -> Result<Vec<Executable>, Problem> {
        let mut executables = Vec::with_capacity(calls.len());
        for call in calls {
            executables.push(self.executable(call.0).await?);
        }
        Ok(executables)
    }

    /// Executes a statement. Futures that are polled together send their statements together, in this order.
    pub async fn execute(&self, executable: &Executable, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Problem> {
        Ok(match executable {
            Executable::Prepared(statement) => self.client.query(statement, parameters).await?,
            Executable::Text(text, sql) => {
                let typed: Vec<_> = parameters.iter().copied().zip(sql.types.iter().cloned()).collect();
                self.client.query_typed(text, &typed).await?
            }
        })
    }

    /// Executes a statement that is parsed for this execution only.
    pub async fn execute_text(&self, text: &str, parameters: &[Parameter]) -> Result<RowStream, Problem> {
        Ok(self.client.query_typed_raw(text, parameters.iter().map(Parameter::typed)).await?)
    }

    /// Executes a statement without parameters and result, such as `COMMIT`.
    pub async fn command(&self, text: &str) -> Result<(), Problem> {
        Ok(self.client.batch_execute(text).await?)
    }

    /// Cancels the statement that runs, and closes the connection.
    pub async fn cancel(self) {
        // If the server doesn't respond, the closed connection ends the statement as soon as the server notices it.
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, self.client.cancel_token().cancel_query(self.tls.clone())).await;
        self.task.abort();
    }
}
