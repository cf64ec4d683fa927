//! The backend: one Redis server, shared by all namespaces that use it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::{
    blocking::BlockingConnections,
    client::Client,
    connection::Connector,
    keys::KeyNames,
    keyvalue::{self, KeyValue},
    list::{self, Lists},
    pubsub::{self, Hub, PubSub},
    set::{self, Sets},
    settings::RedisSettings,
    sortedset::{self, SortedSets},
    stream::{self, RetentionSweeper, Streams},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Backend, Connecting, ConnectionStats, Keyspace, Limits, invalid_settings, parse_settings, settings::BackendSettings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

struct RedisBackend {
    client: Arc<Client>,
    hub: Arc<Hub>,
    blocking: Arc<BlockingConnections>,
    sweeper: Arc<RetentionSweeper>,
    tasks: Vec<AbortHandle>,
    limits: Limits,
    key_prefix: String,
}

/// Parses the settings and starts to connect.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move { open(&settings, true).map(|redis| Arc::new(redis) as Arc<dyn Backend>) })
}

/// Creates the backend; without connections and tasks if `connected` is false.
fn open(settings: &BackendSettings, connected: bool) -> Result<RedisBackend, Error> {
    let name = &settings.name;
    let settings: RedisSettings = parse_settings(settings)?;
    let client = settings.client().map_err(|problems| invalid_settings(name, &problems))?;
    let connections = if connected { settings.connections.to_usize() } else { 0 };
    let connector = Connector::new(client, &settings);
    let hub = Arc::new(Hub::new(settings.subscriptions));
    let sweeper = Arc::new(RetentionSweeper::default());
    let mut tasks = Vec::new();
    if connected {
        let sweeping = sweeper.clone();
        tasks.push(tokio::spawn(async move { sweeping.run().await }).abort_handle());
        tasks.push(tokio::spawn(pubsub::listen(hub.clone(), connector.clone())).abort_handle());
    }
    Ok(RedisBackend {
        client: Arc::new(Client::open(connector.clone(), &settings, connections)),
        hub,
        blocking: Arc::new(BlockingConnections::new(connector, settings.waiting_connections.to_usize())),
        sweeper,
        tasks,
        limits: Limits { max_value_bytes: *settings.max_value_bytes, ..Limits::default() },
        key_prefix: settings.key_prefix,
    })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    // They don't depend on a server, so the client has no connections.
    let values = serde_json::Map::from_iter([("url".to_owned(), "redis://localhost".into())]);
    let settings = BackendSettings { name: String::new(), values };
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    open(&settings, false).map(|redis| redis.keyspace(&keyspace).names()).unwrap_or_default()
}

#[async_trait]
impl Backend for RedisBackend {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        let keys = Arc::new(KeyNames::new(&self.key_prefix, keyspace));
        let mut interfaces = Interfaces::default();
        let keyvalue = Arc::new(KeyValue::new(self.client.clone(), keys.clone(), self.limits));
        keyvalue::add(&keyvalue, &self.hub, &self.blocking, &mut interfaces);
        pubsub::add(&Arc::new(PubSub::new(self.client.clone(), self.hub.clone(), keys.clone(), self.limits)), &mut interfaces);
        set::add(&Arc::new(Sets::new(self.client.clone(), keys.clone(), self.limits)), &mut interfaces);
        sortedset::add(&Arc::new(SortedSets::new(self.client.clone(), keys.clone(), self.limits)), &mut interfaces);
        list::add(&Arc::new(Lists::new(self.client.clone(), self.blocking.clone(), keys.clone(), self.limits)), &mut interfaces);
        let streams = Streams::new(self.client.clone(), self.hub.clone(), self.blocking.clone(), keys, self.limits);
        let streams = Arc::new(streams);
        self.sweeper.add(keyspace, &streams);
        stream::add(&streams, &mut interfaces);
        interfaces
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn connections(&self) -> Option<ConnectionStats> {
        let (counters, idle) = (self.client.connector().counters(), self.blocking.idle());
        Some(ConnectionStats {
            in_use: counters.open().saturating_sub(idle),
            idle: Some(idle),
            waiting: None,
            reconnects: Some(counters.reconnects()),
            failures: counters.failures(),
        })
    }

    async fn health(&self) -> Result<(), Error> {
        let key = format!("{}probe", self.key_prefix);
        self.client.check_writes(&Context::internal("").with_timeout(HEALTH_TIMEOUT), &key).await
    }

    async fn close(&self) {
        self.hub.close();
        self.blocking.close();
        for task in &self.tasks {
            task.abort();
        }
        self.client.close();
    }
}

impl Drop for RedisBackend {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
