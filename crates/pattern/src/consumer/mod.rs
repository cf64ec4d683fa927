//! Consumer: receives messages of streams, queues or live topics, over the slots `messaging`, `progress` and `payloads`.
//!
//! Gateways are stateless. A queue keeps its leases itself. The progress of a group that reads a stream is one value in the slot `progress`,
//! which is changed by compare-and-set: the next offset, and the deliveries that were not acknowledged.

mod consume;
mod filter;
mod group;
mod lease;
mod live;
mod message;
mod payload;
mod queue;
mod service;
mod settings;
mod shared;
mod state;
mod subscribe;
mod tail;
#[cfg(test)]
mod tests;
mod topics;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;

use self::{
    filter::MessageFilter, group::StreamGroups, live::LiveTopics, queue::Queues, settings::ConsumerSettings, shared::SubscriptionItem,
    tail::Tails,
};
use super::{
    NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings,
    messaging::{delays, model::Model, names, payloads::PayloadReader},
};
use prism_call::{
    Context, Error, Handler, Input, Method, Output, Reply,
    proto::patterns::consumer::v1::{Message, Start, dispatch_consumer},
};
use prism_settings::settings_schema;
use prism_slot::Limits;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "consumer",
    version: "v1",
    service: "prism.patterns.consumer.v1.ConsumerService",
    interface_services: &[],
    schema: settings_schema::<ConsumerSettings>,
    check: check_settings::<ConsumerSettings>,
    open_handler: |slots, environment| Box::pin(async { Consumer::open(slots, environment) }),
};

/// Most messages of one Receive, and most leases of one Ack.
const MAX_MESSAGES: u32 = 100;

/// The pattern in one namespace.
pub struct Consumer {
    source: Arc<Source>,
    /// Present if the slot `payloads` is filled.
    payloads: Option<Arc<PayloadReader>>,
    settings: ConsumerSettings,
    /// Name of the backend in the slot `messaging`, for error messages.
    backend: String,
    capabilities: NamespaceCapabilities,
}

/// Where messages come from.
enum Source {
    Stream {
        groups: Arc<StreamGroups>,
        /// Read topics without a group.
        tails: Arc<Tails>,
    },
    Queue(Queues),
    Live(LiveTopics),
}

/// What to receive for a group.
#[derive(Clone)]
struct ReceiveOptions {
    topic: String,
    group: String,
    limit: u32,
    wait: Duration,
    lease: Duration,
    start: Start,
    /// Whether the gateway acknowledges messages.
    auto_ack: bool,
    /// Messages that it does not match are acknowledged and not received.
    filter: Option<Arc<MessageFilter>>,
}

/// The fields of a request with a filter.
struct FilterFields<'r> {
    /// The path of the message with the fields, as `begin.`.
    path: &'static str,
    filter: &'r str,
    discard_unmatched: bool,
}

