//! EventSourcing: the events of aggregates, over the slots `events`, `snapshots` and `notifications`.
//!
//! The key `head` holds the last commit: events of one aggregate. It is replaced by compare-and-set, so appends of all gateways have one order, and the version of an
//! aggregate is checked in the same step. Before a commit is replaced, its events are stored under their own keys (they are settled). Settling can be
//! repeated by anybody, so it does not matter which gateway does it, or whether one is killed.

mod append;
mod log;
mod read;
mod service;
mod settings;
mod snapshots;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use self::{log::Log, settings::EventSourcingSettings, snapshots::Snapshots, store::Store};
use super::{NamespaceCapabilities, Pattern, PatternEnvironment, Slots, check_settings, required_interface};
use prism_call::{Context, Error, Handler, Input, Method, Reply, proto::patterns::event_sourcing::v1::dispatch_event_sourcing};
use prism_settings::settings_schema;
use prism_slot::{Limits, check};

/// The entry in the table of patterns.
pub const PATTERN: Pattern = Pattern {
    name: "event-sourcing",
    version: "v1",
    service: "prism.patterns.event_sourcing.v1.EventSourcingService",
    interface_services: &[],
    schema: settings_schema::<EventSourcingSettings>,
    check: check_settings::<EventSourcingSettings>,
    open_handler: |slots, environment| Box::pin(async { EventSourcing::open(slots, environment) }),
};

/// Greatest length of the name of an aggregate in bytes. The proto states it.
const MAX_AGGREGATE_BYTES: usize = 128;

/// The pattern in one namespace.
pub struct EventSourcing {
    log: Arc<Log>,
    snapshots: Snapshots,
    capabilities: NamespaceCapabilities,
}

impl EventSourcing {
    fn open(slots: &mut Slots<'_>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let settings: EventSourcingSettings = environment.settings()?;
        let events = slots.required("events")?;
        let snapshots = Snapshots::new(slots.optional("snapshots").as_ref().unwrap_or(&events))?;
        let notifications = slots.optional("notifications");
        let notifications =
            notifications.map(|slot| required_interface(&slot, "pubsub_basic", slot.interfaces.pubsub_basic.clone())).transpose()?;
        let max_value_bytes = events.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64);
        let log = Arc::new(Log::new(Store::new(&events)?, notifications.clone(), *settings.poll_interval, max_value_bytes));
        if let Some(topics) = notifications {
            environment.tasks.spawn(log.clone().follow_notifications(topics, Context::internal(environment.namespace.clone())));
        }
        let limits = Limits { max_key_bytes: MAX_AGGREGATE_BYTES as u64, max_value_bytes, max_batch_items: 0 };
        Ok(Arc::new(Self { log, snapshots, capabilities: slots.capabilities(&limits, 0, environment) }))
    }
}

#[async_trait]
impl Handler for EventSourcing {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        Ok(dispatch_event_sourcing(self, context, &method.name, input).await?.into())
    }
}

/// Checks the name of an aggregate.
fn check_aggregate(aggregate: &str) -> Result<(), Error> {
    check::name("aggregate", aggregate)?;
    if aggregate.len() > MAX_AGGREGATE_BYTES {
        return Err(Error::invalid("aggregate", format!("must have at most {MAX_AGGREGATE_BYTES} bytes")).with_reason("INVALID_NAME"));
    }
    Ok(())
}
