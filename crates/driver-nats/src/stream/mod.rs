//! Stream: a JetStream stream for each stream. Offsets are sequences less one, so that the first record has offset 0.

mod basic;
mod consumer_groups;
mod group;
mod member;
mod reader;
mod record;
mod replay;
mod retention;

use std::sync::Arc;

use crate::{
    client::Client,
    documents::Documents,
    log::Log,
    names::{Names, token},
    signals::Signals,
};
use prism_call::proto::Interfaces;
use prism_driver::{Limits, subscriptions::SubscriptionLimits};

/// The stream interfaces over one keyspace.
#[derive(Clone)]
pub struct Streams {
    client: Arc<Client>,
    names: Names,
    documents: Arc<Documents>,
    signals: Arc<Signals>,
    subscriptions: Arc<SubscriptionLimits>,
    limits: Limits,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(streams: &Arc<Streams>, interfaces: &mut Interfaces) {
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams.clone());
}

impl Streams {
    pub fn new(
        client: Arc<Client>,
        names: Names,
        documents: Arc<Documents>,
        signals: Arc<Signals>,
        subscriptions: Arc<SubscriptionLimits>,
        limits: Limits,
    ) -> Self {
        Self { client, names, documents, signals, subscriptions, limits }
    }

    fn log(&self, stream: &str) -> Log {
        let subject = self.names.subject("stream", &token(stream));
        Log::new(self.client.clone(), self.names.named_stream("stream", stream), subject, &self.wake_subject(stream))
    }

    /// The subject of new records.
    fn wake_subject(&self, stream: &str) -> String {
        self.names.subject("wake", &format!("stream.{}", token(stream)))
    }
}

/// The tokens of the document of a consumer group.
fn group_tokens(stream: &str, group: &str) -> String {
    format!("group.{}.{}", token(stream), token(group))
}
