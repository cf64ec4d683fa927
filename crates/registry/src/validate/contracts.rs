//! Checks the options in a pattern's proto: its slots, and how each RPC uses them. Problems name the proto's line and the RPC.

use std::collections::HashSet;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::super::{
    Pattern, Problems, Registry,
    rpcs::{proto_line, rpcs},
    unknown_name,
};
use prism_call::proto::{
    self,
    options::v1::{Alternative, Implementation, OptionalPart, SlotRequirements, Step},
};

pub(super) fn validate(registry: &Registry, pattern: &Pattern, service: &ServiceDescriptor, problems: &mut Problems) {
    let file = service.parent_file();
    let mut contract = Contract {
        registry,
        service,
        slots: proto::slot_requirements(service),
        file: format!("proto/{}", file.name()),
        line: proto_line(&file, service.path()),
        subject: format!("service {}", service.name()),
        problems,
    };
    contract.check_slots(pattern);
    for method in service.methods() {
        contract.line = proto_line(&file, method.path());
        contract.subject = format!("rpc {}", method.name());
        contract.check_method(&method);
    }
}

/// The options of one service, and where in them the check has come to.
struct Contract<'a> {
    registry: &'a Registry,
    service: &'a ServiceDescriptor,
    slots: Vec<SlotRequirements>,
    file: String,
    line: u64,
    /// The service or RPC that is checked, for messages.
    subject: String,
    problems: &'a mut Problems,
}

impl Contract<'_> {
    fn report(&mut self, message: &str) {
        self.problems.add(&self.file, self.line, format!("{}: {message}", self.subject));
    }

    fn check_slots(&mut self, pattern: &Pattern) {
        let mut seen = HashSet::new();
        for SlotRequirements { name, required, any_of, any_interface } in self.slots.clone() {
            if !pattern.slots.contains_key(&name) {
                self.report(&unknown_name("slot", &name, pattern.slots.keys().map(String::as_str)));
            }
            if !seen.insert(name.clone()) {
                self.report(&format!("slot `{name}` has two options"));
            }
            if any_interface && !(required.is_empty() && any_of.is_empty()) {
                self.report(&format!("slot `{name}` has `any_interface`, so it can't have `required` and `any_of`"));
            }
            let mut interfaces = HashSet::new();
            for interface in required.iter().chain(any_of.iter().flat_map(|list| &list.interfaces)) {
                self.check_interface(interface);
                if !interfaces.insert(interface) {
                    self.report(&format!("slot `{name}`: interface `{interface}` is listed twice"));
                }
            }
        }
        for name in pattern.slots.keys().filter(|name| !seen.contains(*name)) {
            self.report(&format!("slot `{name}` of the pattern has no option `(prism.options.v1.slot)`"));
        }
    }

    fn check_method(&mut self, method: &MethodDescriptor) {
        let Some(implementation) = proto::implementation(method) else {
            return self.report("the option `(prism.options.v1.implementation)` is missing");
        };
        let Implementation { gateway, same_as, alternatives, optional_parts } = &implementation;
        if u8::from(*gateway) + u8::from(!same_as.is_empty()) + u8::from(!alternatives.is_empty()) != 1 {
            self.report("exactly one of `gateway`, `same_as` and `alternatives` must be set");
        }
        if !same_as.is_empty() {
            self.check_reference(same_as);
        }
        if alternatives.is_empty() && !optional_parts.is_empty() {
            self.report("`optional_parts` needs `alternatives`");
        }
        for (index, alternative) in alternatives.iter().enumerate() {
            if alternatives[..index].iter().any(|earlier| earlier.steps == alternative.steps) {
                self.report(&format!("two alternatives have the steps {}", describe(alternative)));
            }
            self.check_alternative(alternative);
        }
        for OptionalPart { field, slot, interface } in optional_parts {
            if field.is_empty() {
                self.report("an optional part needs `field`");
            }
            self.check_slot(slot);
            if !interface.is_empty() {
                self.check_interface(interface);
            }
        }
    }

    fn check_reference(&mut self, same_as: &str) {
        match self.service.methods().find(|method| method.name() == same_as) {
            None => {
                let names = self.service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>();
                self.report(&unknown_name("RPC", same_as, names.iter().map(String::as_str)));
            }
            Some(method) if proto::implementation(&method).is_none_or(|one| one.alternatives.is_empty()) => {
                self.report(&format!("`same_as` must name an RPC with `alternatives`, and `{same_as}` has none"));
            }
            Some(_) => {}
        }
    }

    fn check_alternative(&mut self, alternative: &Alternative) {
        if alternative.steps.is_empty() {
            self.report("an alternative needs `steps`");
        } else if alternative.main_step().is_none() {
            self.report(&format!("no step of the alternative uses its interface `{}`", alternative.interface));
        }
        for Step { slot, interface, operation, .. } in &alternative.steps {
            self.check_slot(slot);
            self.check_interface(interface);
            let operations = self.registry.interface(interface).map(|interface| rpcs(&interface.service)).unwrap_or_default();
            if !operations.is_empty() && !operations.iter().any(|rpc| rpc.name == *operation) {
                let names = operations.iter().map(|rpc| rpc.name.as_str());
                self.report(&unknown_name(&format!("operation of {interface}"), operation, names));
            }
        }
    }

    fn check_slot(&mut self, name: &str) {
        if !self.slots.iter().any(|slot| slot.name == name) {
            let message = unknown_name("slot", name, self.slots.iter().map(|slot| slot.name.as_str()));
            self.report(&message);
        }
    }

    fn check_interface(&mut self, name: &str) {
        if self.registry.interface(name).is_none() {
            let names = self.registry.interfaces().map(|interface| interface.name.as_str()).collect::<Vec<_>>();
            self.report(&unknown_name("interface", name, names));
        }
    }
}

/// `keyvalue_scan.ScanKeys, keyvalue_basic.Delete`
fn describe(alternative: &Alternative) -> String {
    alternative.steps.iter().map(|step| format!("{}.{}", step.interface, step.operation)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
