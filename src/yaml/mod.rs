//! YAML that people write: a tree that knows where everything stands, the problems in it, and the names that were meant.

mod nearest;
mod problem;
mod tree;

pub use nearest::{nearest, unknown};
pub use problem::{Place, Problem, Problems};
pub use tree::{Key, Node, Value, parse};
