//! YAML with positions: a tree in which every value has a position, problems, and suggestions for misspelled names.

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

/// Parses a document and returns its problems. The files that are part of Prism were parsed by the build.
pub fn parse(text: &str) -> (Node, Vec<Problem>) {
    embedded::tree(text).map_or_else(|| tree::parse(text), |node| (node, Vec::new()))
}
