//! What the proto of a pattern says about its slots and RPCs, put into the [`Pattern`]. The YAML file of a pattern that has a
//! proto doesn't repeat it.

use prost_reflect::ServiceDescriptor;

use super::{Name, Pattern, Problems, Step};
use prism_call::proto::{
    self,
    options::{
        self,
        v1::{Alternative, Implementation, SlotRequirements},
    },
};

/// Fills in the methods, the interfaces of slots and the implementation, if the protos have the pattern's service. A file that
/// has them too is a problem.
pub(super) fn complete(pattern: &mut Pattern, path: &str, problems: &mut Problems) {
    if let Some(service) = proto::descriptors().get_service_by_name(&pattern.api.service) {
        refuse_repetition(pattern, path, &service, problems);
        fill(pattern, &service);
    }
}

fn refuse_repetition(pattern: &Pattern, path: &str, service: &ServiceDescriptor, problems: &mut Problems) {
    let file = service.parent_file();
    let mut refuse = |line: u64, field: &str| {
        problems.add(path, line, format!("`{field}` is read from the options in proto/{}; remove it here", file.name()));
    };
    if let Some(method) = pattern.api.methods.first() {
        refuse(method.line(), "methods");
    }
    if let Some(step) = pattern.implementation.values().flatten().next() {
        refuse(step.slot.line(), "implementation");
    }
    for slot in pattern.slots.values() {
        let first_names = [
            ("required_interfaces", slot.required_interfaces.first()),
            ("any_of", slot.any_of.iter().flatten().next()),
            ("optional_interfaces", slot.optional_interfaces.first()),
        ];
        for (field, name) in first_names {
            if let Some(name) = name {
                refuse(name.line(), field);
            }
        }
    }
}

fn fill(pattern: &mut Pattern, service: &ServiceDescriptor) {
    let implementations = proto::implementations(service);
    pattern.api.methods = service.methods().map(|method| Name::unplaced(method.name())).collect();
    for SlotRequirements { name, required, any_of, any_interface } in proto::slot_requirements(service) {
        let Some(slot) = pattern.slots.get_mut(&name) else { continue };
        let names = |interfaces: &[String]| interfaces.iter().map(|interface| Name::unplaced(interface)).collect::<Vec<_>>();
        slot.required_interfaces = names(&required);
        slot.any_of = any_of.iter().map(|list| names(&list.interfaces)).collect();
        if any_interface {
            slot.any_of.push(proto::INTERFACE_NAMES.iter().map(|name| Name::unplaced(name)).collect());
        }
        for interface in used_interfaces(&implementations, &name) {
            if !slot.interfaces().any(|known| known == interface) {
                slot.optional_interfaces.push(Name::unplaced(interface));
            }
        }
    }
    let several = pattern.slots.len() > 1;
    pattern.implementation = implementations.iter().map(|(rpc, one)| (rpc.clone(), steps(one, several))).collect();
}

/// The interfaces of a slot that RPCs use, in the order of the RPCs; those for parts of requests are the last.
fn used_interfaces<'a>(implementations: &'a [(String, Implementation)], slot: &'a str) -> impl Iterator<Item = &'a str> {
    let all = || implementations.iter().map(|(_, implementation)| implementation);
    let steps = all().flat_map(|one| &one.alternatives).flat_map(|one| &one.steps).map(|step| (&step.slot, &step.interface));
    let parts = all().flat_map(|one| &one.optional_parts).map(|part| (&part.slot, &part.interface));
    let parts = parts.filter(|(_, interface)| !interface.is_empty());
    steps.chain(parts).filter(move |(name, _)| *name == slot).map(|(_, interface)| interface.as_str())
}

/// The steps of all alternatives in one list. Steps that an earlier alternative has too are listed once; the others have the
/// condition that the drivers lack an interface of the alternative before. With several slots, the condition names the slot.
fn steps(implementation: &Implementation, several: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before: Option<&Alternative> = None;
    for alternative in &implementation.alternatives {
        let place = |step: &options::v1::Step| (step.slot.clone(), step.interface.clone());
        let uses = |wanted: &(String, String)| alternative.steps.iter().any(|step| place(step) == *wanted);
        let mut missing = before.iter().flat_map(|one| &one.steps).map(place).filter(|one| !uses(one));
        let condition = missing.next().map(|(slot, interface)| {
            let place = if several { format!(" in the slot `{slot}`") } else { String::new() };
            format!("the driver{place} does not implement {interface}")
        });
        let emulation = (!alternative.emulation.is_empty()).then(|| alternative.emulation.clone());
        for step in &alternative.steps {
            if before.is_some_and(|one| one.steps.contains(step)) {
                continue;
            }
            let conditions = condition.iter().map(String::as_str).chain((!step.when.is_empty()).then_some(step.when.as_str()));
            let when = conditions.collect::<Vec<_>>().join(", and ");
            steps.push(Step {
                slot: Name::unplaced(&step.slot),
                interface: Name::unplaced(&step.interface),
                operation: Name::unplaced(&step.operation),
                when: (!when.is_empty()).then_some(when),
                note: (!step.note.is_empty()).then(|| step.note.clone()),
                emulation: emulation.clone(),
            });
        }
        before = Some(alternative);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(steps: &[(&str, &str)]) -> Alternative {
        let step = |&(slot, interface): &(&str, &str)| options::v1::Step {
            slot: slot.to_owned(),
            interface: interface.to_owned(),
            operation: "Do".to_owned(),
            ..options::v1::Step::default()
        };
        Alternative { steps: steps.iter().map(step).collect(), ..Alternative::default() }
    }

    #[test]
    fn the_condition_of_an_alternative_is_about_one_slot() {
        // The first alternative reads the cache; the second one has the same interface, but in the other slot.
        let alternatives = vec![
            alternative(&[("cache", "keyvalue_basic"), ("storage", "keyvalue_basic")]),
            alternative(&[("storage", "keyvalue_basic"), ("storage", "keyvalue_scan")]),
        ];
        let implementation = Implementation { alternatives, ..Implementation::default() };
        let described = |several| {
            let steps = steps(&implementation, several).into_iter();
            steps.map(|step| format!("{} {}: {}", step.slot, step.interface, step.when.unwrap_or_default())).collect::<Vec<_>>()
        };
        let first = ["cache keyvalue_basic: ", "storage keyvalue_basic: "];
        let last = "storage keyvalue_scan: the driver in the slot `cache` does not implement keyvalue_basic";
        assert_eq!(described(true), [&first[..], &[last]].concat());
        assert_eq!(described(false)[2], "storage keyvalue_scan: the driver does not implement keyvalue_basic");
    }
}
