//! Checks whether a backend can fill a slot.

use std::fmt;

use serde::Serialize;

use super::{Backend, Slot};

/// Why a slot lists an interface.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The slot requires it.
    Required,
    /// The slot requires one interface of a list. The number is the index of the list.
    AnyOf(usize),
    /// The slot uses it if the driver has it.
    Optional,
}

/// One interface of a slot, and whether the backend has it.
#[derive(Clone, Debug, Serialize)]
pub struct Requirement {
    /// As `keyvalue_scan`.
    pub interface: String,
    /// Why the slot lists it.
    pub group: Group,
    /// Whether the backend's driver implements it.
    pub implemented: bool,
    /// Whether the system could carry it, although no driver implements it yet.
    pub planned: bool,
}

/// The comparison of a slot with a backend. `prism validate` prints its text.
#[derive(Clone, Debug, Serialize)]
pub struct SlotCheck {
    /// Name of the slot.
    pub slot: String,
    /// Kind of the backend.
    pub backend: String,
    /// Every interface of the slot: the required, then the alternatives, then the optional ones.
    pub requirements: Vec<Requirement>,
}

impl SlotCheck {
    /// Compares a slot with the file of a backend.
    pub fn new(name: &str, slot: &Slot, backend: &Backend) -> Self {
        let groups = (slot.required_interfaces.iter().map(|interface| (Group::Required, interface)))
            .chain(
                slot.any_of.iter().enumerate().flat_map(|(index, list)| list.iter().map(move |interface| (Group::AnyOf(index), interface))),
            )
            .chain(slot.optional_interfaces.iter().map(|interface| (Group::Optional, interface)));
        Self {
            slot: name.to_owned(),
            backend: backend.name.to_string(),
            requirements: groups
                .map(|(group, interface)| Requirement {
                    interface: interface.to_string(),
                    group,
                    implemented: backend.implements(interface),
                    planned: backend.plans(interface),
                })
                .collect(),
        }
    }

    /// Whether the driver implements everything that the slot requires.
    pub fn is_satisfied(&self) -> bool {
        self.missing().is_empty()
    }

    /// Returns what the slot requires and the driver lacks: single interfaces, and lists of which the driver has none.
    pub fn missing(&self) -> Vec<Vec<&str>> {
        self.lacking(|requirement| requirement.implemented)
    }

    /// Whether the slot could be filled if the driver implemented what is planned for it.
    pub fn is_conceivable(&self) -> bool {
        self.lacking(|requirement| requirement.implemented || requirement.planned).is_empty()
    }

    fn lacking(&self, has: impl Fn(&Requirement) -> bool) -> Vec<Vec<&str>> {
        let mut missing = Vec::new();
        for requirement in self.in_group(|group| group == Group::Required) {
            if !has(requirement) {
                missing.push(vec![requirement.interface.as_str()]);
            }
        }
        for index in 0..self.any_of_count() {
            if !self.in_group(|group| group == Group::AnyOf(index)).any(&has) {
                missing.push(self.in_group(|group| group == Group::AnyOf(index)).map(|one| one.interface.as_str()).collect());
            }
        }
        missing
    }

    fn in_group(&self, wanted: impl Fn(Group) -> bool) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter().filter(move |requirement| wanted(requirement.group))
    }

    fn any_of_count(&self) -> usize {
        let index = |requirement: &Requirement| match requirement.group {
            Group::AnyOf(index) => Some(index + 1),
            Group::Required | Group::Optional => None,
        };
        self.requirements.iter().filter_map(index).max().unwrap_or(0)
    }

    /// Returns a sentence that lists the missing interfaces; empty if none is missing.
    pub fn complaint(&self) -> String {
        let missing = self.missing();
        if missing.is_empty() {
            return String::new();
        }
        let list = missing.iter().map(|names| names.join(" or ")).collect::<Vec<_>>().join(", ");
        format!("slot `{}` needs {list}, which the {} driver does not implement", self.slot, self.backend)
    }
}

impl fmt::Display for SlotCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Slot: {}\n  Backend: {}", self.slot, self.backend)?;
        let width = self.requirements.iter().map(|requirement| requirement.interface.len()).max().unwrap_or(0).max(20);
        let mut section = |title: &str, wanted: Group, needed: bool| {
            let lines = self.in_group(|group| group == wanted).collect::<Vec<_>>();
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "  {title}:")?;
            for Requirement { interface, implemented, planned, .. } in lines {
                let (sign, verdict) = match (implemented, planned, needed) {
                    (true, ..) => ('✓', "implements"),
                    (false, true, true) => ('✗', "does not implement it yet"),
                    (false, false, true) => ('✗', "does not implement it"),
                    (false, true, false) => ('-', "does not implement it yet"),
                    (false, false, false) => ('-', "does not implement it"),
                };
                writeln!(f, "    {sign} {interface:width$}   ({} {verdict})", self.backend)?;
            }
            Ok(())
        };
        section("Required interfaces", Group::Required, true)?;
        for index in 0..self.any_of_count() {
            let met = self.in_group(|group| group == Group::AnyOf(index)).any(|requirement| requirement.implemented);
            section("At least one of", Group::AnyOf(index), !met)?;
        }
        section("Optional interfaces", Group::Optional, false)
    }
}
