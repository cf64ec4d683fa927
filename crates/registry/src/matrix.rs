//! The matrix of backends and interfaces. `registry/matrix.yaml` stores it as text.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::Serialize;

use super::{Backend, DriverStatus, Interface, Registry, Status};

/// The status of an interface in a backend.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// Its driver implements it.
    Implemented,
    /// The system can carry it, and no driver implements it yet.
    Planned,
    /// The system is not suited for it.
    Absent,
}

impl Cell {
    fn of(backend: &Backend, interface: &Interface) -> Self {
        if backend.implements(&interface.name) {
            Self::Implemented
        } else if backend.plans(&interface.name) {
            Self::Planned
        } else {
            Self::Absent
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Implemented => "implemented",
            Self::Planned => "planned",
            Self::Absent => "absent",
        }
    }
}

/// The totals over all files.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Totals {
    /// Data models.
    pub models: usize,
    /// Interfaces of all models.
    pub interfaces: usize,
    /// Interfaces that at least one driver implements.
    pub interfaces_implemented: usize,
    /// Kinds of backends.
    pub backends: usize,
    /// Kinds of backends with a driver.
    pub drivers: usize,
    /// Interfaces implemented, summed over the drivers.
    pub implementations: usize,
    /// Interfaces planned, summed over the backends.
    pub planned: usize,
    /// Patterns.
    pub patterns: usize,
    /// Patterns that this build can serve.
    pub patterns_implemented: usize,
}

/// The row of a backend.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whether there is a driver.
    pub driver: DriverStatus,
    /// Number of interfaces that the driver implements.
    pub implemented: usize,
    /// Number of other interfaces that the system can carry.
    pub planned: usize,
    /// By interface, in the order of the catalog.
    pub interfaces: IndexMap<String, Cell>,
}

/// The matrix of backends and interfaces.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// The totals.
    pub totals: Totals,
    /// By backend, in the order of listings.
    pub backends: IndexMap<String, Row>,
}

impl Registry {
    /// Computes the totals.
    pub fn totals(&self) -> Totals {
        let implemented = |interface: &&Interface| self.backends.iter().any(|backend| backend.implements(&interface.name));
        Totals {
            models: self.models.len(),
            interfaces: self.interfaces().count(),
            interfaces_implemented: self.interfaces().filter(implemented).count(),
            backends: self.backends.len(),
            drivers: self.backends.iter().filter(|backend| backend.driver == DriverStatus::Implemented).count(),
            implementations: self.backends.iter().map(|backend| backend.implements.len()).sum(),
            planned: self.backends.iter().map(|backend| backend.planned.len()).sum(),
            patterns: self.patterns.len(),
            patterns_implemented: self.patterns.iter().filter(|pattern| pattern.executor == Status::Implemented).count(),
        }
    }

    /// Computes the matrix.
    pub fn matrix(&self) -> Matrix {
        let row = |backend: &Backend| Row {
            driver: backend.driver,
            implemented: backend.implements.len(),
            planned: backend.planned.len(),
            interfaces: self.interfaces().map(|one| (one.name.to_string(), Cell::of(backend, one))).collect(),
        };
        Matrix { totals: self.totals(), backends: self.backends.iter().map(|backend| (backend.name.to_string(), row(backend))).collect() }
    }

    /// Renders `registry/matrix.yaml`: one line for each backend and data model, so that a diff of a change is one line.
    pub fn matrix_yaml(&self) -> String {
        let Totals {
            models,
            interfaces,
            interfaces_implemented,
            backends,
            drivers,
            implementations,
            planned,
            patterns,
            patterns_implemented,
        } = self.totals();
        let mut out = format!(
            "# Every backend against every interface. Generated: prism registry matrix > registry/matrix.yaml\n\
             totals:\n  models: {models}\n  interfaces: {interfaces}\n  interfaces_implemented: {interfaces_implemented}\n  \
             backends: {backends}\n  drivers: {drivers}\n  implementations: {implementations}\n  planned: {planned}\n  \
             patterns: {patterns}\n  patterns_implemented: {patterns_implemented}\n\nbackends:\n"
        );
        for backend in &self.backends {
            let (done, more) = (backend.implements.len(), backend.planned.len());
            // Writing into a String can't fail.
            let _ = write!(out, "  {}:\n    driver: {}\n    implemented: {done}\n    planned: {more}\n", backend.name, backend.driver);
            out.push_str("    interfaces:\n");
            for model in &self.models {
                let cells = model
                    .interfaces
                    .iter()
                    .map(|interface| format!("{}: {}", interface.flavour(), Cell::of(backend, interface).text()))
                    .collect::<Vec<_>>();
                let _ = writeln!(out, "      {}: {{{}}}", model.name, cells.join(", "));
            }
        }
        out
    }
}
