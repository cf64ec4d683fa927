//! Operations that may be executed.

use std::sync::Arc;

use async_graphql::{Pos, Variables};
use serde_json::Value as Json;

use super::{FieldRpc, RpcCall, connection::PageCall, entities::EntitiesCall, mapped::MappedCall};
use crate::{document::Document, model::OperationKind, request::GraphqlError};
use prism_call::{Error, Method};

/// An operation that may be executed.
pub struct PreparedOperation {
    /// What it does.
    pub kind: OperationKind,
    pub(crate) document: Arc<Document>,
    pub(crate) variables: Variables,
    pub(crate) roots: Vec<RootCall>,
}

/// A root field: of the operation, or in the schema of a gateway, of a namespace.
pub struct RootCall {
    /// Its name in the response.
    pub key: String,
    /// The field around it, if it is of a namespace.
    pub parent: Option<Arc<RootParent>>,
    /// Its place in the response: `store`, or `orders.store`.
    pub path: String,
    /// Where it is in the document.
    pub at: Pos,
    /// Where its value comes from.
    pub target: RootTarget,
}

/// The field of a namespace in the schema of a gateway.
pub struct RootParent {
    /// Its name in the response.
    pub key: String,
    /// The name of the namespace.
    pub namespace: Arc<str>,
}

impl RootCall {
    /// Creates a root field.
    pub fn new(key: &str, parent: Option<Arc<RootParent>>, at: Pos, target: RootTarget) -> Self {
        let path = parent.as_ref().map_or_else(|| key.to_owned(), |parent| format!("{}.{key}", parent.key));
        Self { key: key.to_owned(), parent, path, at, target }
    }

    /// Returns the name of its namespace, if the schema has several.
    pub fn namespace(&self) -> Option<&str> {
        self.parent.as_ref().map(|parent| &*parent.namespace)
    }

    /// Tells whether another field is in the same object of a namespace.
    pub fn is_beside(&self, other: &Self) -> bool {
        matches!((&self.parent, &other.parent), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
    }

    /// Returns the call of an RPC for this field.
    pub fn rpc<'c>(&'c self, method: &'c Arc<Method>) -> FieldRpc<'c> {
        FieldRpc { method, path: &self.path, namespace: self.namespace() }
    }

    /// Returns an error of this field.
    pub fn failed(&self, error: Error) -> GraphqlError {
        let path = self.parent.iter().map(|parent| &parent.key).chain([&self.key]);
        GraphqlError { error, locations: vec![self.at], path: path.map(|key| Json::from(key.as_str())).collect() }
    }
}

/// Where the value of a root field comes from.
pub enum RootTarget {
    /// It is this JSON text.
    Constant(Vec<u8>),
    /// The schema itself.
    Introspection,
    /// The schema of a subgraph, as JSON with its text.
    Service(Vec<u8>),
    /// An RPC.
    Rpc(RpcCall),
    /// A page of the stream of an RPC.
    Page(PageCall),
    /// The entities of a subgraph.
    Entities(EntitiesCall),
    /// The RPC of a field of a definition.
    Mapped(MappedCall),
}

impl PreparedOperation {
    /// Tells whether its fields run one after the other.
    pub(crate) fn is_mutation(&self) -> bool {
        self.kind == OperationKind::Mutation
    }

    /// Tells whether it asks for the schema by introspection.
    pub(crate) fn introspects(&self) -> bool {
        self.roots.iter().any(|root| matches!(root.target, RootTarget::Introspection))
    }

    /// Tells whether it reads the schema, by introspection or as text.
    pub fn reads_schema(&self) -> bool {
        self.roots.iter().any(|root| matches!(root.target, RootTarget::Introspection | RootTarget::Service(_)))
    }

    /// Tells whether it may change data. Some streams do.
    pub fn may_write(&self) -> bool {
        let writes = |root: &RootCall| match &root.target {
            RootTarget::Rpc(call) => !call.method.read_only,
            RootTarget::Mapped(call) => !call.mapping.method.read_only,
            _ => false,
        };
        self.is_mutation() || self.roots.iter().any(writes)
    }
}
