//! What the pattern can do over the driver in its slot.

use super::{
    super::capabilities::{self, Known, emulated, native},
    Facts, MAX_TRANSACTION_OPERATIONS, PATTERN,
    batch::CONCURRENCY,
};
use prism_call::proto::patterns::slots::v1::{Capabilities, Support};
use prism_slot::{Limits, Slot};

const fn batch(rpc: &'static str) -> Known {
    emulated(rpc, "keyvalue_batch", "keyvalue_basic", "single calls, 16 at a time; after an error some of them may have been done")
}

const fn compare(rpc: &'static str) -> Known {
    emulated(rpc, "keyvalue_cas", "keyvalue_transactional", "a transaction of one condition; atomic")
}

/// There is no interface for it; it is made of others wherever it can be done.
const fn always_emulated(rpc: &'static str, interface: &'static str, how: &'static str) -> Known {
    emulated(rpc, interface, interface, how)
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
    let mut capabilities = capabilities::of(&PATTERN, OPERATIONS, slot, limits, MAX_TRANSACTION_OPERATIONS, facts);
    if slot.interfaces.keyvalue_ttl.is_none() {
        let possible = |support: i32| support != i32::from(Support::Unavailable);
        for operation in capabilities.operations.iter_mut().filter(|one| possible(one.support) && WITH_TTL.contains(&&*one.rpc)) {
            let separator = if operation.note.is_empty() { "" } else { "; " };
            operation.note = format!("{}{separator}without ttl, which needs keyvalue_ttl", operation.note);
        }
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::{Method, proto};

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
