//! A parsed JSON schema.

use std::sync::Arc;

use super::{compile, documents::Documents, node::Subschema, tag, text};
use crate::{
    Dependency, InvalidSchema,
    budget::{self, MAX_PARSED_BYTES},
    tag::PartVisitor,
};

/// A parsed JSON schema together with the schemas that it references.
#[derive(Debug)]
pub struct JsonSchema {
    pub(super) text: String,
    pub(super) nodes: Vec<Arc<Subschema>>,
    /// The names of the referenced texts. The first name is empty and stands for the schema itself.
    pub(super) names: Vec<Arc<str>>,
    /// The estimated size in memory.
    pub(super) bytes: u64,
}

impl JsonSchema {
    /// Parses a schema; see [`crate::Schema::parse`]. Without a known `$schema`, it is read as draft 7.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        budget::run_operation(MAX_PARSED_BYTES, || {
            let mut documents = Documents::read(text, dependencies)?;
            let nodes = compile::compile(&mut documents)?.into_iter().map(Arc::new).collect();
            Ok(Self { text: text.to_owned(), nodes, names: documents.names(), bytes: budget::held_bytes() })
        })
    }

    /// Returns the estimated size in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the names in `properties` of the schema itself.
    pub fn field_names(&self) -> Vec<String> {
        let value = text::parse_json(&self.text).unwrap_or_default();
        value.get("properties").and_then(serde_json::Value::as_object).map(|members| members.keys().cloned().collect()).unwrap_or_default()
    }

    /// Returns the text without whitespace; see [`crate::Schema::canonical`]. Members keep their order, and numbers keep their digits.
    pub fn canonical(&self) -> String {
        text::minify(&self.text)
    }

    /// Returns the canonical text with members sorted by name; see [`crate::Schema::normalized`]. Lists keep their order.
    pub fn normalized(&self) -> String {
        text::minify_sorted(&self.text)
    }

    /// Returns `None`, because JSON Schema has no other shape; see [`crate::Schema::render_as`].
    pub fn render_as(&self, _shape: &str) -> Option<String> {
        None
    }

    /// Visits the tags of the text; see [`crate::Schema::tags`].
    pub(crate) fn tags(&self, visit: &mut PartVisitor) {
        tag::visit_parts(&self.text, visit);
    }

    /// Returns the canonical text with the tags that `visit` leaves; see [`crate::Schema::change_tags`].
    pub(crate) fn change_tags(&self, visit: &mut PartVisitor) -> String {
        tag::visit_parts(&self.text, visit)
    }
}
