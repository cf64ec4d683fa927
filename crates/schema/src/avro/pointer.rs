//! Positions in a schema text, as JSON pointers (RFC 6901).

use std::fmt;

use crate::pointer::escape_token;

/// A step from a value to a value inside of it.
#[derive(Clone, Copy)]
enum PointerStep<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// The path to a value. It lives on the stack of the function that walks the text, and is rendered only when it is printed.
#[derive(Clone, Copy)]
pub(super) struct PointerPath<'a> {
    outer: Option<&'a PointerPath<'a>>,
    step: PointerStep<'a>,
}

impl<'a> PointerPath<'a> {
    /// The path of the whole text.
    pub const ROOT: PointerPath<'static> = PointerPath { outer: None, step: PointerStep::Root };

    /// Returns the path of an attribute of this value.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self { outer: Some(self), step: PointerStep::Key(key) }
    }

    /// Returns the path of an element of this list.
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
            PointerStep::Key(key) => write!(f, "/{}", escape_token(key)),
            PointerStep::Index(index) => write!(f, "/{index}"),
        }
    }
}

/// Appends a step to a pointer. The pointer of the whole text is `/`, as in Avro's tools.
pub(super) fn append_step(pointer: &str, step: impl fmt::Display) -> String {
    if pointer == "/" { format!("/{step}") } else { format!("{pointer}/{step}") }
}
