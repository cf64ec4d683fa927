//! PubSub. Messages reach the subscribers of all gateways over one Kafka topic for each keyspace, the bus: those of Publish, and copies of
//! those of PublishPersistent. Messages of PublishOrdered are commands of the journal, and are numbered there.

mod basic;
mod durable;
mod hub;
mod message;
mod ordering;
mod persistent;
mod subscriber;

use std::sync::Arc;

pub use hub::Hub;

use crate::{
    client::Client,
    journal::Journal,
    names::Names,
    topics::{TopicConfig, set},
};
use prism_call::proto::Interfaces;
use prism_driver::{Limits, time::Millis};

/// How long the bus keeps messages, for subscribers that are slow to read them.
const BUS_MAX_AGE: Millis = 600_000;

/// The pub/sub interfaces over one keyspace.
#[derive(Clone)]
pub struct PubSub {
    client: Arc<Client>,
    names: Names,
    journal: Arc<Journal>,
    hub: Arc<Hub>,
    limits: Limits,
}

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(pubsub: &Arc<PubSub>, interfaces: &mut Interfaces) {
    interfaces.pubsub_basic = Some(pubsub.clone());
    interfaces.pubsub_persistent = Some(pubsub.clone());
    interfaces.pubsub_ordering = Some(pubsub.clone());
}

impl PubSub {
    pub fn new(client: Arc<Client>, names: Names, journal: Arc<Journal>, hub: Arc<Hub>, limits: Limits) -> Self {
        Self { client, names, journal, hub, limits }
    }
}

/// The configuration of the bus.
fn bus_config(client: &Client) -> TopicConfig {
    let mut config = client.base_config();
    set(&mut config, "retention.ms", BUS_MAX_AGE.to_string());
    set(&mut config, "segment.ms", BUS_MAX_AGE.to_string());
    set(&mut config, "segment.bytes", (64 << 20).to_string());
    config
}

/// The configuration of the topic of stored messages.
fn topic_config(client: &Client) -> TopicConfig {
    let (mut config, topics) = (client.base_config(), client.settings.topics);
    let age = topics.max_age.as_millis();
    set(&mut config, "retention.ms", age.to_string());
    set(&mut config, "segment.ms", (age / 4).max(1000).to_string());
    if let Some(bytes) = topics.max_bytes {
        set(&mut config, "retention.bytes", bytes.to_string());
        set(&mut config, "segment.bytes", (*bytes / 4).clamp(1 << 20, 1 << 30).to_string());
    }
    config
}
