//! Apache Avro, <https://avro.apache.org/docs/1.12.0/specification/>.
//!
//! Schemas are parsed by our own reader instead of a crate: it keeps every attribute of the text in order, accepts what Avro's Java
//! implementation accepts, and reports the position of each error. [`read`] defines what a valid schema is, [`print`] when two texts are
//! the same schema, and [`compare`] which data can be read with which schema.

mod compare;
mod depth;
mod json;
mod model;
mod name;
mod pointer;
mod primitive;
mod print;
mod read;
mod tag;
#[cfg(test)]
mod tests;

use self::model::TypeGraph;
use crate::{
    Dependency, Difference, InvalidSchema,
    budget::{self, MAX_COMPARED_BYTES, MAX_PARSED_BYTES},
    tag::PartVisitor,
};

/// A parsed Avro schema together with the schemas that it references.
#[derive(Debug)]
pub struct AvroSchema {
    model: TypeGraph,
    bytes: u64,
}

impl AvroSchema {
    /// Parses a schema; see [`crate::Schema::parse`].
    ///
    /// Names resolve to the types that the texts of `dependencies` define. The names of the dependencies themselves do not matter.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Self::read(text, dependencies, true)
    }

    /// Parses a schema that may have been registered long ago; see [`crate::Schema::parse_registered`]. Namespaces and defaults are not
    /// checked.
    pub fn parse_registered(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Self::read(text, dependencies, false)
    }

    fn read(text: &str, dependencies: &[Dependency], strict: bool) -> Result<Self, InvalidSchema> {
        budget::run_operation(MAX_PARSED_BYTES, || Ok(Self { model: read::read(text, dependencies, strict)?, bytes: budget::held_bytes() }))
    }

    /// Returns the estimated size in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the names of the record's fields; none if the schema is not a record.
    pub fn field_names(&self) -> Vec<String> {
        match self.model.kind(self.model.root) {
            model::AvroKind::Record(record) => record.fields.iter().map(|field| field.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the text that Java's `Schema.toString` prints; see [`crate::Schema::canonical`]. Types of dependencies stay names.
    pub fn canonical(&self) -> String {
        print::canonical(&self.model)
    }

    /// Returns the canonical text with sorted properties and aliases; see [`crate::Schema::normalized`].
    pub fn normalized(&self) -> String {
        print::normalized(&self.model)
    }

    /// Returns the text in another shape; see [`crate::Schema::render_as`]. The only shape is `resolved`.
    pub fn render_as(&self, shape: &str) -> Option<String> {
        (shape == "resolved").then(|| print::resolved(&self.model))
    }

    /// Visits the tags of the text; see [`crate::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut PartVisitor) {
        tag::visit_parts(&mut self.model.clone(), visit);
    }

    /// Returns the canonical text with the tags that `visit` leaves; see [`crate::Schema::change_tags`].
    pub(super) fn change_tags(&self, visit: &mut PartVisitor) -> String {
        let mut model = self.model.clone();
        tag::visit_parts(&mut model, visit);
        print::canonical(&model)
    }
}

/// Returns the reasons why `reader` can't read data of `writer`; see [`crate::Schema::differences`]. Follows "Schema Resolution" of the
/// specification and Java's `SchemaCompatibility`, from which the kinds and paths of differences are taken.
pub fn differences(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Difference> {
    budget::run_operation(MAX_COMPARED_BYTES, || compare::differences(&reader.model, &writer.model))
}
