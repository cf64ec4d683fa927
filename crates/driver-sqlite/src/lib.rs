//! SQLite: one file beside the gateway, durable without any server.
//!
//! The file is in WAL mode: one thread writes ([`writer`]), a pool of connections reads ([`readers`]), and neither waits for the
//! other. Several processes of one machine may share a file. All keyspaces live in the same tables, by their id ([`schema`]).

mod attributes;
mod checkpoint;
mod error;
mod keyvalue;
mod members;
mod open;
mod queue;
mod readers;
mod schema;
mod settings;
mod signals;
mod space;
mod stream;
mod sweeper;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;

pub use settings::{Durability, Settings};

use self::{
    members::Members,
    readers::Readers,
    signals::Signals,
    space::{Database, Space},
    writer::Writer,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{self as driver, Backend, Keyspace, Kind, Limits};

/// The driver.
pub static KIND: Kind = Kind {
    name: "sqlite",
    interfaces: || {
        interfaces(&Space::new(Arc::new(Database::closed()), Keyspace { namespace: String::new(), slot: String::new() })).names()
    },
    schema: || schemars::schema_for!(Settings),
    connect: |settings| Box::pin(async move { Ok(Arc::new(Sqlite::connect(&settings).await?) as Arc<dyn Backend>) }),
};

/// How long a health check waits.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

/// One database file.
pub struct Sqlite {
    database: Arc<Database>,
    tasks: [AbortHandle; 3],
}

impl Sqlite {
    /// Opens the file, or makes it. Needs a Tokio runtime around it.
    async fn connect(settings: &driver::Settings) -> Result<Self, Error> {
        let settings: Settings = settings.parse()?;
        let mut settings = settings.check()?;
        // A relative path stays the same file if the process changes its folder, and `:memory:` is a file like others.
        settings.path = std::path::absolute(&settings.path).map_err(|error| Error::invalid("path", error.to_string()))?;
        let opening = settings.clone();
        let connection = tokio::task::spawn_blocking(move || open::writer(&opening)).await;
        let connection = connection.map_err(|error| Error::internal("opening the database was broken off").with_source(error))??;
        let signals = Arc::new(Signals::default());
        let writer = Writer::start(connection, &settings, signals.clone())
            .map_err(|error| Error::internal("the thread that writes the database can't be started").with_source(error))?;
        let readers = Readers::new(settings.path.clone(), settings.readers, *settings.busy_timeout);
        let database = Arc::new(Database { writer, readers, signals, limits: Limits::default(), members: Members::default() });
        let tasks = sweeper::start(&database, *settings.sweep_interval);
        Ok(Self { database, tasks })
    }
}

impl Database {
    /// A database that refuses everything, for asking what the driver could do.
    fn closed() -> Self {
        Self {
            writer: Writer::closed(),
            readers: Readers::new(PathBuf::new(), 1, Duration::ZERO),
            signals: Arc::default(),
            limits: Limits::default(),
            members: Members::default(),
        }
    }
}

fn interfaces(space: &Arc<Space>) -> Interfaces {
    let mut interfaces = Interfaces::default();
    keyvalue::add(&mut interfaces, space);
    stream::add(&mut interfaces, space);
    queue::add(&mut interfaces, space);
    interfaces
}

#[async_trait]
impl Backend for Sqlite {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        interfaces(&Space::new(self.database.clone(), keyspace.clone()))
    }

    fn limits(&self) -> Limits {
        self.database.limits
    }

    async fn health(&self) -> Result<(), Error> {
        let both = async {
            self.database.readers.read(|connection| Ok(schema::version(connection)?)).await?;
            self.database.writer.write(|_| Ok(())).await
        };
        tokio::time::timeout(HEALTH_TIMEOUT, both).await.unwrap_or_else(|_| {
            Err(Error::backend_unavailable("the database does not answer; its disk may be slow, or locked", Duration::from_secs(1)))
        })
    }

    async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        // The writer last: only the last connection can put the log away, and only one that writes.
        self.database.readers.close().await;
        self.database.writer.close().await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
