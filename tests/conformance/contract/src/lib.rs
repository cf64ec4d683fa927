//! The messages of the conformance suite, `connectrpc.conformance.v1`.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

/// The encoded `google.protobuf.FileDescriptorSet` of the contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/conformance.bin"));

include!(concat!(env!("OUT_DIR"), "/connectrpc.conformance.v1.rs"));
