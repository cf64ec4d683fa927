//! The backend: one PostgreSQL database, shared by all namespaces that use it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;
use tokio_postgres::Config;

use crate::{
    connector::Connector, database::Database, keyspace::KeyspaceHandle, keyvalue, queue, settings::PostgresSettings, sql::Sql, sweeper,
    tls::TlsConnector,
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Backend, BackendSettings, Connecting, Keyspace, Limits, invalid_settings, parse_settings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

/// Writes a row that belongs to no namespace: names of namespaces are not empty.
static PROBE: Sql = Sql {
    text: "INSERT INTO {schema}.keyspaces (namespace, slot) VALUES ('', '') ON CONFLICT (namespace, slot) DO UPDATE SET slot = EXCLUDED.slot",
    types: &[],
};

struct PostgresBackend {
    database: Arc<Database>,
    sweeper: AbortHandle,
    limits: Limits,
}

/// Parses the settings and starts to connect.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move {
        let name = &settings.name;
        let settings: PostgresSettings = parse_settings(&settings)?;
        let (config, tls) = settings.client().map_err(|problems| invalid_settings(name, &problems))?;
        let database = Arc::new(Database::new(Connector::new(config, tls, &settings), &settings));
        // The first sweep opens the first connection.
        let sweeper = sweeper::start(&database, *settings.sweep_interval);
        let limits = Limits { max_value_bytes: *settings.max_value_bytes, ..Limits::default() };
        Ok(Arc::new(PostgresBackend { database, sweeper, limits }) as Arc<dyn Backend>)
    })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    // They don't depend on a server, so the database is never connected.
    let values = serde_json::Map::from_iter([("host".to_owned(), "localhost".into()), ("user".to_owned(), "prism".into())]);
    let settings: Result<PostgresSettings, _> = BackendSettings { name: String::new(), values }.parse();
    let Ok(settings) = settings else { return Vec::new() };
    let database = Database::new(Connector::new(Config::new(), TlsConnector::disabled(), &settings), &settings);
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    keyspace_interfaces(&KeyspaceHandle::new(Arc::new(database), keyspace, Limits::default())).names()
}

fn keyspace_interfaces(keyspace: &Arc<KeyspaceHandle>) -> Interfaces {
    let mut interfaces = Interfaces::default();
    keyvalue::add(keyspace, &mut interfaces);
    queue::add(keyspace, &mut interfaces);
    interfaces
}

#[async_trait]
impl Backend for PostgresBackend {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        keyspace_interfaces(&KeyspaceHandle::new(self.database.clone(), keyspace.clone(), self.limits))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn health(&self) -> Result<(), Error> {
        self.database.query(&Context::internal("").with_timeout(HEALTH_TIMEOUT), &PROBE, &[]).await.map(drop)
    }

    async fn close(&self) {
        self.sweeper.abort();
        self.database.close();
    }
}

impl Drop for PostgresBackend {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}
