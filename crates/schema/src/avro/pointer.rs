//! Places in a text, as JSON pointers (RFC 6901).

use std::fmt;

/// A step from a value to one inside of it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// A place, told by the steps to it; it lives on the stack of what walks there, and costs nothing until it is printed.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    outer: Option<&'a At<'a>>,
    step: Step<'a>,
}

impl<'a> At<'a> {
    /// The whole text.
    pub const ROOT: At<'static> = At { outer: None, step: Step::Root };

    /// An attribute of the value at this place.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self { outer: Some(self), step: Step::Key(key) }
    }

    /// An element of the value at this place.
    pub fn index(&'a self, index: usize) -> Self {
        Self { outer: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(outer) = self.outer else { return f.write_str("/") };
        if outer.outer.is_some() {
            outer.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => write!(f, "/{}", escaped(key)),
            Step::Index(index) => write!(f, "/{index}"),
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
