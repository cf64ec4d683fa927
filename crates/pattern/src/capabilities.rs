//! What patterns say of themselves: each operation is native, emulated or unavailable over the driver in its slot.

use super::{Facts, Pattern};
use prism_call::proto::patterns::slots::v1::{self as slots, Capabilities, Operation, Support};
use prism_slot::{Limits, Slot};

/// How an RPC is done without the interface that it rests on.
pub(super) struct Emulation {
    pub interface: &'static str,
    pub how: &'static str,
}

/// What an RPC rests on.
pub(super) struct Known {
    pub rpc: &'static str,
    /// Empty: the gateway answers by itself.
    pub interface: &'static str,
    pub emulation: Option<Emulation>,
}

pub(super) const fn native(rpc: &'static str, interface: &'static str) -> Known {
    Known { rpc, interface, emulation: None }
}

pub(super) const fn emulated(rpc: &'static str, interface: &'static str, by: &'static str, how: &'static str) -> Known {
    Known { rpc, interface, emulation: Some(Emulation { interface: by, how }) }
}

/// What a pattern of one slot can do.
pub(super) fn of(pattern: &Pattern, known: &[Known], slot: &Slot, limits: &Limits, max_operations: u32, facts: &Facts) -> Capabilities {
    let interfaces = slot.interfaces.names();
    Capabilities {
        namespace: facts.namespace.to_string(),
        pattern: pattern.name.to_owned(),
        pattern_version: pattern.version.to_owned(),
        operations: known.iter().map(|known| operation(known, &interfaces, slot)).collect(),
        limits: Some(slots::Limits {
            max_key_bytes: limits.max_key_bytes,
            max_value_bytes: limits.max_value_bytes,
            max_batch_items: limits.max_batch_items,
            max_transaction_operations: if interfaces.contains(&"keyvalue_transactional") { max_operations } else { 0 },
            max_message_bytes: facts.limits.max_message_bytes as u64,
            max_concurrent_calls: u32::try_from(facts.limits.max_concurrent_calls).unwrap_or(u32::MAX),
        }),
        slots: vec![slots::Slot {
            name: slot.name.clone(),
            backend: slot.backend.clone(),
            kind: slot.kind.to_owned(),
            interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        }],
    }
}

fn operation(known: &Known, interfaces: &[&str], slot: &Slot) -> Operation {
    let has = |interface| interfaces.contains(&interface);
    let never_native = known.emulation.as_ref().is_some_and(|emulation| emulation.interface == known.interface);
    let (support, note) = match &known.emulation {
        _ if known.interface.is_empty() => (Support::Native, "answered by the gateway itself".to_owned()),
        _ if !never_native && has(known.interface) => (Support::Native, String::new()),
        Some(Emulation { interface, how }) if has(*interface) => (Support::Emulated, format!("by {interface}: {how}")),
        _ => (Support::Unavailable, format!("the driver of kind {} does not implement {}", slot.kind, known.interface)),
    };
    Operation { rpc: known.rpc.to_owned(), support: support.into(), interface: known.interface.to_owned(), note }
}
