//! Layer three: patterns and their slots.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Name;

/// The keyspace for replies to calls with an idempotency key. Every namespace has it, beside the keyspaces of its slots. No slot can
/// have this name.
pub const IDEMPOTENCY_SLOT: &str = "idempotency";

/// The interfaces that a backend must implement to store such replies.
pub const IDEMPOTENCY_INTERFACES: [&str; 3] = ["keyvalue_basic", "keyvalue_cas", "keyvalue_ttl"];

/// Whether this build implements something.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// This build implements it.
    Implemented,
    /// It is planned.
    Planned,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Implemented => "implemented",
            Self::Planned => "planned",
        })
    }
}

/// `registry/patterns/<pattern>.yaml`. If the pattern has a proto, `methods`, `implementation` and the interfaces of slots are read
/// from the options in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// As `multicast-registry`.
    #[serde(rename = "pattern")]
    pub name: Name,
    /// As `MulticastRegistry`.
    pub title: String,
    /// As `v1`.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Whether this build can serve it.
    pub executor: Status,
    /// Slots by name.
    pub slots: IndexMap<String, Slot>,
    /// The service that clients call.
    pub api: Api,
    /// By RPC: the operations that it calls, in order.
    #[serde(default)]
    pub implementation: IndexMap<String, Vec<Step>>,
}

/// A slot of a pattern, which a backend fills.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// One sentence.
    pub description: String,
    /// Whether it may stay empty.
    #[serde(default)]
    pub optional: bool,
    /// The backend must implement all of them.
    #[serde(default)]
    pub required_interfaces: Vec<Name>,
    /// Of each list, the backend must implement at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Vec<Name>>,
    /// Used if the backend implements them.
    #[serde(default)]
    pub optional_interfaces: Vec<Name>,
    /// Kinds of backends that are suited, the best first.
    pub recommended_backends: Vec<Name>,
}

impl Slot {
    /// Returns all interfaces that the slot lists.
    pub fn interfaces(&self) -> impl Iterator<Item = &Name> {
        self.required_interfaces.iter().chain(self.any_of.iter().flatten()).chain(&self.optional_interfaces)
    }
}

/// The service that clients call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Whether the proto exists.
    pub status: Status,
    /// Its proto, below `proto/`.
    pub proto_file: Name,
    /// Its service, with the package.
    pub service: Name,
    /// Its RPCs, in order.
    #[serde(default)]
    pub methods: Vec<Name>,
}

/// A call of an operation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A slot of the pattern.
    pub slot: Name,
    /// An interface of the slot.
    pub interface: Name,
    /// An RPC of the interface.
    pub operation: Name,
    /// The condition under which it is called; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The purpose of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// If the step is part of an emulation: how that works, and at what cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulation: Option<String>,
}
