//! Execution: calls the RPC of each root field, and writes the response.

mod batch;
mod batches;
mod connection;
mod entities;
mod mapped;
mod operation;
mod plan;
mod render;
mod selected;

use std::sync::Arc;

use async_graphql::{Variables, dynamic::Schema};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde_json::Value as Json;

use crate::{
    GraphqlLimits, RequestError,
    document::{self, Document},
    model::Model,
};
use batches::Batches;
use connection::Page;
use entities::EntityReply;
use plan::member_key;
use prism_call::{Error, Messages, Method, Proof, RequestId};
use prism_frontend::{expression::Value, render::EventFields};
use render::Renderer;
use selected::ResultWriter;

pub use connection::PageCall;
pub use entities::EntitiesCall;
pub use mapped::MappedCall;
use mapped::MappedEvent;
pub use operation::{PreparedOperation, RootCall, RootParent, RootTarget};
pub use plan::{Collected, Planner, RpcCall, type_name};
pub use selected::SelectedType;

/// RPCs of one operation that run at the same time. Each of them holds its reply until it is written.
const CONCURRENT_CALLS: usize = 16;

/// Calls RPCs for the root fields of an operation.
#[async_trait]
pub trait RpcCaller: Send + Sync {
    /// Calls a unary RPC.
    async fn call(&self, rpc: FieldRpc<'_>, message: Bytes) -> Result<Bytes, Error>;

    /// Returns what expressions of definitions may use.
    fn context(&self) -> FieldContext;

    /// Opens the stream of an RPC with a stream of replies. Dropping it cancels the call.
    async fn open(&self, rpc: FieldRpc<'_>, message: Bytes, purpose: StreamPurpose) -> Result<Messages<Bytes>, Error>;
}

/// The RPC of a root field.
#[derive(Clone, Copy)]
pub struct FieldRpc<'c> {
    /// The RPC.
    pub method: &'c Arc<Method>,
    /// The place of the field in the response: `store`, or `orders.store` in the schema of a gateway.
    pub path: &'c str,
    /// The name of the namespace, in the schema of a gateway.
    pub namespace: Option<&'c str>,
}

/// What the expressions of a definition may use beside arguments and replies.
#[derive(Clone)]
pub struct FieldContext {
    /// Proves that the request is observed.
    pub proof: Proof,
    /// The name of the namespace.
    pub namespace: Arc<str>,
    /// The id of the request.
    pub request_id: RequestId,
}

/// What a stream is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPurpose {
    /// For a subscription, which has no deadline.
    Subscription,
    /// For a page, which must end with its request.
    Page,
}

/// The response to an operation.
#[derive(Debug)]
pub struct Executed {
    /// The response as JSON.
    pub body: Vec<u8>,
    /// Number of fields that failed.
    pub failed: usize,
    /// Whether a stream ended because the gateway or the namespace ends. Its client asks again, with its last cursor.
    pub is_interrupted: bool,
}

impl Executed {
    /// Returns the response to a request of which nothing was executed.
    pub fn of(error: &RequestError) -> Self {
        Self { body: error.to_response().to_string().into_bytes(), failed: 1, is_interrupted: false }
    }
}

/// What a root field has before it is written.
enum RootResult {
    Constant(Vec<u8>),
    Reply(Bytes),
    Page(Page),
    Entities(Vec<EntityReply>),
    Mapped(Option<Value>),
    Failed(Error),
}

/// Executes a query or a mutation.
pub async fn execute(
    model: &Model,
    schema: &Schema,
    operation: &PreparedOperation,
    limits: &GraphqlLimits,
    caller: &dyn RpcCaller,
) -> Executed {
    let introspected =
        if operation.introspects() { introspect(schema, &operation.document, &operation.variables).await } else { Json::Null };
    let mut response = ResponseWriter::new(model, limits.max_response_bytes);
    // Mutations run one after the other, in the order of the document; queries at the same time.
    let concurrent = if operation.is_mutation() { 1 } else { CONCURRENT_CALLS };
    let introspected = &introspected;
    let batches = if operation.is_mutation() { Batches::default() } else { Batches::of(&operation.roots, caller) };
    let batches = &batches;
    let mut calls = Vec::with_capacity(operation.roots.len());
    for (place, root) in operation.roots.iter().enumerate() {
        calls.push(async move {
            let result = match batches.reply(place).await {
                Some(Ok(reply)) => RootResult::Reply(reply),
                Some(Err(error)) => RootResult::Failed(error),
                None => resolve(root, introspected, limits, caller).await,
            };
            (root, result)
        });
    }
    let mut results = futures::stream::iter(calls).buffered(concurrent);
    while let Some((root, result)) = results.next().await {
        response.add(root, result);
    }
    response.finish()
}

