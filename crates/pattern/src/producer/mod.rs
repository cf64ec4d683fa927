//! Producer: publishes messages to streams, queues or live topics, over the slots `messaging`, `ids` and `payloads`.

mod publish;
mod service;
mod settings;
pub(crate) mod target;
mod upload;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use self::{settings::ProducerSettings, target::Target};
use super::{
    NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings,
    claims::Claims,
    messaging::{model::Model, payloads::PayloadWriter},
};
use prism_call::{Context, Error, Handler, Input, Method, Reply, proto::patterns::producer::v1::dispatch_producer};
use prism_settings::settings_schema;
use prism_slot::Limits;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "producer",
    version: "v1",
    service: "prism.patterns.producer.v1.ProducerService",
    interface_services: &[],
    schema: settings_schema::<ProducerSettings>,
    check: check_settings::<ProducerSettings>,
    open_handler: |slots, environment| Box::pin(async { Producer::open(slots, environment) }),
};

/// The models, the preferred one first, and the interface that each needs.
pub(crate) const MODELS: [(Model, &str); 3] =
    [(Model::Stream, "stream_basic"), (Model::Queue, "queue_basic"), (Model::PubSub, "pubsub_basic")];
/// Most messages of a batch.
const MAX_BATCH: u32 = 100;
/// Longest key of a message.
const MAX_KEY_BYTES: u64 = 1024;

/// The pattern in one namespace.
pub struct Producer {
    model: Model,
    target: Target,
    /// Present if the slot `ids` is filled.
    ids: Option<Claims>,
    /// Present if the slot `payloads` is filled.
    payloads: Option<PayloadWriter>,
    retention: Duration,
    /// Name of the backend in the slot `messaging`, for error messages.
    backend: String,
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl Producer {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: ProducerSettings = environment.settings()?;
        let messaging = slots.required("messaging")?;
        let model = Model::choose(settings.model, &messaging, &MODELS)?;
        slots.restrict("messaging", |interface| model.uses(interface));
        let ids = slots.optional("ids").map(|slot| Claims::new(&slot)).transpose()?;
        let message = environment.limits.max_message_bytes as u64;
        let inline = messaging.limits.max_value_bytes.min(message);
        let payloads = slots.optional("payloads");
        let payloads = payloads.map(|slot| PayloadWriter::new(&slot, settings.payloads, inline, environment)).transpose()?;
        let max_value_bytes = if payloads.is_some() { message } else { inline };
        let limits = Limits { max_key_bytes: MAX_KEY_BYTES, max_value_bytes, max_batch_items: MAX_BATCH };
        let capabilities = slots.capabilities(&limits, 0, environment);
        let target = Target::new(model, &messaging)?;
        let (retention, backend) = (*settings.retention, messaging.backend);
        Ok(Arc::new(Self { model, target, ids, payloads, retention, backend, limits, capabilities }))
    }
}

#[async_trait]
impl Handler for Producer {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_producer(self, context, &method.name, input).await?.into())
    }
}
