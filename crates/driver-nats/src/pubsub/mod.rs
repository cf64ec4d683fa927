//! PubSub. Subscribers use subscriptions of core NATS, for messages of all kinds:
//!
//! | subject | messages |
//! |---|---|
//! | `t.p.TOPIC` | of Publish, which are not stored |
//! | `t.s.TOPIC` | of PublishPersistent: copies that JetStream publishes after it has stored them under `p.s.TOPIC` |
//! | `t.kKEY.TOPIC` | of PublishOrdered: copies that JetStream publishes after it has stored them under `o.kKEY.TOPIC` |
//!
//! A message has its attributes and its time in headers.

mod basic;
mod durable;
mod hub;
mod message;
mod ordering;
mod persistent;
mod position;
mod subscriber;
mod wildcards;

use std::sync::Arc;

use serde_json::json;

pub use hub::Hub;

use crate::{
    client::Client,
    documents::Documents,
    log::Log,
    names::{Names, topic_tokens},
    settings::Topics,
    signals::Signals,
    table::Table,
};
use prism_call::proto::Interfaces;
use prism_driver::Limits;

/// The pub/sub interfaces over one keyspace.
#[derive(Clone)]
pub struct PubSub {
    client: Arc<Client>,
    hub: Arc<Hub>,
    names: Names,
    documents: Arc<Documents>,
    signals: Arc<Signals>,
    /// The last message of each line of PublishOrdered.
    lines: Arc<Table>,
    topics: Topics,
    limits: Limits,
}

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(pubsub: &Arc<PubSub>, interfaces: &mut Interfaces) {
    interfaces.pubsub_basic = Some(pubsub.clone());
    interfaces.pubsub_wildcards = Some(pubsub.clone());
    interfaces.pubsub_persistent = Some(pubsub.clone());
    interfaces.pubsub_ordering = Some(pubsub.clone());
}

impl PubSub {
    pub fn new(
        client: Arc<Client>,
        hub: Arc<Hub>,
        names: Names,
        documents: Arc<Documents>,
        signals: Arc<Signals>,
        topics: Topics,
        limits: Limits,
    ) -> Self {
        let copies = json!({"republish": {"src": names.subject("o", ">"), "dest": names.subject("t", ">")}});
        let lines = Arc::new(Table::new(client.clone(), &names, "o", &copies));
        Self { client, hub, names, documents, signals, lines, topics, limits }
    }

    /// The subject of messages of one kind, or with `*` of all kinds, to a topic or a pattern.
    fn subject(&self, kind: &str, topic: &str) -> String {
        self.names.subject("t", &format!("{kind}.{}", topic_tokens(topic)))
    }

    /// The stored messages of a topic.
    fn log(&self, topic: &str) -> Log {
        let (stored, copies) = (self.names.subject("p", &format!("s.{}", topic_tokens(topic))), self.subject("s", topic));
        let age = u64::try_from(self.topics.max_age.as_nanos()).unwrap_or(u64::MAX / 2);
        Log::new(self.client.clone(), self.names.named_stream("topic", topic), stored.clone(), &copies)
            .with("republish", json!({"src": stored, "dest": copies}))
            .with("max_age", age)
            .with("duplicate_window", age.min(120_000_000_000))
            .with("max_bytes", self.topics.max_bytes.map_or(-1, |most| i64::try_from(*most).unwrap_or(i64::MAX)))
    }
}
