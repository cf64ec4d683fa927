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

use self::model::TypeGraph;
use super::{Dependency, Difference, InvalidSchema, tag::PartVisitor};

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct AvroSchema {
    model: TypeGraph,
}

impl AvroSchema {
    /// Reads a text; see [`crate::Schema::parse`].
    ///
    /// The names that it refers to are those that the texts of `dependencies` define, whatever these are called.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Ok(Self { model: read::read(text, dependencies)? })
    }

    /// See [`crate::Schema::canonical`]; what Java's `Schema.toString` prints. Types of dependencies stay names.
    pub fn canonical(&self) -> String {
        print::canonical(&self.model)
    }

    /// See [`crate::Schema::normalized`]; properties and aliases are sorted.
    pub fn normalized(&self) -> String {
        print::normalized(&self.model)
    }

    /// See [`crate::Schema::render_as`]; `resolved` is the only shape.
    pub fn render_as(&self, shape: &str) -> Option<String> {
        (shape == "resolved").then(|| print::resolved(&self.model))
    }

    /// See [`crate::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut PartVisitor) {
        tag::each(&mut self.model.clone(), visit);
    }

    /// See [`crate::Schema::change_tags`].
    pub(super) fn change_tags(&self, visit: &mut PartVisitor) -> String {
        let mut model = self.model.clone();
        tag::each(&mut model, visit);
        print::canonical(&model)
    }
}

/// See [`crate::Schema::differences`]; decided by "Schema Resolution" of the specification and by Java's
/// `SchemaCompatibility`, whose names of kinds and paths these are.
pub fn differences(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Difference> {
    compare::differences(&reader.model, &writer.model)
}
