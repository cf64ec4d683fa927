//! Protocol Buffers: proto2, proto3 and the editions 2023 and 2024, <https://protobuf.dev/reference/protobuf/>.
//!
//! A text is source, or the base64 of a `google.protobuf.FileDescriptorProto`. Both forms of the same file are the same schema. Imports are
//! resolved to dependencies by name. Protobuf's own files and those in `wellknown/` need no dependency.
//!
//! A text passes through `scan`, `edition` and `dialect`, `read`, `check`, `link` and `validate`, and becomes linked descriptors. Which texts
//! are valid is what protoc says: `tests/schemas/protobuf/corpus.jsonl` has its verdicts. `print` writes them as the
//! canonical text, and `compare` finds the differences between two of them.

mod check;
mod compare;
mod dialect;
mod edition;
mod edits;
mod features;
mod link;
mod linkable;
mod names;
mod print;
mod read;
mod restore;
mod scan;
mod schema;
mod tag;
#[cfg(test)]
mod tests;
mod validate;
mod wellknown;

pub use schema::ProtobufSchema;

use crate::{
    Dependency, Difference, InvalidSchema,
    budget::{self, MAX_COMPARED_BYTES, MAX_PARSED_BYTES},
    tag::PartVisitor,
};

/// Checks a text as far as [`crate::Schema::parse_registered`] does: its syntax. Types and options need not be known.
pub fn check_registered(text: &str) -> Result<(), InvalidSchema> {
    budget::run_operation(MAX_PARSED_BYTES, || read::ProtoFile::read("schema.proto", text).map(drop))
}

impl ProtobufSchema {
    /// Returns the names of the fields of the first message.
    pub fn field_names(&self) -> Vec<String> {
        let first = self.linked.file.messages().next();
        first.map(|message| message.fields().map(|field| field.name().to_owned()).collect()).unwrap_or_default()
    }

    /// Returns the package; empty if there is none.
    pub(crate) fn package(&self) -> &str {
        self.linked.file.package_name()
    }

    /// Visits the tags of the text; see [`crate::Schema::tags`].
    pub(crate) fn tags(&self, visit: &mut PartVisitor) {
        tag::visit_parts(self, visit);
    }

    /// Returns the canonical text with the tags that `visit` leaves; see [`crate::Schema::change_tags`].
    pub(crate) fn change_tags(&self, visit: &mut PartVisitor, dependencies: &[Dependency]) -> Result<String, InvalidSchema> {
        tag::change_tags(self, visit, dependencies)
    }
}

/// Returns the reasons why `reader` can't read data of `writer`; see [`crate::Schema::differences`].
pub fn differences(reader: &ProtobufSchema, writer: &ProtobufSchema) -> Vec<Difference> {
    budget::run_operation(MAX_COMPARED_BYTES, || compare::differences(&reader.linked, &writer.linked))
}
