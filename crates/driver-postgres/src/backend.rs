//! The backend: one PostgreSQL database, shared by all namespaces that use it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;
use tokio_postgres::Config;

use crate::{
    connector::Connector,
    database::Database,
    document, graph,
    keyspace::{KeyspaceHandle, Services},
    keyvalue, list,
    members::{self, Members},
    notifications::{self, ListenConnector, Notifications},
    pubsub, queue, set,
    settings::PostgresSettings,
    sortedset,
    sql::Sql,
    stream, sweeper, timeseries,
    tls::TlsConnector,
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Backend, BackendSettings, Connecting, ConnectionStats, Keyspace, Limits, invalid_settings, parse_settings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

/// Writes a row that belongs to no namespace: names of namespaces are not empty.
static PROBE: Sql = Sql {
    text: "INSERT INTO {schema}.keyspaces (namespace, slot) VALUES ('', '') ON CONFLICT (namespace, slot) DO UPDATE SET slot = EXCLUDED.slot",
    types: &[],
};

struct PostgresBackend {
    services: Services,
    tasks: Vec<AbortHandle>,
    limits: Limits,
}

impl Services {
    fn new(connector: Connector, settings: &PostgresSettings) -> Self {
        Self {
            database: Arc::new(Database::new(connector, settings)),
            notifications: Arc::new(Notifications::new(&settings.schema, settings.subscriptions, settings.can_listen())),
            members: Arc::new(Members::default()),
            topic_retention: settings.topics.limits(),
            results: Arc::default(),
        }
    }
}

/// Parses the settings and starts to connect.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move {
        let name = &settings.name;
        let settings: PostgresSettings = parse_settings(&settings)?;
        let (config, listen_config, tls) = settings.client().map_err(|problems| invalid_settings(name, &problems))?;
        let services = Services::new(Connector::new(config, tls.clone(), &settings), &settings);
        // The first sweep opens the first connection.
        let mut tasks = vec![sweeper::start(&services, *settings.sweep_interval)];
        let Services { database, members, .. } = services.clone();
        tasks.push(tokio::spawn(members::renew_members(members, database)).abort_handle());
        if settings.can_listen() {
            let connector = ListenConnector::new(listen_config, tls, &settings, services.database.counters().clone());
            let Services { database, notifications, .. } = services.clone();
            tasks.push(tokio::spawn(notifications::listen(notifications, database, connector)).abort_handle());
            let Services { database, notifications, .. } = services.clone();
            tasks.push(tokio::spawn(notifications::announce_changes(notifications, database)).abort_handle());
        }
        let limits = Limits { max_value_bytes: *settings.max_value_bytes, ..Limits::default() };
        Ok(Arc::new(PostgresBackend { services, tasks, limits }) as Arc<dyn Backend>)
    })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    // They don't depend on a server, so the database is never connected.
    let values = serde_json::Map::from_iter([("host".to_owned(), "localhost".into()), ("user".to_owned(), "prism".into())]);
    let settings: Result<PostgresSettings, _> = BackendSettings { name: String::new(), values }.parse();
    let Ok(settings) = settings else { return Vec::new() };
    let services = Services::new(Connector::new(Config::new(), TlsConnector::disabled(), &settings), &settings);
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    keyspace_interfaces(&KeyspaceHandle::new(&services, keyspace, Limits::default())).names()
}

fn keyspace_interfaces(keyspace: &Arc<KeyspaceHandle>) -> Interfaces {
    let mut interfaces = Interfaces::default();
    keyvalue::add(keyspace, &mut interfaces);
    queue::add(keyspace, &mut interfaces);
    stream::add(keyspace, &mut interfaces);
    pubsub::add(keyspace, &mut interfaces);
    list::add(keyspace, &mut interfaces);
    set::add(keyspace, &mut interfaces);
    sortedset::add(keyspace, &mut interfaces);
    document::add(keyspace, &mut interfaces);
    graph::add(keyspace, &mut interfaces);
    timeseries::add(keyspace, &mut interfaces);
    interfaces
}

#[async_trait]
impl Backend for PostgresBackend {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        keyspace_interfaces(&KeyspaceHandle::new(&self.services, keyspace.clone(), self.limits))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn connections(&self) -> Option<ConnectionStats> {
        Some(self.services.database.connections())
    }

    async fn health(&self) -> Result<(), Error> {
        self.services.database.query(&Context::internal("").with_timeout(HEALTH_TIMEOUT), &PROBE, &[]).await.map(drop)
    }

    async fn close(&self) {
        self.services.notifications.close();
        self.abort_tasks();
        self.services.database.close();
    }
}

impl Drop for PostgresBackend {
    fn drop(&mut self) {
        self.abort_tasks();
    }
}

impl PostgresBackend {
    fn abort_tasks(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
