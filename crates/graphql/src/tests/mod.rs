//! Schemas and requests, with RPCs that answer what a test says.

mod batches;
mod connections;
mod federation;
mod gateway;
mod requests;
mod round_trip;
mod schemas;

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use crate::{
    Executed, FieldContext, FieldRpc, GraphqlLimits, GraphqlRequest, GraphqlSchema, GraphqlSettings, RequestError, RpcCaller,
    StreamPurpose,
    model::{Availability, Model},
};
use prism_call::{
    Error, Messages, Method, Proof, RequestId,
    proto::{self, patterns::slots::v1::Capabilities},
};
use prism_frontend::message_types::MessageTypes;

const KEY_VALUE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

/// Answers the calls of fields in order, and remembers them.
#[derive(Default)]
pub struct Scripted {
    seen: Mutex<Vec<(String, String, Bytes)>>,
    answers: Mutex<VecDeque<Result<Bytes, Error>>>,
}

#[async_trait]
impl RpcCaller for Scripted {
    async fn call(&self, rpc: FieldRpc<'_>, message: Bytes) -> Result<Bytes, Error> {
        self.seen.lock().unwrap().push((rpc.method.name.clone(), place(rpc), message));
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Bytes::new()))
    }

    fn context(&self) -> FieldContext {
        FieldContext { proof: Proof::rehearsal(), namespace: "demo".into(), request_id: RequestId::from_headers(&HeaderMap::new()) }
    }

    async fn open(&self, rpc: FieldRpc<'_>, message: Bytes, _: StreamPurpose) -> Result<Messages<Bytes>, Error> {
        self.seen.lock().unwrap().push((rpc.method.name.clone(), place(rpc), message));
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        Ok(Box::pin(futures::stream::iter(answers)))
    }
}

/// The place of a field, with its namespace.
fn place(rpc: FieldRpc<'_>) -> String {
    rpc.namespace.map(|namespace| format!("{namespace}: ")).unwrap_or_default() + rpc.path
}

impl Scripted {
    pub fn answering(answers: impl IntoIterator<Item = Result<Bytes, Error>>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
    }

    /// The RPCs that were called, each with the name of its field.
    pub fn calls(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().iter().map(|(method, field, _)| (method.clone(), field.clone())).collect()
    }

    pub fn message(&self, index: usize) -> Bytes {
        self.seen.lock().unwrap()[index].2.clone()
    }
}

/// The schema of the pattern `keyvalue`, with everything available.
pub fn key_value() -> Arc<GraphqlSchema> {
    let methods = Method::of_service(proto::descriptors(), KEY_VALUE).unwrap();
    GraphqlSchema::of_namespace(&methods, &Capabilities::default()).unwrap()
}

/// The types of `tests/protos/transcoding.proto`.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut compiler = protox::Compiler::new([format!("{root}/tests/protos"), format!("{root}/proto")]).unwrap();
    compiler.include_imports(true).open_file("transcoding.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});
static TYPES: LazyLock<MessageTypes> = LazyLock::new(|| MessageTypes::of(&POOL));

/// The schema of the service in `tests/protos/transcoding.proto`.
pub static TRANSCODING: LazyLock<Arc<GraphqlSchema>> = LazyLock::new(|| {
    let methods = Method::of_service(&POOL, "prism.testing.transcoding.v1.TranscodingService").unwrap();
    Arc::new(GraphqlSchema::new(Model::with_types(&TYPES, &methods, &Availability::default())).unwrap())
});

pub fn limits() -> GraphqlLimits {
    GraphqlSettings::default().limits()
}

pub fn request(query: &str, variables: &Value) -> GraphqlRequest {
    GraphqlRequest::from_value(json!({"query": query, "variables": variables})).unwrap()
}

/// Runs a request with the limits of a test.
pub async fn run_with(
    schema: &GraphqlSchema,
    limits: &GraphqlLimits,
    query: &str,
    variables: &Value,
    caller: &Scripted,
) -> Result<Value, RequestError> {
    let operation = schema.prepare(&request(query, variables), limits).await?;
    let Executed { body, .. } = schema.execute(&operation, limits, caller).await;
    Ok(serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))))
}

pub async fn run(query: &str, variables: Value, caller: &Scripted) -> Result<Value, RequestError> {
    run_with(&key_value(), &limits(), query, &variables, caller).await
}

/// The reason and the message of a request that is refused.
pub async fn refused(query: &str, variables: Value) -> (String, String) {
    let error = run(query, variables, &Scripted::default()).await.map(|done| panic!("{query}: {done}")).unwrap_err().first();
    (error.reason().to_owned(), error.message().to_owned())
}
