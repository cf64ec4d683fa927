//! JSON Schema, drafts 4, 6, 7, 2019-09 and 2020-12.
//!
//! A text is read into [`documents`], taken apart into [`node`]s by [`compile`], and held against another one by
//! [`compare`]. Nothing is ever fetched: what a schema refers to is among its dependencies, or it is a meta-schema.

mod compare;
mod compile;
mod documents;
mod draft;
mod meta;
mod node;
mod number;
mod tag;
mod text;
mod unevaluated;
mod uri;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{CompatibilityPolicy, Dependency, Difference, InvalidSchema, tag::PartVisitor};
use node::Subschema;

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct JsonSchema {
    text: String,
    nodes: Vec<Subschema>,
    /// What the texts that it refers to are called, behind an empty name for itself.
    names: Vec<Arc<str>>,
}

impl JsonSchema {
    /// Reads a text; see [`crate::Schema::parse`]. Without a `$schema` that is known, it is draft 7.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut documents = documents::Documents::read(text, dependencies)?;
        let nodes = compile::compile(&mut documents)?;
        Ok(Self { text: text.to_owned(), nodes, names: documents.names() })
    }

    /// The text without spaces; see [`crate::Schema::canonical`]. Members keep their order, numbers their digits.
    pub fn canonical(&self) -> String {
        text::minified(&self.text)
    }

    /// Members sorted by name; see [`crate::Schema::normalized`]. Lists keep their order.
    pub fn normalized(&self) -> String {
        text::sorted(&self.text)
    }

    /// See [`crate::Schema::render_as`]; there is no other shape.
    pub fn render_as(&self, _shape: &str) -> Option<String> {
        None
    }

    /// See [`crate::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut PartVisitor) {
        tag::each(&self.text, visit);
    }

    /// See [`crate::Schema::change_tags`].
    pub(super) fn change_tags(&self, visit: &mut PartVisitor) -> String {
        tag::each(&self.text, visit)
    }
}

/// Why data of `writer` may not be valid for `reader`; see [`crate::Schema::differences`] and [`compare`].
pub fn differences(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Vec<Difference> {
    let told = compare::differences(reader, writer, policy);
    // What is surely no difference for all data is none in the lenient policy either, which looks less closely in places.
    if policy == CompatibilityPolicy::Lenient
        && !told.is_empty()
        && compare::differences(reader, writer, CompatibilityPolicy::Strict).is_empty()
    {
        return Vec::new();
    }
    told
}
