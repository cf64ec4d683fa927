//! How YAML is read here is how the gateway reads it.
#![expect(dead_code, reason = "the build needs some of it")]

#[path = "../src/yaml/compact.rs"]
pub mod compact;
#[path = "../src/yaml/problem.rs"]
pub mod problem;
#[path = "../src/yaml/tree.rs"]
pub mod tree;
