//! What a layer is: a wrapper around the interfaces of a slot.

use std::sync::Arc;

use crate::intercept::{Interceptor, intercept};
use prism_call::proto::Interfaces;
use prism_driver::Limits;

/// A wrapper that takes the interfaces of a slot and returns interfaces.
///
/// # Behavior
/// - It may change, remove or add interfaces. The capabilities of the slot are the interfaces that the outermost layer returns.
/// - An interface that it does not change costs nothing: it returns the same value.
/// - To change some RPCs of an interface, implement the forwarding trait of the interface, such as `ForwardKeyValueBasic`. An RPC that is
///   forwarded costs one more virtual call and no allocation. To do the same around every operation, implement [`Interceptor`].
pub trait Layer: Send + Sync + 'static {
    /// Name of the layer, as `GetCapabilities` returns it.
    fn name(&self) -> &'static str;

    /// Wraps the interfaces.
    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces;
}

impl<I: Interceptor> Layer for I {
    fn name(&self) -> &'static str {
        I::NAME
    }

    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces {
        intercept(interfaces, &self)
    }
}

/// The facts about a slot that its layers may use.
#[derive(Clone, Copy, Debug)]
pub struct SlotFacts<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Name of the slot.
    pub slot: &'a str,
    /// Name of the backend in the configuration.
    pub backend: &'a str,
    /// The driver's limits.
    pub limits: Limits,
}

/// A kind of layer.
pub struct LayerKind {
    /// Name of the layer.
    pub name: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Creates the layer of one slot.
    pub build: fn(&SlotFacts<'_>) -> Arc<dyn Layer>,
}
