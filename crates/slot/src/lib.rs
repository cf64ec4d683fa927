//! Slots: they connect a pattern to its backends, and wrap every driver in a guard.

mod guard;
pub mod idempotency;

use std::sync::Arc;

pub use guard::{Guard, Guarded};

use prism_call::proto::Interfaces;
use prism_driver::{Backend, Keyspace};
/// Used by patterns as well as drivers: limits, and checks of requests.
pub use prism_driver::{Limits, check, time};

/// A filled slot of one namespace.
#[derive(Clone)]
pub struct Slot {
    /// Name in the pattern's schema.
    pub name: String,
    /// Name of the backend in the configuration.
    pub backend: String,
    /// Kind of the backend.
    pub kind: &'static str,
    /// The interfaces that its driver implements, behind the guard.
    pub interfaces: Interfaces,
    /// The driver's limits.
    pub limits: Limits,
}

impl Slot {
    /// Fills a slot with the interfaces of a keyspace, behind the guard.
    pub fn fill(keyspace: &Keyspace, backend_name: &str, kind: &'static str, backend: &dyn Backend) -> Self {
        let guard = Arc::new(Guard::new(&keyspace.slot, backend_name));
        Self {
            name: keyspace.slot.clone(),
            backend: backend_name.to_owned(),
            kind,
            interfaces: guard::guarded(backend.keyspace(keyspace), &guard),
            limits: backend.limits(),
        }
    }
}
