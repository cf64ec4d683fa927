//! The filled slots of a namespace.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    Pattern, PatternEnvironment,
    capabilities::{NamespaceCapabilities, SlotFacts},
};
use prism_call::{
    Code, Error,
    proto::{self, patterns::slots::v1 as contract},
};
use prism_slot::{Limits, Slot};

/// The filled slots of a namespace. A pattern takes the slots that it knows.
pub struct Slots<'p> {
    pattern: &'p Pattern,
    filled: BTreeMap<String, Slot>,
    /// All slots, in the order of the pattern's schema.
    facts: Vec<SlotFacts>,
}

impl fmt::Debug for Slots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("pattern", &self.pattern.name).field("filled", &self.filled.keys()).finish_non_exhaustive()
    }
}

impl<'p> Slots<'p> {
    pub(crate) fn new(pattern: &'p Pattern, filled: BTreeMap<String, Slot>) -> Self {
        let service = proto::descriptors().get_service_by_name(pattern.service);
        let mut names: Vec<_> = service.iter().flat_map(proto::slot_requirements).map(|slot| slot.name).collect();
        names.extend(filled.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        let facts = names.into_iter().map(|name| facts(name, &filled)).collect();
        Self { pattern, filled, facts }
    }

    /// Takes a slot that must be filled.
    ///
    /// Errors: `INVALID_ARGUMENT SLOT_EMPTY`.
    pub fn required(&mut self, name: &str) -> Result<Slot, Error> {
        self.optional(name).ok_or_else(|| {
            Error::invalid(format!("slots.{name}"), format!("the pattern {} needs a backend in this slot", self.pattern.name))
                .with_reason("SLOT_EMPTY")
        })
    }

    /// Takes a slot that may be empty.
    pub fn optional(&mut self, name: &str) -> Option<Slot> {
        self.filled.remove(name)
    }

    /// Removes interfaces of a slot from its description, because the settings of the pattern say that it does not use them.
    pub fn restrict(&mut self, name: &str, uses: impl Fn(&str) -> bool) {
        for slot in self.facts.iter_mut().filter(|slot| slot.name == name) {
            slot.interfaces.retain(|interface| uses(interface));
        }
    }

    /// Adds the outermost layer of a slot to its description, because the pattern puts one around it.
    pub fn add_layer(&mut self, name: &str, layer: &'static str) {
        for slot in self.facts.iter_mut().filter(|slot| slot.name == name) {
            slot.layers.insert(0, layer);
        }
    }

    /// Returns what the pattern can do over the backends of all slots: the answer of `GetCapabilities`.
    ///
    /// `limits` are the tightest of those of the drivers, the namespace and the pattern. `max_transaction_operations` is 0 if there are no
    /// transactions.
    pub fn capabilities(
        &self,
        limits: &Limits,
        max_transaction_operations: u32,
        environment: &PatternEnvironment,
    ) -> NamespaceCapabilities {
        NamespaceCapabilities {
            namespace: environment.namespace.clone(),
            pattern: (self.pattern.name, self.pattern.version, self.pattern.service),
            interface_services: self.pattern.interface_services,
            slots: self.facts.clone(),
            limits: contract::Limits {
                max_key_bytes: limits.max_key_bytes,
                max_value_bytes: limits.max_value_bytes,
                max_batch_items: limits.max_batch_items,
                max_transaction_operations,
                max_message_bytes: environment.limits.max_message_bytes as u64,
                max_concurrent_calls: u32::try_from(environment.limits.max_concurrent_calls).unwrap_or(u32::MAX),
            },
            described: OnceLock::new(),
        }
    }

    /// Fails with `INVALID_ARGUMENT UNKNOWN_SLOT` if a slot was not taken.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some(extra) = self.filled.keys().next() else { return Ok(()) };
        Err(Error::invalid(format!("slots.{extra}"), format!("the pattern {} has no slot of this name; remove it", self.pattern.name))
            .with_reason("UNKNOWN_SLOT"))
    }
}

fn facts(name: String, filled: &BTreeMap<String, Slot>) -> SlotFacts {
    let Some(slot) = filled.get(&name) else { return SlotFacts { name, ..SlotFacts::default() } };
    SlotFacts {
        name,
        backend: slot.backend.clone(),
        kind: slot.kind,
        interfaces: slot.interfaces.names(),
        emulations: slot.emulations.clone(),
        layers: slot.layers.clone(),
    }
}

/// `UNIMPLEMENTED CAPABILITY_UNAVAILABLE`: a field or an RPC needs an interface of an optional slot, which is empty.
pub(crate) fn empty_slot(what: &str, slot: &str, interface: &str) -> Error {
    let message = format!("{what} needs a backend in the slot `{slot}` of this namespace, which is empty");
    Error::new(Code::Unimplemented, "CAPABILITY_UNAVAILABLE", message).with("interface", interface)
}

/// Returns an interface that the driver in a slot must implement.
///
/// Errors: `INVALID_ARGUMENT INTERFACE_MISSING`.
pub fn required_interface<T: ?Sized>(slot: &Slot, interface: &str, implementation: Option<Arc<T>>) -> Result<Arc<T>, Error> {
    implementation.ok_or_else(|| {
        let message = format!(
            "slots.{}: the driver of kind {} (backend {}) does not implement the required interface {interface}; fill the slot with a backend that does",
            slot.name, slot.kind, slot.backend
        );
        Error::new(Code::InvalidArgument, "INTERFACE_MISSING", message)
            .with_violation(format!("slots.{}", slot.name), format!("needs a backend with the interface {interface}"))
            .with("interface", interface)
            .with("backend", &*slot.backend)
    })
}
