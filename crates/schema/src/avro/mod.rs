//! Apache Avro, <https://avro.apache.org/docs/1.12.0/specification/>.
//!
//! Texts are read by our own reader and not by a crate: it keeps all that a text says, in its order, takes what Java's
//! implementation takes, and tells where something is wrong. What is decided here is told in the module that does it:
//! `read` what a schema is, `print` when two texts are the same, `compare` what can be read with what.

mod compare;
mod depth;
mod json;
mod model;
mod name;
mod pointer;
mod print;
mod read;
mod tag;
#[cfg(test)]
mod tests;

use self::model::Model;
use super::{Dependency, Difference, Invalid, tag::Visit};

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct Schema {
    model: Model,
}

impl Schema {
    /// Reads a text; see [`super::Schema::parse`].
    ///
    /// The names that it refers to are those that the texts of `dependencies` define, whatever these are called.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, Invalid> {
        Ok(Self { model: read::read(text, dependencies)? })
    }

    /// See [`super::Schema::canonical`]; what Java's `Schema.toString` prints. Types of dependencies stay names.
    pub fn canonical(&self) -> String {
        print::canonical(&self.model)
    }

    /// See [`super::Schema::normalized`]; properties and aliases are sorted.
    pub fn normalized(&self) -> String {
        print::normalized(&self.model)
    }

    /// See [`super::Schema::rendered`]; `resolved` is the only shape.
    pub fn rendered(&self, shape: &str) -> Option<String> {
        (shape == "resolved").then(|| print::resolved(&self.model))
    }

    /// See [`super::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut Visit) {
        tag::each(&mut self.model.clone(), visit);
    }

    /// See [`super::Schema::tagged`].
    pub(super) fn tagged(&self, visit: &mut Visit) -> String {
        let mut model = self.model.clone();
        tag::each(&mut model, visit);
        print::canonical(&model)
    }
}

/// See [`super::Schema::differences`]; decided by "Schema Resolution" of the specification and by Java's
/// `SchemaCompatibility`, whose names of kinds and paths these are.
pub fn differences(reader: &Schema, writer: &Schema) -> Vec<Difference> {
    compare::differences(&reader.model, &writer.model)
}
