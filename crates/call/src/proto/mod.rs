//! Generated from `proto/`: messages, one trait and one dispatch function for each service, and the descriptors.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The encoded `google.protobuf.FileDescriptorSet` of what a running gateway needs: the patterns, without comments.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

// build.rs has decoded the same bytes before it wrote them, so both pools are never the empty default.
static SERVED: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());
static DOCUMENTED: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/documented.bin")).as_slice()).unwrap_or_default());

/// The descriptors of the patterns.
pub fn descriptors() -> &'static DescriptorPool {
    &SERVED
}

/// The descriptors of everything in `proto/`, with comments. Takes ten times the memory; for commands, not for a gateway.
pub fn documented() -> &'static DescriptorPool {
    &DOCUMENTED
}

/// The comment of something in the patterns' contracts by its full name, as `prism.patterns.keyvalue.v1.StoreRequest.ttl`; a
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
pub use interfaces::{INTERFACE_NAMES, Interfaces};
pub use messages::google;
pub use messages::prism::{idempotency, interfaces as models, journal, options, patterns};
