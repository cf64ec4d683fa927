//! What the pattern can do over the driver in its slot.

use super::{Facts, MAX_TRANSACTION_OPERATIONS, PATTERN, batch::CONCURRENCY};
use crate::{
    proto::patterns::slots::v1::{self as slots, Capabilities, Operation, Support},
    slot::{Limits, Slot},
};

/// How an RPC is done without the interface that it rests on.
struct Emulation {
    interface: &'static str,
    how: &'static str,
}

struct Known {
    rpc: &'static str,
    /// Empty: the gateway answers by itself.
    interface: &'static str,
    emulation: Option<Emulation>,
}

const fn native(rpc: &'static str, interface: &'static str) -> Known {
    Known { rpc, interface, emulation: None }
}

const fn batch(rpc: &'static str) -> Known {
    let how = "single calls, 16 at a time; after an error some of them may have been done";
    Known { rpc, interface: "keyvalue_batch", emulation: Some(Emulation { interface: "keyvalue_basic", how }) }
}

const fn compare(rpc: &'static str) -> Known {
    let how = "a transaction of one condition; atomic";
    Known { rpc, interface: "keyvalue_cas", emulation: Some(Emulation { interface: "keyvalue_transactional", how }) }
}

/// There is no interface for it; it is made of others wherever it can be done.
const fn always_emulated(rpc: &'static str, interface: &'static str, how: &'static str) -> Known {
    Known { rpc, interface, emulation: Some(Emulation { interface, how }) }
}

// The number stands in a text above.
const _: () = assert!(CONCURRENCY == 16);

/// The RPCs in the order of the service.
const OPERATIONS: &[Known] = &[
    native("GetCapabilities", ""),
    native("Store", "keyvalue_basic"),
    native("Retrieve", "keyvalue_basic"),
    native("Remove", "keyvalue_basic"),
    native("Exists", "keyvalue_basic"),
    native("Scan", "keyvalue_scan"),
    native("Count", "keyvalue_scan"),
    always_emulated("RemoveRange", "keyvalue_scan", "a scan, page by page, and a batch for each page; not atomic"),
    batch("StoreBatch"),
    batch("RetrieveBatch"),
    batch("RemoveBatch"),
    native("GetExpiration", "keyvalue_ttl"),
    native("SetExpiration", "keyvalue_ttl"),
    native("ClearExpiration", "keyvalue_ttl"),
    compare("CompareAndStore"),
    compare("CompareAndRemove"),
    native("Transact", "keyvalue_transactional"),
];

/// RPCs whose requests can carry a time to live.
const WITH_TTL: &[&str] = &["Store", "StoreBatch", "CompareAndStore", "Transact"];

pub(super) fn of(slot: &Slot, limits: &Limits, facts: &Facts) -> Capabilities {
    let interfaces = slot.interfaces.names();
    Capabilities {
        namespace: facts.namespace.to_string(),
        pattern: PATTERN.name.to_owned(),
        pattern_version: PATTERN.version.to_owned(),
        operations: OPERATIONS.iter().map(|known| operation(known, &interfaces, slot)).collect(),
        slots: vec![slots::Slot {
            name: slot.name.clone(),
            backend: slot.backend.clone(),
            kind: slot.kind.to_owned(),
            interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        }],
        limits: Some(slots::Limits {
            max_key_bytes: limits.max_key_bytes,
            max_value_bytes: limits.max_value_bytes,
            max_batch_items: limits.max_batch_items,
            max_transaction_operations: if interfaces.contains(&"keyvalue_transactional") { MAX_TRANSACTION_OPERATIONS } else { 0 },
            max_message_bytes: facts.limits.max_message_bytes as u64,
            max_concurrent_calls: u32::try_from(facts.limits.max_concurrent_calls).unwrap_or(u32::MAX),
        }),
    }
}

fn operation(known: &Known, interfaces: &[&str], slot: &Slot) -> Operation {
    let has = |interface| interfaces.contains(&interface);
    let never_native = known.emulation.as_ref().is_some_and(|emulation| emulation.interface == known.interface);
    let (support, mut note) = match &known.emulation {
        _ if known.interface.is_empty() => (Support::Native, "answered by the gateway itself".to_owned()),
        _ if !never_native && has(known.interface) => (Support::Native, String::new()),
        Some(Emulation { interface, how }) if has(*interface) => (Support::Emulated, format!("by {interface}: {how}")),
        _ => (Support::Unavailable, format!("the driver of kind {} does not implement {}", slot.kind, known.interface)),
    };
    if support != Support::Unavailable && WITH_TTL.contains(&known.rpc) && !has("keyvalue_ttl") {
        let separator = if note.is_empty() { "" } else { "; " };
        note = format!("{note}{separator}without ttl, which needs keyvalue_ttl");
    }
    Operation { rpc: known.rpc.to_owned(), support: support.into(), interface: known.interface.to_owned(), note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{call::Method, proto};

    #[test]
    fn every_rpc_of_the_service_is_told_of_in_its_order() {
        let rpcs: Vec<_> = Method::of_service(proto::descriptors(), PATTERN.service)
            .unwrap_or_default()
            .iter()
            .map(|method| method.name.clone())
            .collect();
        let told: Vec<_> = OPERATIONS.iter().map(|known| known.rpc).collect();
        assert_eq!(told, rpcs);
    }
}
