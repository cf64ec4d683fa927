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

use super::{Dependency, Difference, Invalid, Policy, tag::Visit};
use node::Node;

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct Schema {
    text: String,
    nodes: Vec<Node>,
    /// What the texts that it refers to are called, behind an empty name for itself.
    names: Vec<Arc<str>>,
}

impl Schema {
    /// Reads a text; see [`super::Schema::parse`]. Without a `$schema` that is known, it is draft 7.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, Invalid> {
        let mut documents = documents::Documents::read(text, dependencies)?;
        let nodes = compile::compile(&mut documents)?;
        Ok(Self { text: text.to_owned(), nodes, names: documents.names() })
    }

    /// The text without spaces; see [`super::Schema::canonical`]. Members keep their order, numbers their digits.
    pub fn canonical(&self) -> String {
        text::minified(&self.text)
    }

    /// Members sorted by name; see [`super::Schema::normalized`]. Lists keep their order.
    pub fn normalized(&self) -> String {
        text::sorted(&self.text)
    }

    /// See [`super::Schema::rendered`]; there is no other shape.
    pub fn rendered(&self, _shape: &str) -> Option<String> {
        None
    }

    /// See [`super::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut Visit) {
        tag::each(&self.text, visit);
    }

    /// See [`super::Schema::tagged`].
    pub(super) fn tagged(&self, visit: &mut Visit) -> String {
        tag::each(&self.text, visit)
    }
}

/// Why data of `writer` may not be valid for `reader`; see [`super::Schema::differences`] and [`compare`].
pub fn differences(reader: &Schema, writer: &Schema, policy: Policy) -> Vec<Difference> {
    let told = compare::differences(reader, writer, policy);
    // What is surely no difference for all data is none in the lenient policy either, which looks less closely in places.
    if policy == Policy::Lenient && !told.is_empty() && compare::differences(reader, writer, Policy::Strict).is_empty() {
        return Vec::new();
    }
    told
}
