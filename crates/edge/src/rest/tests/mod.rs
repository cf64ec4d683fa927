//! Tests of REST requests through the whole edge. Each is sent as a client sends it, to a handler that records its calls.

mod preconditions;
mod streams;
mod unary;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost::Message as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Routes;
use crate::{Binding, Bindings, Body, Cors, Edge, Frontend, Services, Unread};
use prism_call::{
    AccessLog, CallLimits, Code, Context, Error, Handler, Input, Method, Metrics, Namespace, Output, Pipeline, Reply, RequestId, Trailers,
    proto::{
        self,
        patterns::keyvalue::v1::{
            ExistsResponse, RemoveResponse, RetrieveRequest, RetrieveResponse, ScanRequest, ScanResponse, StoreRequest, StoreResponse,
        },
    },
};
use prism_frontend::{
    bind::BindOptions,
    message_types::MessageTypes,
    precondition::Preconditions,
    render::Format,
    route::{self, Route},
    rule::{self, HttpRule},
    template::PathTemplate,
};

const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";
const LIMIT: usize = 4096;

/// A call that the handler received.
struct Seen {
    method: String,
    messages: Vec<Bytes>,
    metadata: HeaderMap,
    remaining: Option<Duration>,
}

/// Handler that records its calls and returns prepared answers in order.
#[derive(Default)]
struct Scripted {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<Result<Reply, Error>>>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        let mut messages = Vec::new();
        let mut stream = input.stream();
        while let Some(message) = stream.next().await {
            messages.push(message?);
        }
        let seen = Seen { method: method.name.clone(), messages, metadata: context.metadata.clone(), remaining: context.remaining() };
        self.seen.lock().unwrap().push(seen);
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Output::one(ExistsResponse { exists: true }).into()))
    }
}

struct Door {
    edge: Arc<Edge>,
    handler: Arc<Scripted>,
}

/// A response whose body has been read completely.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn methods() -> Vec<Arc<Method>> {
    Method::of_service(proto::descriptors(), SERVICE).unwrap()
}

fn routes() -> Routes {
    let mut routes = route::annotated(SERVICE, BindOptions::default()).unwrap();
    // No pattern has a client-streaming RPC yet. This method has everything that such a route needs.
    let methods = methods();
    let store = methods.iter().find(|method| method.name == "Store").unwrap();
    let method = Arc::new(Method {
        path: store.path.clone(),
        service: store.service.clone(),
        name: "StoreMany".to_owned(),
        index: store.index,
        client_streaming: true,
        server_streaming: false,
        read_only: false,
        descriptor: store.descriptor.clone(),
    });
    let template = PathTemplate::parse("/v1/many/{key=**}").unwrap();
    let rule = HttpRule { method: Some(http::Method::POST), template: template.clone(), body: rule::RuleBody::Whole, response_body: None };
    let many = Route::compile(MessageTypes::all(), &method, &rule, BindOptions::default()).unwrap();
    routes.insert(rule.method, template, Arc::new(many)).unwrap();
    routes
}

impl Door {
    fn new() -> Self {
        let handler = Arc::new(Scripted::default());
        let limits = CallLimits { max_message_bytes: LIMIT, ..CallLimits::default() };
        let namespace = Arc::new(Namespace::new("demo", "keyvalue", methods(), handler.clone(), limits, &Metrics::new().unwrap()));
        let binding = Binding {
            host: None,
            base_path: "/demo".to_owned(),
            namespace,
            frontend: Frontend::Rest(Arc::new(routes())),
            documentation: None,
        };
        let edge = Edge {
            pipeline: Arc::new(Pipeline::new(AccessLog::Off, CancellationToken::new())),
            bindings: Bindings::new(vec![binding]),
            services: Services::new(Vec::new(), CancellationToken::new()).0,
            cors: Cors::new(Box::new(|_| false), 0),
        };
        Self { edge: Arc::new(edge), handler }
    }

    fn will(&self, answer: Result<Reply, Error>) -> &Self {
        self.handler.answers.lock().unwrap().push_back(answer);
        self
    }

    async fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        read(self.edge.serve(builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap(), &Unread::default()).await).await
    }

    fn seen(&self) -> Seen {
        self.handler.seen.lock().unwrap().pop().expect("the call should have come through")
    }

    fn nothing_seen(&self) -> bool {
        self.handler.seen.lock().unwrap().is_empty()
    }
}

async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: collected.to_bytes(), trailers }
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
fn stored(revision: u64) -> Result<Reply, Error> {
    Ok(Output::one(StoreResponse { revision }).into())
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
fn retrieved(value: &'static [u8], revision: u64) -> Result<Reply, Error> {
    let value = Bytes::from_static(value);
    Ok(Output::one(RetrieveResponse { value, revision, expire_time: None, flags: 5, create_revision: 8, version: 2 }).into())
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
fn scanned(items: Vec<Result<ScanResponse, Error>>) -> Result<Reply, Error> {
    Ok(Output::messages(Box::pin(futures::stream::iter(items))).into())
}

#[expect(clippy::unnecessary_wraps, reason = "an item of a stream")]
fn entry(key: &str) -> Result<ScanResponse, Error> {
    Ok(ScanResponse {
        key: key.to_owned(),
        value: Bytes::from_static(b"v"),
        revision: 1,
        cursor: format!("c-{key}"),
        create_revision: 1,
        version: 1,
        ..ScanResponse::default()
    })
}