async fn resolve(root: &RootCall, introspected: &Json, limits: &GraphqlLimits, caller: &dyn RpcCaller) -> RootResult {
    match &root.target {
        RootTarget::Constant(text) | RootTarget::Service(text) => RootResult::Constant(text.clone()),
        RootTarget::Introspection => {
            let found = introspected.get(&root.key).unwrap_or(&Json::Null);
            RootResult::Constant(found.to_string().into_bytes())
        }
        RootTarget::Page(page) => match page.read(root.rpc(&page.method), limits.max_response_bytes, caller).await {
            Ok(page) => RootResult::Page(page),
            Err(error) => RootResult::Failed(error),
        },
        RootTarget::Entities(entities) => RootResult::Entities(entities.read(&root.path, caller).await),
        RootTarget::Mapped(call) => match call.read(root.rpc(&call.mapping.method), limits.max_response_bytes, caller).await {
            Ok(value) => RootResult::Mapped(value),
            Err(error) => RootResult::Failed(error),
        },
        // Found when the operation was prepared.
        RootTarget::Rpc(RpcCall { message: Err(error), .. }) => RootResult::Failed(error.for_client()),
        RootTarget::Rpc(RpcCall { method, message: Ok(message), .. }) => match caller.call(root.rpc(method), message.clone()).await {
            Ok(reply) => RootResult::Reply(reply),
            Err(error) => RootResult::Failed(error),
        },
    }
}

/// Answers the questions about the schema.
async fn introspect(schema: &Schema, document: &Document, variables: &Variables) -> Json {
    let response = document::introspect(schema, document, variables).await;
    response.data.into_json().unwrap_or_default()
}

/// Writes a response.
struct ResponseWriter<'m> {
    renderer: Renderer<'m>,
    out: Vec<u8>,
    errors: Vec<Json>,
    /// Whether a field that must not be null has failed, so that `data` is null ("GraphQL", section 6.4.4).
    is_null: bool,
    /// The field of a namespace whose fields are being written.
    parent: Option<Arc<RootParent>>,
    /// Where a stream continues.
    cursor: Option<String>,
}

impl<'m> ResponseWriter<'m> {
    fn new(model: &'m Model, limit: usize) -> Self {
        Self {
            renderer: Renderer { model, limit },
            out: b"{\"data\":{".to_vec(),
            errors: Vec::new(),
            is_null: false,
            parent: None,
            cursor: None,
        }
    }

    /// Appends a root field. A field that failed is `null`.
    fn add(&mut self, root: &RootCall, result: RootResult) {
        self.enter(root.parent.as_ref());
        self.put_key(&root.key);
        let start = self.out.len();
        let written = match result {
            RootResult::Constant(text) => {
                self.out.extend_from_slice(&text);
                self.renderer.check_size(&self.out).map_err(|failure| failure.into_error(self.renderer.limit))
            }
            RootResult::Failed(error) => Err(error),
            RootResult::Page(page) => match &root.target {
                RootTarget::Page(call) => {
                    call.write(&page, &self.renderer, &mut self.out).map_err(|failure| failure.into_error(self.renderer.limit))
                }
                _ => Err(Error::internal("a field without a page has one")),
            },
            RootResult::Entities(replies) => match &root.target {
                RootTarget::Entities(call) => self.add_entities(root, call, replies),
                _ => Err(Error::internal("a field without entities has some")),
            },
            RootResult::Mapped(value) => match &root.target {
                RootTarget::Mapped(call) => {
                    let written = ResultWriter::write(value.as_ref(), &call.selected, self.renderer.limit, &mut self.out);
                    if written.is_err() {
                        self.out.extend_from_slice(b"null");
                        self.is_null |= !call.selected.nullable;
                    }
                    for (path, error) in written.unwrap_or_else(|errors| errors) {
                        let mut error = root.failed(error);
                        error.path.extend(path);
                        self.errors.push(error.to_json());
                    }
                    Ok(())
                }
                _ => Err(Error::internal("a field without a mapping has a result")),
            },
            RootResult::Reply(reply) => match &root.target {
                RootTarget::Rpc(RpcCall { output, plan, .. }) => self
                    .renderer
                    .message(*output, plan.as_ref(), &reply, &mut self.out)
                    .map_err(|failure| failure.into_error(self.renderer.limit)),
                _ => Err(Error::internal("a field without an RPC has a reply")),
            },
        };
        if let Err(error) = written {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
            self.errors.push(root.failed(error).to_json());
            self.is_null |= matches!(&root.target, RootTarget::Mapped(call) if !call.selected.nullable);
        }
    }

