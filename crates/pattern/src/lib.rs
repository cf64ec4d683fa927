//! The patterns: the services that clients call. Each pattern is one service over named slots.
//!
//! A pattern's folder holds its [`Handler`]. Its entry in [`PATTERNS`] is all that the rest of Prism knows of it. Options in the
//! pattern's proto say which interfaces its slots require and how its RPCs use them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prism_call::{CallLimits, Code, Error, Handler};
use prism_slot::Slot;

mod capabilities;
pub mod keyvalue;
pub mod schema_registry;

/// A pattern that this build can serve.
pub struct Pattern {
    /// Name in the configuration and in `registry/patterns/<name>.yaml`.
    pub name: &'static str,
    /// Version of its service, as `v1`.
    pub version: &'static str,
    /// Full name of its service.
    pub service: &'static str,
    /// Builds the handler of one namespace.
    build: Build,
}

type Build = fn(&mut Slots, &Facts) -> Result<Arc<dyn Handler>, Error>;

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The facts about a namespace that its pattern needs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Name of the namespace.
    pub namespace: Arc<str>,
    /// Limits of calls in the namespace.
    pub limits: CallLimits,
}

/// All patterns of this build, one line each.
pub const PATTERNS: &[&Pattern] = &[&keyvalue::PATTERN, &schema_registry::PATTERN];

/// Finds a pattern by its name.
pub fn find(name: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().copied().find(|pattern| pattern.name == name)
}

/// Builds the handler of a namespace from its filled slots.
///
/// Errors are `INVALID_ARGUMENT`, with the field of the namespace's configuration and one of these reasons: `UNKNOWN_PATTERN`,
/// `UNKNOWN_SLOT` (the pattern has no such slot), `SLOT_EMPTY` and `INTERFACE_MISSING`.
pub fn build(name: &str, slots: BTreeMap<String, Slot>, facts: &Facts) -> Result<Arc<dyn Handler>, Error> {
    let pattern = find(name).ok_or_else(|| {
        let known: Vec<_> = PATTERNS.iter().map(|pattern| pattern.name).collect();
        Error::invalid("pattern", format!("{name:?} is not a pattern of this build; there is {}", known.join(", ")))
            .with_reason("UNKNOWN_PATTERN")
    })?;
    let mut slots = Slots { pattern: pattern.name, filled: slots };
    let handler = (pattern.build)(&mut slots, facts)?;
    match slots.filled.keys().next() {
        None => Ok(handler),
        Some(extra) => Err(Error::invalid(format!("slots.{extra}"), format!("the pattern {name} has no slot of this name; remove it"))
            .with_reason("UNKNOWN_SLOT")),
    }
}

/// The filled slots of a namespace. A pattern takes the slots that it knows.
struct Slots {
    pattern: &'static str,
    filled: BTreeMap<String, Slot>,
}

impl Slots {
    /// Takes a slot that must be filled.
    fn required(&mut self, name: &str) -> Result<Slot, Error> {
        self.filled.remove(name).ok_or_else(|| {
            Error::invalid(format!("slots.{name}"), format!("the pattern {} needs a backend in this slot", self.pattern))
                .with_reason("SLOT_EMPTY")
        })
    }
}

/// Returns an interface that the driver in a slot must implement.
fn required<T: ?Sized>(slot: &Slot, interface: &str, implementation: Option<Arc<T>>) -> Result<Arc<T>, Error> {
    implementation.ok_or_else(|| {
        let message = format!(
            "slots.{}: the driver of kind {} (backend {}) does not implement the required interface {interface}; fill the slot with a backend that does",
            slot.name, slot.kind, slot.backend
        );
        Error::new(Code::InvalidArgument, "INTERFACE_MISSING", message)
            .with_violation(format!("slots.{}", slot.name), format!("needs a backend with the interface {interface}"))
            .with("interface", interface)
            .with("backend", &*slot.backend)
    })
}
