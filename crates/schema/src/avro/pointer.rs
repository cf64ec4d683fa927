//! Places in a text, as JSON pointers (RFC 6901).

use std::fmt;

/// A step from a value to one inside of it.
#[derive(Clone, Copy)]
enum PointerStep<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// A place, told by the steps to it; it lives on the stack of what walks there, and costs nothing until it is printed.
#[derive(Clone, Copy)]
pub(super) struct PointerPath<'a> {
    outer: Option<&'a PointerPath<'a>>,
    step: PointerStep<'a>,
}

impl<'a> PointerPath<'a> {
    /// The whole text.
    pub const ROOT: PointerPath<'static> = PointerPath { outer: None, step: PointerStep::Root };

    /// An attribute of the value at this place.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self { outer: Some(self), step: PointerStep::Key(key) }
    }

    /// An element of the value at this place.
    pub fn index(&'a self, index: usize) -> Self {
        Self { outer: Some(self), step: PointerStep::Index(index) }
    }
}

impl fmt::Display for PointerPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(outer) = self.outer else { return f.write_str("/") };
        if outer.outer.is_some() {
            outer.fmt(f)?;
        }
        match self.step {
            PointerStep::Root => Ok(()),
            PointerStep::Key(key) => write!(f, "/{}", escaped(key)),
            PointerStep::Index(index) => write!(f, "/{index}"),
        }
    }
}

/// A key as a part of a pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The pointer to something inside of what another one points to. The whole is `/`, as Avro's tools write it.
pub(super) fn join(pointer: &str, step: impl fmt::Display) -> String {
    if pointer == "/" { format!("/{step}") } else { format!("{pointer}/{step}") }
}
