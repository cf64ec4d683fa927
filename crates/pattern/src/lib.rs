//! The patterns: the services that clients call. Each pattern is one service over named slots.
//!
//! A pattern's folder holds its [`Handler`]. Its entry in [`PATTERNS`] is all that the rest of Prism knows of it. Options in the
//! pattern's proto say which interfaces its slots require and how its RPCs use them.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use prism_call::{Error, Handler, Method, interface_of, proto};
use prism_settings::{CheckSettings, SettingProblem, SettingsCheck, parse_settings};
use prism_slot::Slot;

mod blobs;
mod capabilities;
mod claims;
pub mod consumer;
mod environment;
pub mod event_sourcing;
mod filter;
pub mod interfaces;
pub mod keyvalue;
mod messaging;
pub mod multicast_registry;
pub mod object_store;
mod outbox;
pub mod producer;
pub mod schema_registry;
pub mod session_store;
mod slots;
pub mod work_queue;

pub use capabilities::NamespaceCapabilities;
pub use environment::PatternEnvironment;
pub use outbox::{OutboxRequirements, outbox_requirements};
use slots::empty_slot;
pub use slots::{Slots, required_interface};

/// A pattern that this build can serve.
pub struct Pattern {
    /// Name in the configuration and in `registry/patterns/<name>.yaml`.
    pub name: &'static str,
    /// Version of its service, as `v1`.
    pub version: &'static str,
    /// Full name of its service.
    pub service: &'static str,
    /// Full names of the services of interfaces that it serves beside its own, if the backend has them.
    pub interface_services: &'static [&'static str],
    /// Returns the JSON Schema of its settings, for editors and documentation.
    pub schema: fn() -> schemars::Schema,
    /// Parses and checks the settings of a namespace. The error has every problem.
    pub check: SettingsCheck,
    /// Opens the handler of one namespace: takes the slots that it knows and parses its settings.
    pub open_handler: OpenHandler,
}

/// A function that opens the handler of one namespace.
///
/// # Behavior
/// - A backend that is not reachable is not an error: the handler's calls fail until it is.
/// - Tasks that go on after it returns are among those of the environment.
pub type OpenHandler = for<'a> fn(&'a mut Slots<'_>, &'a PatternEnvironment) -> BoxFuture<'a, Result<Arc<dyn Handler>, Error>>;

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All patterns of this build, one line each.
pub const PATTERNS: &[&Pattern] = &[
    &keyvalue::PATTERN,
    &object_store::PATTERN,
    &schema_registry::PATTERN,
    &session_store::PATTERN,
    &work_queue::PATTERN,
    &producer::PATTERN,
    &consumer::PATTERN,
    &multicast_registry::PATTERN,
    &event_sourcing::PATTERN,
    &interfaces::PATTERN,
];

/// Finds a pattern by its name.
pub fn find(name: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().copied().find(|pattern| pattern.name == name)
}

impl Pattern {
    /// Returns the RPCs of all services, those of the pattern's own service first.
    pub fn methods(&self) -> Vec<Arc<Method>> {
        let pool = if self.interface_services.is_empty() { proto::descriptors() } else { proto::all_descriptors() };
        let services: Vec<_> = std::iter::once(self.service).chain(self.interface_services.iter().copied()).collect();
        Method::of_services(pool, &services).unwrap_or_default()
    }

    /// Returns the services of interfaces that it serves over these slots.
    pub fn available_services<'s>(&self, slots: impl Iterator<Item = &'s Slot>) -> Vec<&'static str> {
        if self.interface_services.is_empty() {
            return Vec::new();
        }
        let interfaces: HashSet<_> = slots.flat_map(|slot| slot.interfaces.names()).collect();
        let is_available = |service: &&str| interface_of(service).is_some_and(|interface| interfaces.contains(interface));
        self.interface_services.iter().copied().filter(is_available).collect()
    }

    /// Opens the handler of a namespace over its filled slots.
    ///
    /// Errors are `INVALID_ARGUMENT`, with the field of the namespace's configuration and one of these reasons: `UNKNOWN_SLOT` (the
    /// pattern has no such slot), `SLOT_EMPTY`, `INTERFACE_MISSING` and `INVALID_FIELD` (a setting).
    pub async fn open(&self, slots: BTreeMap<String, Slot>, environment: &PatternEnvironment) -> Result<Arc<dyn Handler>, Error> {
        let mut slots = Slots::new(self, slots);
        let handler = (self.open_handler)(&mut slots, environment).await?;
        slots.finish()?;
        Ok(handler)
    }
}

/// Checks the settings of a pattern, for [`Pattern::check`].
pub fn check_settings<T: CheckSettings>(values: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
    parse_settings::<T>(values).map(drop)
}
