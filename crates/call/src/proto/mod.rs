//! Generated from `proto/`: messages, one trait and one dispatch function for each service, and the descriptors.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The encoded `google.protobuf.FileDescriptorSet` of what most gateways need: the patterns, without comments.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
/// The encoded `google.protobuf.FileDescriptorSet` of the patterns and the interfaces, without comments.
pub static ALL_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/all.bin"));

// build.rs has decoded the same bytes before it wrote them, so the pools are never the empty default.
static PATTERNS: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());
static ALL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(ALL_DESCRIPTORS).unwrap_or_default());
static DOCUMENTED: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/documented.bin")).as_slice()).unwrap_or_default());

/// The descriptors of the patterns.
pub fn descriptors() -> &'static DescriptorPool {
    &PATTERNS
}

/// The descriptors of the patterns and the interfaces. They take three times the memory, and are decoded only if a namespace serves
/// interfaces.
pub fn all_descriptors() -> &'static DescriptorPool {
    &ALL
}

/// The descriptors of everything in `proto/`, with comments. Takes ten times the memory; for commands, not for a gateway.
pub fn documented() -> &'static DescriptorPool {
    &DOCUMENTED
}

/// The comment of something in the contracts by its full name, as `prism.patterns.keyvalue.v1.StoreRequest.ttl`; a
/// value of an enum has the enum's name before its own. Takes no memory beyond what is read of it.
pub fn comment(name: &str) -> Option<&'static str> {
    let place = comments::COMMENTS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(comments::COMMENTS[place].1)
}

mod comments {
    include!(concat!(env!("OUT_DIR"), "/comments.rs"));
}

#[expect(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
#[allow(unused_qualifications)]
/// The generated modules, nested as the protobuf packages are.
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

mod interfaces {
    use super::messages;

    include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
}

mod implementation;

pub use implementation::{implementation, implementations, slot_requirements};
pub use interfaces::{INTERFACE_NAMES, INTERFACE_SERVICES, Interfaces};
pub use messages::google;
pub use messages::prism::{
    event_sourcing, idempotency, interfaces as models, jobs, journal, messaging, multicast, options, patterns, session_store, websocket,
};
