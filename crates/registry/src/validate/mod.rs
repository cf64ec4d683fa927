//! Checks the rules of `registry/README.md`. Reports all problems at once.

mod backends;
mod contracts;
mod interfaces;
mod patterns;
mod settings;

use std::collections::HashSet;

use super::{Name, Problems, Registry, unknown_name};

/// A driver of this build.
#[derive(Clone, Debug)]
pub struct CompiledDriver {
    /// Kind of the backend, as `redis`.
    pub kind: &'static str,
    /// Interfaces that it implements.
    pub interfaces: Vec<&'static str>,
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
}

/// A pattern of this build.
#[derive(Clone, Debug)]
pub struct CompiledPattern {
    /// As `keyvalue`.
    pub name: &'static str,
    /// As `v1`.
    pub version: &'static str,
    /// Full name of its service.
    pub service: &'static str,
}

/// The drivers and patterns of this build, to compare the files with.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The drivers of this build.
    pub drivers: Vec<CompiledDriver>,
    /// Kinds whose driver is not part of this build, so their files can't be compared.
    pub left_out: Vec<String>,
    /// The patterns of this build.
    pub patterns: Vec<CompiledPattern>,
}

/// Checks every rule.
pub fn validate(registry: &Registry, compiled: &Compiled) -> Problems {
    let mut problems = Problems::default();
    interfaces::validate(registry, &mut problems);
    backends::validate(registry, compiled, &mut problems);
    patterns::validate(registry, compiled, &mut problems);
    check_matrix(registry, &mut problems);
    problems
}

fn check_matrix(registry: &Registry, problems: &mut Problems) {
    const FILE: &str = "registry/matrix.yaml";
    const REMEDY: &str = "run: prism registry matrix > registry/matrix.yaml";
    match &registry.matrix {
        None => problems.add(FILE, 0, format!("the file is missing; {REMEDY}")),
        Some(stored) => {
            let generated = registry.matrix_yaml();
            if *stored != generated {
                let same = stored.lines().zip(generated.lines()).take_while(|(stored, generated)| stored == generated).count();
                problems.add(FILE, same as u64 + 1, format!("the file is out of date; {REMEDY}"));
            }
        }
    }
}

/// Reports interfaces that do not exist, and interfaces that are listed twice.
fn check_interface_names<'a>(registry: &Registry, file: &str, names: impl Iterator<Item = &'a Name>, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for name in names {
        if registry.interface(name).is_none() {
            let all = registry.interfaces().map(|interface| interface.name.as_str()).collect::<Vec<_>>();
            problems.add(file, name.line(), unknown_name("interface", name, all));
        }
        if !seen.insert(name.as_str()) {
            problems.add(file, name.line(), format!("interface `{name}` is listed twice"));
        }
    }
}
