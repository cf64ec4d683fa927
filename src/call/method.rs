//! The RPCs that there are, looked up once by path.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::proto;

/// An RPC: its descriptor and what is asked of it for every call.
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
    /// Whether it only reads (`NO_SIDE_EFFECTS`).
    pub read_only: bool,
    /// The descriptor.
    pub descriptor: MethodDescriptor,
}

/// All RPCs of all compiled services.
pub struct Methods {
    by_path: HashMap<String, Arc<Method>>,
}

static ALL: LazyLock<Methods> = LazyLock::new(|| Methods::of(proto::descriptors()));

impl Methods {
    /// The table of the compiled contracts.
    pub fn all() -> &'static Self {
        &ALL
    }

    fn of(pool: &DescriptorPool) -> Self {
        let mut by_path = HashMap::new();
        for service in pool.services() {
            for (index, descriptor) in service.methods().enumerate() {
                let path = format!("/{}/{}", service.full_name(), descriptor.name());
                let method = Method {
                    service: service.full_name().to_owned(),
                    name: descriptor.name().to_owned(),
                    index,
                    client_streaming: descriptor.is_client_streaming(),
                    server_streaming: descriptor.is_server_streaming(),
                    // 1 is NO_SIDE_EFFECTS in google.protobuf.MethodOptions.IdempotencyLevel.
                    read_only: descriptor.method_descriptor_proto().options.as_ref().and_then(|o| o.idempotency_level) == Some(1),
                    path: path.clone(),
                    descriptor,
                };
                by_path.insert(path, Arc::new(method));
            }
        }
        Self { by_path }
    }

    /// The RPC of a path `/package.Service/Rpc`.
    pub fn get(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(path)
    }

    /// The RPCs of a service in their order.
    pub fn of_service(&self, service: &str) -> Vec<Arc<Method>> {
        let mut methods: Vec<_> = self.by_path.values().filter(|method| method.service == service).cloned().collect();
        methods.sort_by_key(|method| method.index);
        methods
    }
}
