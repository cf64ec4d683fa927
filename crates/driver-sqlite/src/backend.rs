//! The backend: one database file, and the tasks that work on it in the background.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::{
    database::Database, document, error::damaged, graph, keyspace::KeyspaceHandle, keyvalue, list, open, queue, readers::Readers,
    reserve::Reserve, schema, set, settings::SqliteSettings, signals::Signals, sortedset, stream, sweeper, timeseries, writer::Writer,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Backend, BackendSettings, Connecting, Keyspace, Limits, parse_settings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

/// One database file.
pub struct Sqlite {
    database: Arc<Database>,
    tasks: [AbortHandle; 4],
}

/// Parses the settings, and opens the file or creates it.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Sqlite::open(&settings).await?) as Arc<dyn Backend>) })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    keyspace_interfaces(&KeyspaceHandle::new(Arc::new(Database::closed()), keyspace)).names()
}

fn keyspace_interfaces(keyspace: &Arc<KeyspaceHandle>) -> Interfaces {
    let mut interfaces = Interfaces::default();
    keyvalue::add(keyspace, &mut interfaces);
    stream::add(keyspace, &mut interfaces);
    queue::add(keyspace, &mut interfaces);
    list::add(keyspace, &mut interfaces);
    set::add(keyspace, &mut interfaces);
    sortedset::add(keyspace, &mut interfaces);
    timeseries::add(keyspace, &mut interfaces);
    document::add(keyspace, &mut interfaces);
    graph::add(keyspace, &mut interfaces);
    interfaces
}

impl Sqlite {
    /// Opens the file, or creates it. Must be called inside a Tokio runtime.
    pub async fn open(settings: &BackendSettings) -> Result<Self, Error> {
        let mut settings: SqliteSettings = parse_settings(settings)?;
        // An absolute path still names the same file after the process has changed its folder. It also makes `:memory:` a file name.
        settings.path = std::path::absolute(&settings.path).map_err(|error| Error::invalid("path", error.to_string()))?;
        let opening = settings.clone();
        let connection = tokio::task::spawn_blocking(move || open::writer(&opening)).await;
        let connection = connection.map_err(|error| Error::internal("opening the database was interrupted").with_source(error))??;
        let signals = Arc::new(Signals::default());
        let writer = Writer::start(connection, &settings, signals.clone())
            .map_err(|error| Error::internal("the thread that writes the database can't be started").with_source(error))?;
        let readers = Readers::new(settings.path.clone(), *settings.readers, *settings.busy_timeout);
        let path = settings.path.clone();
        let reserve = tokio::task::spawn_blocking(move || Reserve::beside(&path)).await;
        let reserve = reserve.unwrap_or_else(|_| Reserve::none());
        let database = Arc::new(Database::new(writer, readers, signals, reserve, &settings));
        let tasks = sweeper::start(&database, *settings.sweep_interval);
        Ok(Self { database, tasks })
    }

    fn abort_tasks(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        keyspace_interfaces(&KeyspaceHandle::new(self.database.clone(), keyspace.clone()))
    }

    fn limits(&self) -> Limits {
        self.database.limits
    }

    fn connections(&self) -> Option<prism_driver::ConnectionStats> {
        None
    }

    async fn health(&self) -> Result<(), Error> {
        let read_and_write = async {
            if self.database.is_damaged() {
                return Err(damaged());
            }
            self.database.readers.read(|connection| Ok(schema::version(connection)?)).await?;
            self.database.writer.write(|tx| Ok(schema::rewrite_version(tx.connection)?)).await?;
            let database = self.database.clone();
            // If it fails, there was no room.
            let _ = tokio::task::spawn_blocking(move || database.reserve.restore()).await;
            Ok(())
        };
        tokio::time::timeout(HEALTH_TIMEOUT, read_and_write).await.unwrap_or_else(|_| {
            Err(Error::backend_unavailable("the database does not respond; its disk may be slow, or locked", Duration::from_secs(1)))
        })
    }

    async fn close(&self) {
        self.abort_tasks();
        // If it fails, the calls of this gateway end when it no longer renews its row.
        let _ = list::end_waits(&self.database).await;
        // The writer comes last: only the last connection can remove the write-ahead log, and only if it may write.
        self.database.readers.close().await;
        self.database.writer.close().await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.abort_tasks();
    }
}
