//! The answer of `GetCapabilities`: which operations are native, emulated or unavailable over the drivers in the slots.
//!
//! What an RPC needs is an option of the RPC in the pattern's proto; see `prism/options/v1/implementation.proto`.

use std::sync::{Arc, OnceLock};

use super::Pattern;
use prism_call::{
    Method,
    proto::{
        self,
        options::v1::{Implementation, OptionalPart, Step},
        patterns::slots::v1::{Capabilities, Limits, Operation, Slot, Support},
    },
};
use prism_slot::Emulation;

/// What a namespace can do. It does not change while the namespace exists.
///
/// The description has several kilobytes, and most namespaces are never asked for it, so it is written at the first request.
#[derive(Default)]
pub struct NamespaceCapabilities {
    pub(super) namespace: Arc<str>,
    /// Name, version and service of the pattern.
    pub(super) pattern: (&'static str, &'static str, &'static str),
    pub(super) interface_services: &'static [&'static str],
    /// In the order of the pattern's schema.
    pub(super) slots: Vec<SlotFacts>,
    pub(super) limits: Limits,
    pub(super) described: OnceLock<Box<Capabilities>>,
}

/// What capabilities say of a slot. All but the name is empty if the slot is empty.
#[derive(Clone, Default)]
pub(super) struct SlotFacts {
    pub name: String,
    pub backend: String,
    pub kind: &'static str,
    pub interfaces: Vec<&'static str>,
    pub emulations: Vec<Emulation>,
    pub layers: Vec<&'static str>,
}

impl NamespaceCapabilities {
    /// Describes a namespace that is not open: the name of each slot, the kind of its backend, and the interfaces of that kind. It has no
    /// limits, which only a backend knows.
    pub fn of_kinds(pattern: &Pattern, namespace: &str, slots: Vec<(String, &'static str, Vec<&'static str>)>) -> Self {
        let facts = |(name, kind, interfaces)| SlotFacts { name, kind, interfaces, ..SlotFacts::default() };
        Self {
            namespace: namespace.into(),
            pattern: (pattern.name, pattern.version, pattern.service),
            interface_services: pattern.interface_services,
            slots: slots.into_iter().map(facts).collect(),
            limits: Limits::default(),
            described: OnceLock::new(),
        }
    }

    /// Returns the answer of `GetCapabilities`.
    pub fn describe(&self) -> Capabilities {
        let described = self.described.get_or_init(|| {
            let (name, version, service) = self.pattern;
            let slots: Vec<Slot> = self.slots.iter().map(SlotFacts::describe).collect();
            let mut operations = operations(service, self.interface_services, &slots);
            mark_emulated(&mut operations, &self.slots);
            Box::new(Capabilities {
                namespace: self.namespace.to_string(),
                pattern: name.to_owned(),
                pattern_version: version.to_owned(),
                operations,
                limits: Some(self.limits),
                slots,
            })
        });
        Capabilities::clone(described)
    }
}

impl SlotFacts {
    fn describe(&self) -> Slot {
        let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Slot {
            name: self.name.clone(),
            backend: self.backend.clone(),
            kind: self.kind.to_owned(),
            interfaces: texts(&self.interfaces),
            layers: texts(&self.layers),
        }
    }
}

/// Describes all RPCs of a service, in its order, and then those of the services of interfaces.
fn operations(service: &str, interface_services: &[&str], slots: &[Slot]) -> Vec<Operation> {
    let own = proto::descriptors().get_service_by_name(service).map(|service| proto::implementations(&service)).unwrap_or_default();
    let own = own.into_iter().map(|(rpc, implementation)| operation(rpc, &implementation, slots));
    if interface_services.is_empty() {
        return own.collect();
    }
    let methods = Method::of_services(proto::all_descriptors(), interface_services).unwrap_or_default();
    own.chain(methods.iter().map(|method| interface_operation(method, slots))).collect()
}

/// Says which operations use an interface that the driver of their slot emulates, and at what cost.
fn mark_emulated(operations: &mut [Operation], slots: &[SlotFacts]) {
    for operation in operations.iter_mut().filter(|operation| operation.support() != Support::Unavailable) {
        let Some(slot) = slots.iter().find(|slot| slot.name == operation.slot) else { continue };
        let Some(emulation) = slot.emulations.iter().find(|emulation| emulation.interface == operation.interface) else { continue };
        operation.set_support(Support::Emulated);
        let cost = format!("by the driver of kind {}: {}", slot.kind, emulation.cost);
        operation.note = if operation.note.is_empty() { cost } else { format!("{}; {cost}", operation.note) };
    }
}

