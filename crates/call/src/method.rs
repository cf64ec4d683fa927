//! An RPC, with the facts that every call needs.

use std::sync::Arc;

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use crate::proto;

/// An RPC: its descriptor, and the facts that every call needs.
#[derive(Debug)]
pub struct Method {
    /// `/prism.patterns.keyvalue.v1.KeyValueService/Store`
    pub path: String,
    /// `prism.patterns.keyvalue.v1.KeyValueService`
    pub service: String,
    /// `Store`
    pub name: String,
    /// The interface that the RPC is of, as `queue_basic`; `None` if it is of a pattern.
    pub interface: Option<&'static str>,
    /// The name for metrics, logs and capabilities: `Store`, or `queue_basic.Enqueue` for an RPC of an interface.
    pub label: String,
    /// Position in the list of RPCs that it was made with.
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
        Self::of_services(pool, &[service])
    }

    /// Returns the RPCs of several services in one list, or `None` if the pool lacks one of the services.
    pub fn of_services(pool: &DescriptorPool, services: &[&str]) -> Option<Vec<Arc<Self>>> {
        let services: Vec<_> = services.iter().map(|service| pool.get_service_by_name(service)).collect::<Option<_>>()?;
        let descriptors = services.iter().flat_map(ServiceDescriptor::methods);
        let methods = descriptors.enumerate().map(|(index, descriptor)| {
            let service = descriptor.parent_service().full_name();
            let interface = interface_of(service);
            let options = descriptor.method_descriptor_proto().options.as_ref();
            Arc::new(Self {
                path: format!("/{service}/{}", descriptor.name()),
                service: service.to_owned(),
                name: descriptor.name().to_owned(),
                label: interface.map_or_else(|| descriptor.name().to_owned(), |interface| format!("{interface}.{}", descriptor.name())),
                interface,
                index,
                client_streaming: descriptor.is_client_streaming(),
                server_streaming: descriptor.is_server_streaming(),
                // 1 is NO_SIDE_EFFECTS in google.protobuf.MethodOptions.IdempotencyLevel.
                read_only: options.and_then(|options| options.idempotency_level) == Some(1),
                descriptor,
            })
        });
        Some(methods.collect())
    }
}

/// Returns the name of the interface of a service, as `queue_basic`; `None` if it is the service of a pattern.
pub fn interface_of(service: &str) -> Option<&'static str> {
    if !service.starts_with("prism.interfaces.") {
        return None;
    }
    let index = proto::INTERFACE_SERVICES.iter().position(|known| *known == service)?;
    proto::INTERFACE_NAMES.get(index).copied()
}
