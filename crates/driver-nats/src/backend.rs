//! The backend: the servers of one NATS system, shared by all namespaces that use it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::{
    client::{Client, Deadline},
    connection::Connection,
    documents::Documents,
    error,
    keyvalue::{self, KeyValue},
    names::Names,
    pubsub::{self, Hub, PubSub},
    queue::{self, DeadLetterSweeper, Queues},
    settings::NatsSettings,
    signals::Signals,
    stream::{self, Streams},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{
    Backend, Connecting, ConnectionStats, Keyspace, Limits, invalid_settings, parse_settings, settings::BackendSettings,
    subscriptions::SubscriptionLimits,
};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

struct NatsBackend {
    client: Arc<Client>,
    signals: Arc<Signals>,
    subscriptions: Arc<SubscriptionLimits>,
    hub: Arc<Hub>,
    sweeper: Arc<DeadLetterSweeper>,
    sweeping: Option<AbortHandle>,
    settings: NatsSettings,
}

/// Parses the settings and starts to connect.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move {
        let name = &settings.name;
        let parsed: NatsSettings = parse_settings(&settings)?;
        let connection = Connection::open(&parsed).await.map_err(|problems| invalid_settings(name, &problems))?;
        let mut backend = NatsBackend::new(connection, parsed);
        let sweeper = backend.sweeper.clone();
        backend.sweeping = Some(tokio::spawn(async move { sweeper.run().await }).abort_handle());
        Ok(Arc::new(backend) as Arc<dyn Backend>)
    })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    // They don't depend on a server, so nothing is connected.
    let values = serde_json::Map::from_iter([("url".to_owned(), "nats://localhost".into())]);
    let settings: Result<NatsSettings, Error> = parse_settings(&BackendSettings { name: String::new(), values });
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    settings.map(|settings| NatsBackend::new(Connection::none(&settings), settings).keyspace(&keyspace).names()).unwrap_or_default()
}

impl NatsBackend {
    fn new(connection: Connection, settings: NatsSettings) -> Self {
        let client = Arc::new(Client::new(Arc::new(connection), &settings));
        let subscriptions = Arc::new(SubscriptionLimits::new(settings.subscriptions));
        let (signals, hub) = (Arc::new(Signals::new(client.clone())), Arc::new(Hub::new(subscriptions.clone())));
        Self { client, signals, subscriptions, hub, sweeper: Arc::default(), sweeping: None, settings }
    }
}

#[async_trait]
impl Backend for NatsBackend {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        let names = Names::new(&self.settings.subject_prefix, keyspace);
        let (client, signals, limits) = (&self.client, &self.signals, self.limits());
        let documents = Arc::new(Documents::new(client.clone(), &names));
        let mut interfaces = Interfaces::default();
        let max_scan_keys = self.settings.max_scan_keys.to_usize();
        let keyvalue = Arc::new(KeyValue::new(client.clone(), &names, limits, max_scan_keys));
        keyvalue::add(&keyvalue, signals, &self.subscriptions, &mut interfaces);
        let (hub, topics) = (self.hub.clone(), self.settings.topics);
        let pubsub = PubSub::new(client.clone(), hub, names.clone(), documents.clone(), signals.clone(), topics, limits);
        pubsub::add(&Arc::new(pubsub), &mut interfaces);
        let queues = Arc::new(Queues::new(client.clone(), names.clone(), documents.clone(), signals.clone(), limits));
        self.sweeper.add(&keyspace.namespace, &queues);
        queue::add(&queues, &mut interfaces);
        let streams = Streams::new(client.clone(), names, documents, signals.clone(), self.subscriptions.clone(), limits);
        stream::add(&Arc::new(streams), &mut interfaces);
        interfaces
    }

    fn limits(&self) -> Limits {
        Limits { max_value_bytes: self.client.max_value_bytes(), ..Limits::default() }
    }

    fn connections(&self) -> Option<ConnectionStats> {
        Some(self.client.connection().stats())
    }

    async fn health(&self) -> Result<(), Error> {
        let deadline = Deadline::new(&Context::internal(""), HEALTH_TIMEOUT);
        match self.client.api::<Value>(&deadline, "INFO", &serde_json::json!({})).await? {
            Ok(_) => self.client.connection().unsupported_version().map_or(Ok(()), |version| Err(error::unsupported_server(&version))),
            Err(cause) => Err(error::map_api_error(&cause)),
        }
    }

    async fn close(&self) {
        self.hub.close();
        if let Some(sweeping) = &self.sweeping {
            sweeping.abort();
        }
        self.client.connection().close().await;
    }
}

impl Drop for NatsBackend {
    fn drop(&mut self) {
        if let Some(sweeping) = &self.sweeping {
            sweeping.abort();
        }
    }
}
