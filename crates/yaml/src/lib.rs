//! YAML that people write: a tree that knows where everything stands, the problems in it, and the names that were meant.

mod compact;
mod embedded;
mod nearest;
mod problem;
mod tree;
mod typed;

pub use embedded::{EMBEDDED, Embedded};
pub use nearest::{nearest, unknown};
pub use problem::{Place, Problem, Problems};
pub use tree::{Key, Node, Value};
pub use typed::{Placed, typed};

/// Reads a document, with all that is wrong with it. One that comes with Prism has been read by its build.
pub fn parse(text: &str) -> (Node, Vec<Problem>) {
    embedded::tree(text).map_or_else(|| tree::parse(text), |node| (node, Vec::new()))
}
