//! Execution: calls the RPC of each root field, and writes the response.

mod batch;
mod connection;
mod operation;
mod plan;
mod render;

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
    request::GraphqlError,
};
use batch::Batches;
use connection::Page;
use plan::member_key;
use prism_call::{Error, Messages, Method};
use prism_frontend::render::EventFields;
use render::Renderer;

pub use connection::PageCall;
pub use operation::{PreparedOperation, RootCall, RootTarget, RpcCall};
pub use plan::{Planner, quoted};

/// RPCs of one operation that run at the same time. Each of them holds its reply until it is written.
const CONCURRENT_CALLS: usize = 16;

/// Calls RPCs for the root fields of an operation.
#[async_trait]
pub trait RpcCaller: Send + Sync {
    /// Calls a unary RPC. `field` is the name of the root field in the response.
    async fn call(&self, method: &Arc<Method>, field: &str, message: Bytes) -> Result<Bytes, Error>;

    /// Opens the stream of an RPC with a stream of replies. Dropping it cancels the call.
    async fn open(&self, method: &Arc<Method>, field: &str, message: Bytes, purpose: StreamPurpose) -> Result<Messages<Bytes>, Error>;
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
    let introspected = if operation.roots.iter().any(|root| matches!(root.target, RootTarget::Introspection)) {
        introspect(schema, &operation.document, &operation.variables).await
    } else {
        Json::Null
    };
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
        RootTarget::Constant(text) => RootResult::Constant(text.clone()),
        RootTarget::Introspection => {
            let found = introspected.get(&root.key).unwrap_or(&Json::Null);
            RootResult::Constant(found.to_string().into_bytes())
        }
        RootTarget::Page(page) => match page.read(&root.key, limits.max_response_bytes, caller).await {
            Ok(page) => RootResult::Page(page),
            Err(error) => RootResult::Failed(error),
        },
        // Found when the operation was prepared.
        RootTarget::Rpc(RpcCall { message: Err(error), .. }) => RootResult::Failed(error.for_client()),
        RootTarget::Rpc(RpcCall { method, message: Ok(message), .. }) => match caller.call(method, &root.key, message.clone()).await {
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
    /// Where a stream continues.
    cursor: Option<String>,
}

impl<'m> ResponseWriter<'m> {
    fn new(model: &'m Model, limit: usize) -> Self {
        Self { renderer: Renderer { model, limit }, out: b"{\"data\":{".to_vec(), errors: Vec::new(), cursor: None }
    }

    /// Appends a root field. A field that failed is `null`.
    fn add(&mut self, root: &RootCall, result: RootResult) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&member_key(&root.key));
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
            let error = GraphqlError { error, locations: vec![root.at], path: vec![root.key.clone().into()] };
            self.errors.push(error.to_json());
        }
    }

    fn finish(mut self) -> Executed {
        self.out.push(b'}');
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
    caller: Arc<dyn RpcCaller>,
) -> Result<impl Stream<Item = Executed> + Send + 'static, RequestError> {
    let mut roots = operation.roots;
    let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
        return Err(RequestError::one("GRAPHQL_VALIDATION", "a subscription must have exactly one field", None));
    };
    let RootTarget::Rpc(RpcCall { method, message, output, .. }) = &root.target else {
        return Err(RequestError::one("GRAPHQL_VALIDATION", "a subscription must select a stream", Some(root.at)));
    };
    let opened = match message {
        Ok(message) => caller.open(method, &root.key, message.clone(), StreamPurpose::Subscription).await,
        Err(error) => Err(error.for_client()),
    };
    let failed =
        |error| RequestError { errors: vec![GraphqlError { error, locations: vec![root.at], path: vec![root.key.clone().into()] }] };
    let messages = opened.map_err(failed)?;
    let fields = EventFields::of(model.types, *output);
    Ok(messages.map(move |message| {
        // The caller lives as long as its stream.
        let _ = &caller;
        let mut response = ResponseWriter::new(&model, limits.max_response_bytes);
        response.cursor = message.as_ref().ok().and_then(|message| fields.cursor(message)).map(str::to_owned);
        let is_interrupted = message.as_ref().is_err_and(is_interruption);
        response.add(&root, message.map_or_else(RootResult::Failed, RootResult::Reply));
        Executed { is_interrupted, ..response.finish() }
    }))
}

/// Tells whether a stream ends because the gateway or the namespace ends.
fn is_interruption(error: &Error) -> bool {
    matches!(error.reason(), "SHUTTING_DOWN" | "NAMESPACE_CHANGED")
}
