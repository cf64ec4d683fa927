//! The registry: the interfaces of the data models, the backends that implement them, and the patterns whose slots require them. The
//! data is in `registry/*.yaml`, which is compiled into the binary, and in the options of the patterns' protos.
//!
//! This crate knows no drivers. [`validate`] takes the interfaces of the compiled drivers as an argument.

mod contract;
mod find;
mod load;
mod matrix;
mod model;
mod problem;
mod rpcs;
mod slot;
mod validate;

pub use find::{Match, Query};
pub use matrix::{Cell, Matrix, Row, Totals};
pub use model::{
    Api, Backend, Capability, Connection, DriverStatus, IDEMPOTENCY_INTERFACES, IDEMPOTENCY_SLOT, Interface, Limits, Model, Name, Pattern,
    Setting, SettingType, Slot, Status, Step,
};
pub use prism_yaml::{suggest, unknown_name};
pub use problem::{Problem, Problems};
pub use rpcs::{Rpc, rpcs};
pub use slot::{Group, Requirement, SlotCheck};
pub use validate::{Compiled, CompiledDriver, CompiledPattern, validate};

use std::{collections::BTreeMap, sync::LazyLock};

static EMBEDDED: LazyLock<Registry> = LazyLock::new(|| match Registry::from_embedded() {
    Ok(registry) => registry,
    // The files are part of the program, and a test loads them.
    Err(problems) => panic!("the embedded registry is broken:\n{problems}"),
});

/// The content of `registry/`, in the order of listings.
#[derive(Debug)]
pub struct Registry {
    /// The data models with their interfaces, in the order of the catalog.
    pub models: Vec<Model>,
    /// The capabilities that interfaces express.
    pub capabilities: Vec<Capability>,
    /// Kinds of backends: those with a driver first, then by name.
    pub backends: Vec<Backend>,
    /// Patterns: those that can be served first, then by name.
    pub patterns: Vec<Pattern>,
    /// The stored text of `matrix.yaml`, to compare it with the generated one.
    matrix: Option<String>,
    /// The files, by the layer and name of what they define, as `backends/redis`.
    paths: BTreeMap<String, String>,
}

impl Registry {
    /// Returns the registry that this binary was built with.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// Returns all interfaces in the order of the catalog.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.models.iter().flat_map(|model| &model.interfaces)
    }

    /// Finds an interface by its name, as `keyvalue_scan`.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces().find(|interface| interface.name == *name)
    }

    /// Finds a data model by its name, as `keyvalue`.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == *name)
    }

    /// Finds a capability by its name, as `scan_support`.
    pub fn capability(&self, name: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.name == *name)
    }

    /// Finds a kind of backend by its name, as `redis`.
    pub fn backend(&self, kind: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.name == *kind)
    }

    /// Finds a pattern by its name, as `keyvalue`.
    pub fn pattern(&self, name: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| pattern.name == *name)
    }

    /// Returns the file that defines something, for messages.
    fn path(&self, layer: &str, name: &str) -> &str {
        self.paths.get(&format!("{layer}/{name}")).map_or("registry", String::as_str)
    }
}

#[cfg(test)]
mod tests;
