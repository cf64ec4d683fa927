//! Slots: they connect a pattern to its backends, through layers.

mod guard;
pub mod idempotency;
mod intercept;
mod layer;

use std::sync::Arc;

pub use intercept::{Interceptor, Operation, intercept};
pub use layer::{Layer, LayerKind, SlotFacts};

use prism_call::proto::Interfaces;
use prism_driver::{Backend, Keyspace};
/// Used by patterns as well as drivers: limits, checks of requests, opaque texts, hashes, and attributes that drivers know.
pub use prism_driver::{Emulation, Limits, attributes::WRITE_ID, check, cursor, hash, id, time};

/// The layers of every slot, from the driver outwards. The guard is the last one, so that deadlines and error context also cover all
/// other layers.
pub const LAYERS: &[LayerKind] = &[guard::KIND];

/// A filled slot of one namespace.
#[derive(Clone)]
pub struct Slot {
    /// Name in the pattern's schema.
    pub name: String,
    /// Name of the backend in the configuration.
    pub backend: String,
    /// Kind of the backend.
    pub kind: &'static str,
    /// The interfaces of the outermost layer. They are the capabilities of the slot.
    pub interfaces: Interfaces,
    /// Those interfaces that the driver emulates.
    pub emulations: Vec<Emulation>,
    /// Names of the layers around the driver, the outermost first.
    pub layers: Vec<&'static str>,
    /// The driver's limits.
    pub limits: Limits,
}

impl Slot {
    /// Fills a slot with the interfaces of a keyspace, inside of the layers that every slot has.
    pub fn fill(keyspace: &Keyspace, backend_name: &str, kind: &'static str, backend: &dyn Backend) -> Self {
        Self::fill_with(keyspace, backend_name, kind, backend, &[])
    }

    /// Fills a slot as [`fill`](Self::fill) does, with more layers between the driver and those that every slot has. The first one is the
    /// closest to the driver.
    pub fn fill_with(
        keyspace: &Keyspace,
        backend_name: &str,
        kind: &'static str,
        backend: &dyn Backend,
        layers: &[Arc<dyn Layer>],
    ) -> Self {
        let limits = backend.limits();
        let facts = SlotFacts { namespace: &keyspace.namespace, slot: &keyspace.slot, backend: backend_name, limits };
        let mut interfaces = backend.keyspace(keyspace);
        let mut names = Vec::new();
        for layer in layers.iter().cloned().chain(LAYERS.iter().map(|kind| (kind.build)(&facts))) {
            names.insert(0, layer.name());
            interfaces = layer.wrap(interfaces);
        }
        Self {
            name: keyspace.slot.clone(),
            backend: backend_name.to_owned(),
            kind,
            interfaces,
            emulations: backend.emulations(),
            layers: names,
            limits,
        }
    }
}
