//! Schemas of data in three formats: which texts are valid, which texts are the same schema, and which changes are compatible.
//!
//! This crate knows no subjects, versions or storage. Each format is a folder with the same operations: `parse`, `canonical`,
//! `normalized`, `render_as`, `differences`, `tags` and `change_tags`. [`Schema`] calls those of the right format.

pub mod avro;
mod budget;
mod difference;
mod format;
pub mod json;
mod pointer;
pub mod protobuf;
mod schema;
mod source;
pub mod tag;
#[cfg(test)]
mod tests;
mod text;

pub use budget::{CancelFlag, MAX_COMPARED_BYTES, MAX_PARSED_BYTES, MAX_STEPS, WorkEnd, run_work};
pub use difference::{CompatibilityPolicy, Difference, MAX_DIFFERENCES, TOO_COMPLEX};
pub use format::SchemaFormat;
pub use schema::{Schema, UncheckedSchema};
pub use source::{Dependency, InvalidSchema};
