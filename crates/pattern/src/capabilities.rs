//! The answer of `GetCapabilities`: which operations are native, emulated or unavailable over the drivers in the slots.
//!
//! What an RPC needs is an option of the RPC in the pattern's proto; see `prism/options/v1/implementation.proto`.

use super::{Facts, Pattern};
use prism_call::proto::{
    self,
    options::v1::Implementation,
    patterns::slots::v1::{self as slots, Capabilities, Operation, Support},
};
use prism_slot::{Limits, Slot};

/// Describes what a pattern with one slot can do.
pub(super) fn describe(pattern: &Pattern, slot: &Slot, limits: &Limits, max_operations: u32, facts: &Facts) -> Capabilities {
    let slots = vec![slots::Slot {
        name: slot.name.clone(),
        backend: slot.backend.clone(),
        kind: slot.kind.to_owned(),
        interfaces: slot.interfaces.names().into_iter().map(str::to_owned).collect(),
        layers: slot.layers.iter().copied().map(str::to_owned).collect(),
    }];
    Capabilities {
        namespace: facts.namespace.to_string(),
        pattern: pattern.name.to_owned(),
        pattern_version: pattern.version.to_owned(),
        operations: operations(pattern.service, &slots),
        limits: Some(slots::Limits {
            max_key_bytes: limits.max_key_bytes,
            max_value_bytes: limits.max_value_bytes,
            max_batch_items: limits.max_batch_items,
            max_transaction_operations: if slot.interfaces.keyvalue_transactional.is_some() { max_operations } else { 0 },
            max_message_bytes: facts.limits.max_message_bytes as u64,
            max_concurrent_calls: u32::try_from(facts.limits.max_concurrent_calls).unwrap_or(u32::MAX),
        }),
        slots,
    }
}

/// Describes all RPCs of a service, in its order.
fn operations(service: &str, slots: &[slots::Slot]) -> Vec<Operation> {
    let Some(service) = proto::descriptors().get_service_by_name(service) else { return Vec::new() };
    let implementations = proto::implementations(&service).into_iter();
    implementations.map(|(rpc, implementation)| operation(rpc, &implementation, slots)).collect()
}

fn operation(rpc: String, implementation: &Implementation, slots: &[slots::Slot]) -> Operation {
    if implementation.gateway {
        let note = "answered by the gateway itself".to_owned();
        return Operation { rpc, support: Support::Native.into(), interface: String::new(), note };
    }
    let find = |name: &str| slots.iter().find(|slot| slot.name == name);
    let has = |slot: &str, interface: &String| find(slot).is_some_and(|slot| slot.interfaces.contains(interface));
    let alternatives = &implementation.alternatives;
    let used = alternatives.iter().find(|one| one.steps.iter().all(|step| has(&step.slot, &step.interface)));
    let best = alternatives.first().and_then(|one| one.main_step()).cloned().unwrap_or_default();
    let (support, mut notes) = match used {
        None => {
            let kind = find(&best.slot).map_or("", |slot| &slot.kind);
            (Support::Unavailable, vec![format!("the driver of kind {kind} does not implement {}", best.interface)])
        }
        Some(one) if one.emulation.is_empty() => (Support::Native, Vec::new()),
        Some(one) => {
            let interface = one.main_step().map_or("", |step| &step.interface);
            (Support::Emulated, vec![format!("by {interface}: {}", one.emulation)])
        }
    };
    if used.is_some() {
        let missing = implementation.optional_parts.iter().filter(|part| !has(&part.slot, &part.interface));
        notes.extend(missing.map(|part| format!("without {}, which needs {}", part.field, part.interface)));
    }
    Operation { rpc, support: support.into(), interface: best.interface, note: notes.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PATTERNS;
    use prism_call::Method;

    #[test]
    fn every_rpc_is_described_in_the_order_of_the_service() {
        for pattern in PATTERNS {
            let methods = Method::of_service(proto::descriptors(), pattern.service).unwrap_or_default();
            let rpcs: Vec<_> = methods.iter().map(|method| method.name.clone()).collect();
            let described: Vec<_> = operations(pattern.service, &[]).into_iter().map(|operation| operation.rpc).collect();
            assert!(!rpcs.is_empty());
            assert_eq!(described, rpcs, "{}", pattern.name);
        }
    }
}