/// Describes an RPC of an interface that is served itself: it is native in the first slot that has the interface.
fn interface_operation(method: &Method, slots: &[Slot]) -> Operation {
    let interface = method.interface.unwrap_or_default().to_owned();
    let owner = slots.iter().find(|slot| slot.interfaces.contains(&interface));
    let slot = owner.or(slots.first()).map(|slot| slot.name.clone()).unwrap_or_default();
    let (support, note) = if owner.is_some() {
        (Support::Native, String::new())
    } else {
        let missing = Step { slot: slot.clone(), interface: interface.clone(), ..Step::default() };
        (Support::Unavailable, describe_missing(slots, &missing))
    };
    Operation { rpc: method.label.clone(), support: support.into(), interface, slot, note }
}

fn operation(rpc: String, implementation: &Implementation, slots: &[Slot]) -> Operation {
    if implementation.gateway {
        let note = "answered by the gateway itself".to_owned();
        return Operation { rpc, support: Support::Native.into(), note, ..Operation::default() };
    }
    let has = |slot: &str, interface: &String| find(slots, slot).is_some_and(|slot| slot.interfaces.contains(interface));
    let is_possible = |step: &&Step| has(&step.slot, &step.interface);
    let alternatives = &implementation.alternatives;
    let used = alternatives.iter().find(|one| one.steps.iter().all(|step| is_possible(&step)));
    let best = alternatives.first();
    let main = best.and_then(|one| one.main_step()).cloned().unwrap_or_default();
    let Some(used) = used else {
        // The main step says most about the operation; another step is named only if the main step is possible.
        let missing = best.and_then(|one| one.steps.iter().find(|step| !is_possible(step)));
        let named = if is_possible(&&main) { missing.cloned().unwrap_or_default() } else { main };
        let note = describe_missing(slots, &named);
        return Operation { rpc, support: Support::Unavailable.into(), interface: named.interface, slot: named.slot, note };
    };
    let mut notes = Vec::new();
    if !used.emulation.is_empty() {
        let by = used.main_step().map(|step| in_slot(slots, &step.slot, &step.interface)).unwrap_or_default();
        notes.push(format!("by {by}: {}", used.emulation));
    }
    let is_filled = |name: &str| find(slots, name).is_some_and(|slot| !slot.kind.is_empty());
    let has_part = |part: &OptionalPart| if part.interface.is_empty() { is_filled(&part.slot) } else { has(&part.slot, &part.interface) };
    let missing = implementation.optional_parts.iter().filter(|part| !has_part(part));
    notes.extend(missing.map(|part| format!("without {}, which needs {}", part.field, in_slot(slots, &part.slot, &part.interface))));
    let support = if used.emulation.is_empty() { Support::Native } else { Support::Emulated };
    Operation { rpc, support: support.into(), interface: main.interface, slot: main.slot, note: notes.join("; ") }
}

fn find<'s>(slots: &'s [Slot], name: &str) -> Option<&'s Slot> {
    slots.iter().find(|slot| slot.name == name)
}

/// Says why a step is not possible. With several slots, the slot is named.
fn describe_missing(slots: &[Slot], Step { slot, interface, .. }: &Step) -> String {
    let kind = find(slots, slot).map_or("", |slot| &slot.kind);
    match slots {
        [_] => format!("the driver of kind {kind} does not implement {interface}"),
        _ if kind.is_empty() => format!("the slot `{slot}`, which would need {interface}, is empty"),
        _ => format!("the driver of kind {kind} in the slot `{slot}` does not implement {interface}"),
    }
}

/// Names an interface and, with several slots, the slot that has it.
fn in_slot(slots: &[Slot], slot: &str, interface: &str) -> String {
    if interface.is_empty() {
        return format!("a backend in the slot `{slot}`");
    }
    if slots.len() == 1 { interface.to_owned() } else { format!("{interface} in the slot `{slot}`") }
}

#[cfg(test)]
mod tests;
