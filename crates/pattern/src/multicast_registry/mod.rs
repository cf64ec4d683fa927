//! MulticastRegistry: identities with metadata, and messages to all that match a filter, over the slots `registry`, `messaging` and `durability`.
//!
//! A registration is one value whose time to live is that of the registration. Multicast reads the registrations page by page, evaluates the
//! filter, and has a bounded number of messages on their way. Gateways keep nothing but their open streams.

mod delivery;
mod filter;
mod hub;
mod identity;
mod mailboxes;
mod multicast;
mod receive;
mod registrations;
mod service;
mod settings;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use self::{delivery::Delivery, mailboxes::Mailboxes, registrations::Registrations, settings::MulticastRegistrySettings};
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, empty_slot, messaging::model::Model};
use prism_call::{Context, Error, Handler, Input, Method, Reply, proto::patterns::multicast_registry::v1::dispatch_multicast_registry};
use prism_settings::settings_schema;
use prism_slot::Limits;

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "multicast-registry",
    version: "v1",
    service: "prism.patterns.multicast_registry.v1.MulticastRegistryService",
    interface_services: &[],
    schema: settings_schema::<MulticastRegistrySettings>,
    check: check_settings::<MulticastRegistrySettings>,
    open_handler: |slots, environment| Box::pin(async { MulticastRegistry::open(slots, environment) }),
};

/// What delivers messages, the best first.
const MODELS: [(Model, &str); 3] = [(Model::PubSub, "pubsub_basic"), (Model::Queue, "queue_visibility"), (Model::Stream, "stream_basic")];

/// The pattern in one namespace.
pub struct MulticastRegistry {
    registrations: Arc<Registrations>,
    delivery: Arc<Delivery>,
    settings: MulticastRegistrySettings,
    limits: Limits,
    capabilities: NamespaceCapabilities,
}

impl MulticastRegistry {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: MulticastRegistrySettings = environment.settings()?;
        let (registry, messaging) = (slots.required("registry")?, slots.required("messaging")?);
        let durability = slots.optional("durability");
        let model = Model::choose(settings.model, &messaging, &MODELS)?;
        slots.restrict("messaging", |interface| model.uses(interface));
        let keeper = durability.as_ref().unwrap_or(&messaging);
        let max_value_bytes = keeper.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64);
        let limits = Limits { max_key_bytes: identity::MAX_IDENTITY_BYTES as u64, max_value_bytes, max_batch_items: 0 };
        let registrations = Arc::new(Registrations::new(&registry, *settings.max_registration_size)?);
        let delivery = Arc::new(Delivery::new(model, &messaging, durability.as_ref(), &settings, environment)?);
        if let Some(mailboxes) = delivery.mailboxes() {
            let context = Context::internal(environment.namespace.clone());
            environment.tasks.spawn(sweep::run(registrations.clone(), mailboxes.clone(), context, *settings.sweep_interval));
        }
        let capabilities = slots.capabilities(&limits, 0, environment);
        Ok(Arc::new(Self { registrations, delivery, settings, limits, capabilities }))
    }

    /// Returns the queues in which messages wait, or the error `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` for the RPC that needs them.
    fn mailboxes(&self, rpc: &str) -> Result<&Arc<Mailboxes>, Error> {
        self.delivery.mailboxes().ok_or_else(|| empty_slot(rpc, "durability", "queue_visibility"))
    }
}

#[async_trait]
impl Handler for MulticastRegistry {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_multicast_registry(self, context, &method.name, input).await?.into())
    }
}
