//! Checks interfaces: their protos, and their capabilities.

use std::collections::{BTreeMap, HashSet};

use super::super::{Interface, Problems, Registry, unknown_name};
use prism_call::proto;

const CAPABILITIES: &str = "registry/capabilities.yaml";

pub(super) fn validate(registry: &Registry, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for model in &registry.models {
        let file = registry.path("interfaces", &model.name);
        if model.interfaces.is_empty() {
            problems.add(file, model.name.line(), "a data model needs at least one interface");
        }
        for interface in &model.interfaces {
            let line = interface.name.line();
            if *interface.model() != *model.name {
                problems.add(file, line, format!("`{}` must begin with `{}_`, the name of its model", interface.name, model.name));
            }
            if !seen.insert(interface.name.as_str()) {
                problems.add(file, line, format!("interface `{}` is listed twice", interface.name));
            }
            proto_exists(file, interface, problems);
            expresses(registry, file, interface, problems);
        }
    }
    capabilities(registry, problems);
    forgotten_services(registry, problems);
}

fn proto_exists(file: &str, interface: &Interface, problems: &mut Problems) {
    match proto::documented().get_service_by_name(&interface.service) {
        None => problems.add(
            file,
            interface.service.line(),
            format!("the protos have no service `{}`; write proto/{}", interface.service, interface.proto_file),
        ),
        Some(service) if *service.parent_file().name() != *interface.proto_file => problems.add(
            file,
            interface.proto_file.line(),
            format!("service `{}` is in proto/{}", interface.service, service.parent_file().name()),
        ),
        Some(_) => {}
    }
}

fn expresses(registry: &Registry, file: &str, interface: &Interface, problems: &mut Problems) {
    let line = interface.capability.line();
    match registry.capability(&interface.capability) {
        None => {
            let all = registry.capabilities.iter().map(|capability| capability.name.as_str());
            problems.add(file, line, unknown_name("capability", &interface.capability, all));
        }
        Some(capability) if !capability.interfaces.contains(&interface.name) => problems.add(
            file,
            line,
            format!("capability `{}` does not list `{}` in return; add it to {CAPABILITIES}", capability.name, interface.name),
        ),
        Some(_) => {}
    }
}

fn capabilities(registry: &Registry, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for capability in &registry.capabilities {
        if !seen.insert(capability.name.as_str()) {
            problems.add(CAPABILITIES, capability.name.line(), format!("capability `{}` is listed twice", capability.name));
        }
        if capability.interfaces.is_empty() {
            problems.add(CAPABILITIES, capability.name.line(), format!("no interface expresses `{}`", capability.name));
        }
        super::check_interface_names(registry, CAPABILITIES, capability.interfaces.iter(), problems);
        let mut models = BTreeMap::new();
        for (name, interface) in capability.interfaces.iter().filter_map(|name| Some((name, registry.interface(name)?))) {
            if interface.capability != capability.name {
                let message = format!("`{name}` expresses `{}` and not `{}`", interface.capability, capability.name);
                problems.add(CAPABILITIES, name.line(), message);
            }
            if let Some(other) = models.insert(interface.model(), name) {
                let message = format!("`{other}` and `{name}` express the same capability of the same data model");
                problems.add(CAPABILITIES, name.line(), message);
            }
        }
    }
}

/// Reports services in the protos of interfaces that the registry does not list.
fn forgotten_services(registry: &Registry, problems: &mut Problems) {
    let known = registry.interfaces().map(|interface| interface.service.as_str()).collect::<HashSet<_>>();
    for service in proto::documented().services() {
        let package = service.package_name();
        let Some(model) = package.strip_prefix("prism.interfaces.").and_then(|rest| rest.split('.').next()) else { continue };
        if !known.contains(service.full_name()) {
            let message = format!("service `{}` of proto/{} is missing", service.full_name(), service.parent_file().name());
            problems.add(&format!("registry/interfaces/{model}.yaml"), 0, message);
        }
    }
}
