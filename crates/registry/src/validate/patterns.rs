//! Checks patterns: their slots, whether backends can fill these, their API, and how it uses the slots.

use std::collections::HashSet;

use prost_reflect::ServiceDescriptor;

use super::{
    super::{Backend, IDEMPOTENCY_SLOT, Name, Pattern, Problems, Registry, Slot, SlotCheck, Status, Step, rpcs, unknown_name},
    Compiled, contracts,
};
use prism_call::proto;

pub(super) fn validate(registry: &Registry, compiled: &Compiled, problems: &mut Problems) {
    for pattern in &registry.patterns {
        let file = registry.path("patterns", &pattern.name);
        if pattern.slots.values().all(|slot| slot.optional) {
            problems.add(file, pattern.name.line(), "a pattern needs at least one slot that has to be filled");
        }
        for (name, slot) in &pattern.slots {
            check_slot(registry, file, pattern, name, slot, problems);
        }
        check_executor(file, pattern, compiled, problems);
        match proto::documented().get_service_by_name(&pattern.api.service) {
            Some(service) => {
                check_implemented_api(file, pattern, &service, problems);
                contracts::validate(registry, pattern, &service, problems);
            }
            None => check_planned_api(registry, file, pattern, problems),
        }
    }
    unknown_services(registry, problems);
}

fn check_slot(registry: &Registry, file: &str, pattern: &Pattern, name: &str, slot: &Slot, problems: &mut Problems) {
    let line = slot.interfaces().next().map_or(pattern.name.line(), Name::line);
    // Names without a line are from the proto's options, and are checked with these.
    super::check_interface_names(registry, file, slot.interfaces().filter(|name| name.line() > 0), problems);
    if name == IDEMPOTENCY_SLOT {
        problems.add(
            file,
            line,
            format!("no slot can be named `{name}`: that is the keyspace for replies to calls with an idempotency key"),
        );
    }
    if slot.required_interfaces.is_empty() && slot.any_of.is_empty() {
        problems.add(file, line, format!("slot `{name}` needs `required_interfaces` or `any_of`"));
    }
    if slot.any_of.iter().any(|list| list.len() < 2) {
        problems.add(file, line, format!("slot `{name}`: a list under `any_of` needs at least two interfaces"));
    }
    let fills = |backend: &Backend| match pattern.executor {
        Status::Implemented => SlotCheck::new(name, slot, backend).is_satisfied(),
        Status::Planned => SlotCheck::new(name, slot, backend).is_conceivable(),
    };
    if !registry.backends.iter().any(fills) {
        problems.add(file, line, format!("no backend can fill slot `{name}`"));
    }
    for recommended in &slot.recommended_backends {
        match registry.backend(recommended) {
            None => {
                let all = registry.backends.iter().map(|backend| backend.name.as_str());
                problems.add(file, recommended.line(), unknown_name("backend", recommended, all));
            }
            Some(backend) if !SlotCheck::new(name, slot, backend).is_conceivable() => {
                problems.add(file, recommended.line(), format!("`{recommended}` is recommended, but can't fill slot `{name}`"));
            }
            Some(_) => {}
        }
    }
}

/// Checks that a pattern is implemented if and only if it is in the table of patterns.
fn check_executor(file: &str, pattern: &Pattern, compiled: &Compiled, problems: &mut Problems) {
    let line = pattern.name.line();
    match (pattern.executor, compiled.patterns.iter().find(|one| pattern.name == *one.name)) {
        (Status::Planned, None) => {}
        (Status::Planned, Some(_)) => problems.add(file, line, "the executor exists; write `executor: implemented`"),
        (Status::Implemented, None) => {
            let message = format!("there is no executor `{}` in crates/pattern; write `executor: planned`", pattern.name);
            problems.add(file, line, message);
        }
        (Status::Implemented, Some(one)) => {
            if one.version != pattern.version {
                problems.add(file, line, format!("the executor is of version {}, not {}", one.version, pattern.version));
            }
            if pattern.api.service != *one.service {
                problems.add(file, pattern.api.service.line(), format!("the executor serves `{}`", one.service));
            }
        }
    }
}

/// Checks the API of a pattern whose proto exists. The methods come from the proto.
fn check_implemented_api(file: &str, pattern: &Pattern, service: &ServiceDescriptor, problems: &mut Problems) {
    let api = &pattern.api;
    if api.status == Status::Planned {
        problems.add(file, api.service.line(), format!("service `{}` exists; write `status: implemented`", api.service));
    }
    if *service.parent_file().name() != *api.proto_file {
        let message = format!("service `{}` is in proto/{}", api.service, service.parent_file().name());
        problems.add(file, api.proto_file.line(), message);
    }
}

/// Checks the API of a pattern without a proto, whose file lists the methods and how they use the slots.
fn check_planned_api(registry: &Registry, file: &str, pattern: &Pattern, problems: &mut Problems) {
    let api = &pattern.api;
    if api.status == Status::Implemented {
        let message = format!("the protos have no service `{}`; write proto/{}", api.service, api.proto_file);
        problems.add(file, api.service.line(), message);
    } else if pattern.executor == Status::Implemented {
        problems.add(file, pattern.name.line(), "an implemented executor needs an implemented API");
    }
    let mut seen = HashSet::new();
    for method in &api.methods {
        if !seen.insert(method.as_str()) {
            problems.add(file, method.line(), format!("method `{method}` is listed twice"));
        }
        if **method != *"GetCapabilities" && !pattern.implementation.contains_key(method.as_str()) {
            problems.add(file, method.line(), format!("`implementation` has no entry for `{method}`"));
        }
    }
    for (method, steps) in &pattern.implementation {
        if !seen.contains(method.as_str()) {
            let line = steps.first().map_or(pattern.name.line(), |step| step.slot.line());
            problems.add(file, line, unknown_name("method", method, api.methods.iter().map(Name::as_str).collect::<Vec<_>>()));
        }
        for step in steps {
            check_step(registry, file, pattern, step, problems);
        }
    }
}

/// Reports services of the protos that no file in `registry/patterns` names.
fn unknown_services(registry: &Registry, problems: &mut Problems) {
    let known = registry.patterns.iter().map(|pattern| pattern.api.service.as_str()).collect::<HashSet<_>>();
    let services = proto::documented().services().filter(|service| service.package_name().starts_with("prism.patterns."));
    for service in services.filter(|service| !known.contains(service.full_name())) {
        let message = format!("service `{}` of proto/{} is missing", service.full_name(), service.parent_file().name());
        problems.add("registry/patterns", 0, message);
    }
}

fn check_step(registry: &Registry, file: &str, pattern: &Pattern, step: &Step, problems: &mut Problems) {
    let Some(slot) = pattern.slots.get(step.slot.as_str()) else {
        problems.add(file, step.slot.line(), unknown_name("slot", &step.slot, pattern.slots.keys().map(String::as_str)));
        return;
    };
    if !slot.interfaces().any(|interface| *interface == step.interface) {
        let all = slot.interfaces().map(Name::as_str).collect::<Vec<_>>();
        problems.add(file, step.interface.line(), unknown_name("interface of the slot", &step.interface, all));
    }
    let Some(interface) = registry.interface(&step.interface) else { return };
    let operations = rpcs(&interface.service);
    if !operations.is_empty() && !operations.iter().any(|rpc| step.operation == *rpc.name) {
        let all = operations.iter().map(|rpc| rpc.name.as_str()).collect::<Vec<_>>();
        problems.add(file, step.operation.line(), unknown_name("operation", &step.operation, all));
    }
}