impl Consumer {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: ConsumerSettings = environment.settings()?;
        let messaging = slots.required("messaging")?;
        let progress = slots.optional("progress");
        let (stream, queue, live) = ((Model::Stream, "stream_basic"), (Model::Queue, "queue_visibility"), (Model::PubSub, "pubsub_basic"));
        // Without progress, a stream can only be read without groups.
        let preferred = if progress.is_some() { [stream, queue, live] } else { [queue, live, stream] };
        let model = Model::choose(settings.model, &messaging, &preferred)?;
        slots.restrict("messaging", |interface| model.uses(interface));
        let (inline, message) = (messaging.limits.max_value_bytes, environment.limits.max_message_bytes as u64);
        let payloads = slots.optional("payloads").map(|slot| PayloadReader::new(&slot, message)).transpose()?.map(Arc::new);
        let max_value_bytes = if payloads.is_some() { message } else { inline.min(message) };
        let limits = Limits { max_key_bytes: 0, max_value_bytes, max_batch_items: MAX_MESSAGES };
        let source = match model {
            Model::Stream => {
                let groups = Arc::new(StreamGroups::new(&messaging, progress.as_ref(), payloads.clone(), settings)?);
                let (namespace, tasks) = (environment.namespace.clone(), environment.tasks.clone());
                let tails = Tails::new(groups.clone(), namespace, tasks, environment.fan_out_meters.clone());
                Source::Stream { groups, tails }
            }
            Model::Queue => Source::Queue(Queues::new(&messaging, payloads.clone(), settings)?),
            Model::PubSub => Source::Live(LiveTopics::new(&messaging)?),
        };
        let capabilities = slots.capabilities(&limits, 0, environment);
        Ok(Arc::new(Self { source: Arc::new(source), payloads, settings, backend: messaging.backend, capabilities }))
    }

    /// Returns the error for an RPC that the model of the namespace does not have.
    fn unavailable(&self, rpc: &str) -> Error {
        let interface = match &*self.source {
            Source::Stream { .. } | Source::Live(_) => "stream_basic",
            Source::Queue(_) => "queue_visibility",
        };
        Error::capability_unavailable(rpc, interface, &self.backend)
    }

    /// Checks the fields that requests for a group have. Returns the group.
    fn check_group(&self, topic: &str, group: String) -> Result<String, Error> {
        names::topic(topic)?;
        let group = names::group(group)?;
        if matches!(&*self.source, Source::Queue(_)) && group != names::DEFAULT_GROUP {
            return Err(Error::invalid("group", "must be `default` or empty, since the topics of this namespace are queues"));
        }
        Ok(group)
    }

    /// Compiles the filter of a request.
    fn filter(&self, fields: &FilterFields<'_>) -> Result<Option<Arc<MessageFilter>>, Error> {
        let FilterFields { path, filter, discard_unmatched } = fields;
        let filter = MessageFilter::compile(&format!("{path}filter"), filter)?;
        if filter.is_some() && !discard_unmatched && matches!(&*self.source, Source::Queue(_)) {
            let problem = "must be true with a filter, since a queue gives each message to one consumer, and messages that the filter does not match are removed";
            return Err(Error::invalid(format!("{path}discard_unmatched"), problem));
        }
        Ok(filter)
    }

    fn lease_time(&self, duration: Option<&prost_types::Duration>) -> Result<Duration, Error> {
        Ok(delays::lease(duration)?.unwrap_or(*self.settings.lease_duration))
    }
}

impl Source {
    /// Receives messages for a group.
    async fn receive(&self, context: &Context, options: &ReceiveOptions) -> Result<Vec<Message>, Error> {
        match self {
            Self::Stream { groups, .. } => groups.receive(context, options).await,
            Self::Queue(queues) => queues.receive(context, options).await,
            Self::Live(topics) => Err(topics.no_groups()),
        }
    }

    /// Acknowledges messages. Returns the number of leases that had not ended.
    async fn ack(&self, context: &Context, topic: &str, group: &str, leases: &[String]) -> Result<u32, Error> {
        if leases.is_empty() || leases.len() > MAX_MESSAGES as usize {
            let problem = format!("has {} items; 1 to {MAX_MESSAGES} are allowed", leases.len());
            return Err(Error::invalid("leases", problem).with_reason("BATCH_SIZE").with("limit", MAX_MESSAGES.to_string()));
        }
        let leases = leases.iter().map(|lease| lease::decode("leases", topic, group, lease)).collect::<Result<Vec<_>, _>>()?;
        match self {
            Self::Stream { groups, .. } => groups.ack(context, topic, group, &leases).await,
            Self::Queue(queues) => queues.ack(context, topic, leases).await,
            Self::Live(topics) => Err(topics.no_groups()),
        }
    }

    /// Gives a message back. Returns when it is delivered again, or `None` if it is dead.
    async fn nack(
        &self,
        context: &Context,
        (topic, group, lease): (&str, &str, &str),
        delay: Option<&prost_types::Duration>,
    ) -> Result<Option<prost_types::Timestamp>, Error> {
        let lease = lease::decode("lease", topic, group, lease)?;
        let delay = delays::retry(delay)?;
        match self {
            Self::Stream { groups, .. } => groups.nack(context, topic, group, &lease, delay).await,
            Self::Queue(queues) => queues.nack(context, lease, delay).await,
            Self::Live(topics) => Err(topics.no_groups()),
        }
    }
}

#[async_trait]
impl Handler for Consumer {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        if method.name == "Subscribe" {
            // Not by the dispatch, which encodes each message for each subscription.
            let items = subscribe::subscribe(self, context, input.one().await?).await?;
            return Ok(Output::stream(items.map(|item| item.map(SubscriptionItem::encode))).into());
        }
        Ok(dispatch_consumer(self, context, &method.name, input).await?.into())
    }
}
