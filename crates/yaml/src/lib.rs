//! YAML that people write: a tree that knows where everything stands, the problems in it, and the names that were meant.

mod compact;
mod embedded;

mod problem;
mod suggestion;
mod tree;
mod typed;

pub use embedded::{EMBEDDED, Embedded};
pub use problem::{Position, Problem, Problems};
pub use suggestion::{suggest, unknown_name};
pub use tree::{Key, Node, Value};
pub use typed::{TextAtLine, typed};

/// Reads a document, with all that is wrong with it. One that comes with Prism has been read by its build.
pub fn parse(text: &str) -> (Node, Vec<Problem>) {
    embedded::tree(text).map_or_else(|| tree::parse(text), |node| (node, Vec::new()))
}
