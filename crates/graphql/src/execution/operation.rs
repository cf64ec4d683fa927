//! Operations that may be executed.

use std::sync::Arc;

use async_graphql::{Pos, Variables};
use bytes::Bytes;

use super::{connection::PageCall, plan::ObjectPlan};
use crate::{
    document::Document,
    model::{BatchRpc, OperationKind},
};
use prism_call::{Error, Method};
use prism_frontend::message_types::MessageId;

/// An operation that may be executed.
pub struct PreparedOperation {
    /// What it does.
    pub kind: OperationKind,
    pub(crate) document: Arc<Document>,
    pub(crate) variables: Variables,
    pub(crate) roots: Vec<RootCall>,
}

/// A root field.
pub struct RootCall {
    /// Its name in the response.
    pub key: String,
    /// Where it is in the document.
    pub at: Pos,
    /// Where its value comes from.
    pub target: RootTarget,
}

/// Where the value of a root field comes from.
pub enum RootTarget {
    /// It is this JSON text.
    Constant(Vec<u8>),
    /// The schema itself.
    Introspection,
    /// An RPC.
    Rpc(RpcCall),
    /// A page of the stream of an RPC.
    Page(PageCall),
}

/// The call of an RPC, and what is written of its reply.
pub struct RpcCall {
    /// The RPC.
    pub method: Arc<Method>,
    /// The request message; or the error of the arguments.
    pub message: Result<Bytes, Error>,
    /// The RPC that reads several items at once.
    pub batch: Option<Arc<BatchRpc>>,
    /// The type of the reply.
    pub output: MessageId,
    /// What is written of it; `None` if it is a scalar.
    pub plan: Option<ObjectPlan>,
}

impl PreparedOperation {
    /// Tells whether its fields run one after the other.
    pub(crate) fn is_mutation(&self) -> bool {
        self.kind == OperationKind::Mutation
    }

    /// Tells whether it may change data. Some streams do.
    pub fn may_write(&self) -> bool {
        self.roots.iter().any(|root| matches!(&root.target, RootTarget::Rpc(call) if !call.method.read_only)) || self.is_mutation()
    }
}
