//! The backend: one Kafka cluster, shared by all namespaces that use it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::consumer::Consumer as _;

use crate::{
    client::Client,
    deadline::Deadline,
    error,
    journal::Journal,
    names::Names,
    pubsub::{self, Hub, PubSub},
    settings::KafkaSettings,
    stream::{self, Streams},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{
    Backend, Connecting, ConnectionStats, Keyspace, Limits, lock::lock, parse_settings, settings::BackendSettings,
    subscriptions::SubscriptionLimits,
};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);
/// A topic that does not exist: the answer lists the brokers, and not all topics.
const HEALTH_TOPIC: &str = "prism-health";

struct KafkaBackend {
    client: Arc<Client>,
    subscriptions: Arc<SubscriptionLimits>,
    keyspaces: Mutex<HashMap<Keyspace, Shared>>,
}

/// What all users of a keyspace share, as long as there are any. Tenants come and go.
struct Shared {
    journal: Weak<Journal>,
    hub: Weak<Hub>,
}

/// Parses the settings and starts to connect.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move {
        let backend = KafkaBackend::new(parse_settings(&settings)?);
        backend.client.start()?;
        Ok(Arc::new(backend) as Arc<dyn Backend>)
    })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    // They don't depend on a server, so nothing is connected.
    let values = serde_json::Map::from_iter([("url".to_owned(), "kafka://localhost".into())]);
    let settings: Result<KafkaSettings, Error> = parse_settings(&BackendSettings { name: String::new(), values });
    let keyspace = Keyspace { namespace: String::new(), slot: String::new() };
    settings.map(|settings| KafkaBackend::new(settings).keyspace(&keyspace).names()).unwrap_or_default()
}

impl KafkaBackend {
    fn new(settings: KafkaSettings) -> Self {
        let subscriptions = Arc::new(SubscriptionLimits::new(settings.subscriptions));
        Self { client: Arc::new(Client::new(settings)), subscriptions, keyspaces: Mutex::default() }
    }
}

#[async_trait]
impl Backend for KafkaBackend {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        let names = Names::new(&self.client.settings.topic_prefix, keyspace);
        let (journal, hub) = {
            let mut keyspaces = lock(&self.keyspaces);
            let shared = keyspaces.get(keyspace);
            let journal = shared
                .and_then(|shared| shared.journal.upgrade())
                .unwrap_or_else(|| Arc::new(Journal::new(self.client.clone(), names.journal(), keyspace.namespace.clone())));
            let hub = shared.and_then(|shared| shared.hub.upgrade()).unwrap_or_else(|| {
                Arc::new(Hub::new(self.client.clone(), self.subscriptions.clone(), names.bus(), keyspace.namespace.clone()))
            });
            keyspaces.retain(|_, shared| shared.journal.strong_count() > 0);
            keyspaces.insert(keyspace.clone(), Shared { journal: Arc::downgrade(&journal), hub: Arc::downgrade(&hub) });
            (journal, hub)
        };
        let mut interfaces = Interfaces::default();
        let (client, limits) = (&self.client, self.limits());
        let streams = Streams::new(client.clone(), names.clone(), journal.clone(), self.subscriptions.clone(), limits);
        stream::add(&Arc::new(streams), &mut interfaces);
        pubsub::add(&Arc::new(PubSub::new(client.clone(), names, journal, hub, limits)), &mut interfaces);
        interfaces
    }

    fn limits(&self) -> Limits {
        Limits { max_value_bytes: *self.client.settings.max_value_bytes, ..Limits::default() }
    }

    fn connections(&self) -> Option<ConnectionStats> {
        Some(self.client.status.connections.stats())
    }

    async fn health(&self) -> Result<(), Error> {
        let deadline = Deadline::new(&Context::internal(""), HEALTH_TIMEOUT);
        let brokers = self
            .client
            .request(&deadline, move |consumer, timeout| Ok(consumer.fetch_metadata(Some(HEALTH_TOPIC), timeout)?.brokers().len()))
            .await?;
        if brokers == 0 { Err(error::unavailable("the cluster has no brokers")) } else { Ok(()) }
    }

    async fn close(&self) {
        let keyspaces: Vec<_> = lock(&self.keyspaces).drain().collect();
        for (_, Shared { journal, hub }) in keyspaces {
            if let Some(hub) = hub.upgrade() {
                hub.close();
            }
            if let Some(journal) = journal.upgrade() {
                journal.close();
            }
        }
        self.client.close().await;
    }
}
