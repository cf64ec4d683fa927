//! What the pattern can do over the driver in its slot.

use super::{
    super::capabilities::{self, Known, emulated, native},
    Facts, PATTERN,
};
use prism_call::proto::patterns::slots::v1::Capabilities;
use prism_slot::{Limits, Slot};

/// Operations in the transaction that appends to the journal: the entry before, and the head.
const TRANSACTION_OPERATIONS: u32 = 2;

const fn read(rpc: &'static str) -> Known {
    native(rpc, "keyvalue_basic")
}

const fn write(rpc: &'static str) -> Known {
    emulated(rpc, "keyvalue_transactional", "keyvalue_cas", "a write, and then a comparison and a write; atomic all the same")
}

/// The RPCs in the order of the service.
const OPERATIONS: &[Known] = &[
    native("GetCapabilities", ""),
    write("RegisterSchema"),
    read("LookUpSchema"),
    read("GetSchema"),
    read("GetSchemaById"),
    read("GetSchemaByGuid"),
    read("ListIdsOfGuid"),
    read("ListVersionsOfId"),
    read("ListSchemas"),
    native("ListSchemaTypes", ""),
    read("ListSubjects"),
    read("ListVersions"),
    write("DeleteSubject"),
    write("DeleteVersion"),
    read("ListReferrers"),
    read("FindSchema"),
    write("TagSchema"),
    read("CheckCompatibility"),
    read("GetConfig"),
    write("SetConfig"),
    write("DeleteConfig"),
    read("GetMode"),
    write("SetMode"),
    write("DeleteMode"),
    read("ListContexts"),
    write("DeleteContext"),
    read("ListKeks"),
    read("GetKek"),
    write("CreateKek"),
    write("UpdateKek"),
    write("DeleteKek"),
    write("UndeleteKek"),
    read("ListDekSubjects"),
    read("ListDekVersions"),
    read("GetDek"),
    write("CreateDek"),
    write("DeleteDek"),
    write("UndeleteDek"),
    write("SetAssociations"),
    write("SetAssociationsBatch"),
    read("ListAssociations"),
    write("DeleteAssociations"),
];

pub(super) fn of(slot: &Slot, limits: &Limits, facts: &Facts) -> Capabilities {
    capabilities::of(&PATTERN, OPERATIONS, slot, limits, TRANSACTION_OPERATIONS, facts)
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
