//! Generated from `proto/`: messages, one trait and one dispatch function for each service, and the descriptors.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The encoded `google.protobuf.FileDescriptorSet` of everything in `proto/`, with comments.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // build.rs has decoded the same bytes before it wrote them.
    DescriptorPool::decode(DESCRIPTORS).unwrap_or_default()
});

/// The descriptors of everything in `proto/`.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
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

pub use interfaces::{INTERFACE_NAMES, Interfaces};
pub use messages::google;
pub use messages::prism::{interfaces as models, patterns};
