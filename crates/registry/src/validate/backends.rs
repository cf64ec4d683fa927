//! Checks backends: their interfaces, and their drivers.

use regex_lite::Regex;

use super::{
    super::{Backend, DriverStatus, Problems, Registry, unknown_name},
    Compiled, CompiledDriver, settings,
};

pub(super) fn validate(registry: &Registry, compiled: &Compiled, problems: &mut Problems) {
    for backend in &registry.backends {
        let file = registry.path("backends", &backend.name);
        super::check_interface_names(registry, file, backend.implements.iter().chain(&backend.planned), problems);
        check_connection(file, backend, problems);
        match compiled.drivers.iter().find(|driver| backend.name == *driver.kind) {
            Some(driver) => check_driver(file, backend, driver, problems),
            None if backend.driver == DriverStatus::Implemented && !compiled.left_out.iter().any(|kind| backend.name == **kind) => {
                let message = format!("there is no driver `{}`; write `driver: planned`", backend.name);
                problems.add(file, backend.name.line(), message);
            }
            None => {}
        }
        if backend.driver != DriverStatus::Implemented {
            for name in &backend.implements {
                problems.add(file, name.line(), format!("without a driver, `{name}` belongs under `planned`"));
            }
        }
    }
    for driver in &compiled.drivers {
        if registry.backend(driver.kind).is_none() {
            problems.add(&format!("registry/backends/{}.yaml", driver.kind), 0, "the driver exists, but this file is missing");
        }
    }
}

fn check_driver(file: &str, backend: &Backend, driver: &CompiledDriver, problems: &mut Problems) {
    if backend.driver != DriverStatus::Implemented {
        problems.add(file, backend.name.line(), "the driver exists; write `driver: implemented`");
    }
    for name in backend.implements.iter().filter(|name| !driver.interfaces.contains(&name.as_str())) {
        problems.add(file, name.line(), format!("the {} driver does not implement `{name}`", backend.name));
    }
    for name in driver.interfaces.iter().filter(|name| !backend.implements(name)) {
        problems.add(file, backend.name.line(), format!("the {} driver implements `{name}`; list it under `implements`", backend.name));
    }
    settings::validate(file, backend, driver, problems);
}

fn check_connection(file: &str, backend: &Backend, problems: &mut Problems) {
    let Some(connection) = &backend.connection else { return };
    if !backend.settings.is_empty() && !backend.settings.iter().any(|setting| setting.name == connection.setting) {
        let names = backend.settings.iter().map(|setting| setting.name.as_str());
        problems.add(file, connection.setting.line(), unknown_name("setting", &connection.setting, names));
    }
    match Regex::new(&connection.pattern) {
        Err(error) => problems.add(file, connection.pattern.line(), format!("not a regular expression: {error}")),
        Ok(pattern) if !pattern.is_match(&connection.example) => {
            problems.add(file, connection.example.line(), "the example does not match the pattern");
        }
        Ok(_) => {}
    }
}