    /// Appends the entities of a subgraph. One that does not exist, or can't be read, is `null`.
    fn add_entities(&mut self, root: &RootCall, call: &EntitiesCall, replies: Vec<EntityReply>) -> Result<(), Error> {
        self.out.push(b'[');
        for (index, (item, reply)) in call.items.iter().zip(replies).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            match (item, reply) {
                (Ok(item), Ok(Some(reply))) => {
                    let RpcCall { output, plan, .. } = &item.call;
                    let written = self.renderer.message(*output, plan.as_ref(), &reply, &mut self.out);
                    written.map_err(|failure| failure.into_error(self.renderer.limit))?;
                }
                (_, Ok(_)) => self.out.extend_from_slice(b"null"),
                (_, Err(error)) => {
                    self.out.extend_from_slice(b"null");
                    let mut error = root.failed(error);
                    error.path.push(index.into());
                    self.errors.push(error.to_json());
                }
            }
        }
        self.out.push(b']');
        self.renderer.check_size(&self.out).map_err(|failure| failure.into_error(self.renderer.limit))
    }

    /// Ends the object of one namespace, and begins that of another one. All fields of an object come one after the other.
    fn enter(&mut self, parent: Option<&Arc<RootParent>>) {
        let is_same = match (&self.parent, parent) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        if self.parent.is_some() {
            self.out.push(b'}');
        }
        if let Some(parent) = parent {
            self.put_key(&parent.key);
            self.out.push(b'{');
        }
        self.parent = parent.cloned();
    }

    fn put_key(&mut self, key: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&member_key(key));
    }

    fn finish(mut self) -> Executed {
        self.enter(None);
        self.out.push(b'}');
        if self.is_null {
            self.out.clear();
            self.out.extend_from_slice(b"{\"data\":null");
        }
        let failed = self.errors.len();
        if failed > 0 {
            self.out.extend_from_slice(b",\"errors\":");
            self.out.extend_from_slice(Json::from(self.errors).to_string().as_bytes());
        }
        if let Some(cursor) = self.cursor {
            self.out.extend_from_slice(b",\"extensions\":");
            self.out.extend_from_slice(serde_json::json!({"cursor": cursor}).to_string().as_bytes());
        }
        self.out.push(b'}');
        Executed { body: self.out, failed, is_interrupted: false }
    }
}

/// Executes a subscription: one response for each message. After an error, the stream ends.
pub async fn subscribe(
    model: Arc<Model>,
    operation: PreparedOperation,
    limits: GraphqlLimits,
    caller: &dyn RpcCaller,
) -> Result<impl Stream<Item = Executed> + Send + use<>, RequestError> {
    let roots = operation.roots;
    let is_constant = |root: &RootCall| matches!(root.target, RootTarget::Constant(_));
    // Clients add `__typename` to every object, so also to that of a namespace.
    let is_one = match roots.as_slice() {
        [_] => true,
        [first, rest @ ..] => rest.iter().all(|root| root.is_beside(first)) && roots.iter().filter(|root| !is_constant(root)).count() == 1,
        [] => false,
    };
    let place = roots.iter().position(|root| !is_constant(root)).filter(|_| is_one);
    let Some((place, root)) = place.and_then(|place| Some((place, roots.get(place)?))) else {
        return Err(RequestError::one("GRAPHQL_VALIDATION", "a subscription must have exactly one field that is a stream", None));
    };
    let (opened, output) = match &root.target {
        RootTarget::Rpc(RpcCall { message: Err(error), output, .. }) => (Err(error.for_client()), *output),
        RootTarget::Rpc(RpcCall { method, message: Ok(message), output, .. }) => {
            (caller.open(root.rpc(method), message.clone(), StreamPurpose::Subscription).await, *output)
        }
        RootTarget::Mapped(call) => (call.open(root.rpc(&call.mapping.method), caller).await, call.mapping.output),
        _ => return Err(RequestError::one("GRAPHQL_VALIDATION", "a subscription must select a stream", Some(root.at))),
    };
    let messages = opened.map_err(|error| RequestError { errors: vec![root.failed(error)] })?;
    let (fields, context) = (EventFields::of(model.types, output), caller.context());
    Ok(messages.filter_map(move |message| {
        let mut response = ResponseWriter::new(&model, limits.max_response_bytes);
        response.cursor = message.as_ref().ok().and_then(|message| fields.cursor(message)).map(str::to_owned);
        let is_interrupted = message.as_ref().is_err_and(is_interruption);
        let target = roots.get(place).map(|root| &root.target);
        let mut result = match (message, target) {
            (Err(error), _) => Some(RootResult::Failed(error)),
            (Ok(message), Some(RootTarget::Mapped(call))) => match call.event(&context, &message) {
                Ok(MappedEvent::Skipped) => return std::future::ready(None),
                Ok(MappedEvent::Result(value)) => Some(RootResult::Mapped(value)),
                Err(error) => Some(RootResult::Failed(error)),
            },
            (Ok(message), _) => Some(RootResult::Reply(message)),
        };
        for (index, root) in roots.iter().enumerate() {
            match (&root.target, result.take_if(|_| index == place)) {
                (_, Some(result)) => response.add(root, result),
                (RootTarget::Constant(text), None) => response.add(root, RootResult::Constant(text.clone())),
                (_, None) => {}
            }
        }
        std::future::ready(Some(Executed { is_interrupted, ..response.finish() }))
    }))
}

/// Tells whether a stream ends because the gateway or the namespace ends.
fn is_interruption(error: &Error) -> bool {
    matches!(error.reason(), "SHUTTING_DOWN" | "NAMESPACE_CHANGED")
}
