//! GraphQL as data: a definition with a schema of its own, whose root fields are mapped to RPCs in the language of definitions
//! (docs/frontends.md). The schema and the mappings are checked when the definition is compiled.

mod arguments;
mod check;
mod compile;
mod mapping;
mod sdl;

use std::sync::Arc;

use indexmap::IndexMap;

use crate::model::OperationKind;
use prism_frontend::message_types::MessageTypes;

pub use arguments::object_value;
pub use compile::compile;
pub use mapping::{ARGUMENTS, FieldMapping};
pub use sdl::{SchemaTypes, TypeShape};

/// The schema of a definition, with its mappings.
pub struct DefinedSchema {
    types: SchemaTypes,
    /// The mappings of queries, mutations and subscriptions, by their fields.
    fields: [IndexMap<String, Arc<FieldMapping>>; 3],
    /// The types of messages.
    pub messages: &'static MessageTypes,
}

impl DefinedSchema {
    /// Returns the types.
    pub fn types(&self) -> &SchemaTypes {
        &self.types
    }

    /// Returns the name of the type of operations of a kind.
    pub fn type_name(&self, kind: OperationKind) -> &str {
        self.types.root(kind).unwrap_or(kind.type_name())
    }

    /// Returns the mappings of operations of a kind.
    pub fn fields(&self, kind: OperationKind) -> &IndexMap<String, Arc<FieldMapping>> {
        let [queries, mutations, subscriptions] = &self.fields;
        match kind {
            OperationKind::Query => queries,
            OperationKind::Mutation => mutations,
            OperationKind::Subscription => subscriptions,
        }
    }
}
