//! An RPC, with the facts that every call needs.

use std::sync::Arc;

use prost_reflect::{DescriptorPool, MethodDescriptor};

/// An RPC: its descriptor, and the facts that every call needs.
#[derive(Debug)]
pub struct Method {
    /// `/prism.patterns.keyvalue.v1.KeyValueService/Store`
    pub path: String,
    /// `prism.patterns.keyvalue.v1.KeyValueService`
    pub service: String,
    /// `Store`
    pub name: String,
    /// Position in the service.
    pub index: usize,
    /// Whether the request is a stream.
    pub client_streaming: bool,
    /// Whether the reply is a stream.
    pub server_streaming: bool,
    /// Whether it has no side effects (`NO_SIDE_EFFECTS`).
    pub read_only: bool,
    /// The descriptor.
    pub descriptor: MethodDescriptor,
}

impl Method {
    /// Returns the RPCs of a service in the order of the contract, or `None` if the pool has no such service.
    pub fn of_service(pool: &DescriptorPool, service: &str) -> Option<Vec<Arc<Self>>> {
        let service = pool.get_service_by_name(service)?;
        let methods = service.methods().enumerate().map(|(index, descriptor)| {
            Arc::new(Self {
                path: format!("/{}/{}", service.full_name(), descriptor.name()),
                service: service.full_name().to_owned(),
                name: descriptor.name().to_owned(),
                index,
                client_streaming: descriptor.is_client_streaming(),
                server_streaming: descriptor.is_server_streaming(),
                // 1 is NO_SIDE_EFFECTS in google.protobuf.MethodOptions.IdempotencyLevel.
                read_only: descriptor.method_descriptor_proto().options.as_ref().and_then(|o| o.idempotency_level) == Some(1),
                descriptor,
            })
        });
        Some(methods.collect())
    }
}
