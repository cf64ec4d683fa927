//! How the RPCs of patterns use their slots, read from the options in `prism/options/v1/implementation.proto`.

use prost_reflect::{MethodDescriptor, ServiceDescriptor, Value};

use super::options::v1::{Alternative, Implementation, SlotRequirements, Step};

/// Returns the slots of a pattern's service, with the interfaces that each of them requires.
pub fn slot_requirements(service: &ServiceDescriptor) -> Vec<SlotRequirements> {
    let Some(extension) = service.parent_pool().get_extension_by_name("prism.options.v1.slot") else { return Vec::new() };
    let options = service.options();
    let value = options.get_extension(&extension);
    let slots = value.as_list().unwrap_or_default().iter().filter_map(Value::as_message);
    slots.filter_map(|slot| slot.transcode_to().ok()).collect()
}

/// Returns how an RPC is implemented, as its option says; `None` if it has no such option.
pub fn implementation(method: &MethodDescriptor) -> Option<Implementation> {
    let extension = method.parent_pool().get_extension_by_name("prism.options.v1.implementation")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message()?.transcode_to().ok()
}

/// Returns the implementation of each RPC of a service by the RPC's name, in the order of the service. `same_as` is replaced by
/// what it refers to. RPCs without the option are left out; `prism registry validate` reports them.
pub fn implementations(service: &ServiceDescriptor) -> Vec<(String, Implementation)> {
    let resolve = |method: MethodDescriptor| {
        let own = implementation(&method)?;
        let resolved =
            if own.same_as.is_empty() { own } else { implementation(&service.methods().find(|other| other.name() == own.same_as)?)? };
        Some((method.name().to_owned(), resolved))
    };
    service.methods().filter_map(resolve).collect()
}

impl Alternative {
    /// Returns the step whose interface stands for the alternative in `GetCapabilities`.
    pub fn main_step(&self) -> Option<&Step> {
        self.steps.iter().find(|step| self.interface.is_empty() || step.interface == self.interface)
    }
}
