//! The backend: one Kafka cluster, shared by all namespaces that use it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::consumer::Consumer as _;

use crate::{
    client::Client,
    deadline::Deadline,
    error,
    journal::Journal,
    limits::SubscriptionLimits,
    names::Names,
    pubsub::{self, Hub, PubSub},
    settings::KafkaSettings,
    stream::{self, Streams},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Backend, Connecting, Keyspace, Limits, lock::lock, parse_settings, settings::BackendSettings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);
/// A topic that does not exist: the answer lists the brokers, and not all topics.
const HEALTH_TOPIC: &str = "prism-health";

struct KafkaBackend {
    client: Arc<Client>,
    subscriptions: Arc<SubscriptionLimits>,
    keyspaces: Mutex<HashMap<Keyspace, Shared>>,
}

/// What all requests for a keyspace get.
#[derive(Clone)]
struct Shared {
    journal: Arc<Journal>,
    hub: Arc<Hub>,
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
        let Shared { journal, hub } = {
            let mut keyspaces = lock(&self.keyspaces);
            let shared = keyspaces.entry(keyspace.clone()).or_insert_with(|| {
                let journal = Arc::new(Journal::new(self.client.clone(), names.journal(), keyspace.namespace.clone()));
                let hub = Hub::new(self.client.clone(), self.subscriptions.clone(), names.bus(), keyspace.namespace.clone());
                Shared { journal, hub: Arc::new(hub) }
            });
            shared.clone()
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
            hub.close();
            journal.close();
        }
        self.client.close().await;
    }
}
