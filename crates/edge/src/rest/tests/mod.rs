//! Tests of REST requests through the whole edge. Each is sent as a client sends it, to a handler that records its calls.

mod compression;
mod panics;
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

use crate::{Binding, Bindings, Body, Cors, Documentation, Edge, Frontend, Health, ReceivedBody, Served, Services, Unread};
use prism_call::{
    AccessLog, Arrival, CallLimits, Code, Context, Error, Handler, Input, Messages, Method, Metrics, Namespace, ObservedStream, Output,
    Peer, Pipeline, Protocol, Reply, RequestId, Target, Trailers,
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
    route::{self, Route, Routes},
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
    namespace: Arc<Namespace>,
    metrics: Metrics,
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
        Self { handler: handler.clone(), ..Self::with(handler) }
    }

    /// Serves with this handler.
    fn with(handler: Arc<dyn Handler>) -> Self {
        let limits = CallLimits { max_message_bytes: LIMIT, ..CallLimits::default() };
        let metrics = Metrics::new().unwrap();
        let namespace = Arc::new(Namespace::new("demo", "keyvalue", methods(), handler, limits, &metrics));
        let binding = Binding {
            host: None,
            base_path: "/demo".to_owned(),
            namespace: namespace.clone(),
            frontend: Frontend::Rest(Arc::new(routes())),
            documentation: Some(Arc::new(Documentation::new(|| panic!("in a document")))),
        };
        let grpc = Binding {
            host: None,
            base_path: "/demo".to_owned(),
            namespace: namespace.clone(),
            frontend: Frontend::Grpc,
            documentation: None,
        };
        let served = Served {
            bindings: Bindings::new(vec![binding, grpc]),
            services: Services::new(&Health::new(), Vec::new(), CancellationToken::new()),
            cors: Cors::new(Box::new(|_| false), 0),
        };
        let pipeline = Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new());
        Self { edge: Arc::new(Edge::new(Arc::new(pipeline), served)), namespace, metrics, handler: Arc::default() }
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
        self.send(builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap()).await
    }

    async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<crate::BoxError>,
    {
        read(self.edge.serve(request.map(ReceivedBody::new), &Peer::internal(), &Unread::default()).await).await
    }

    /// Returns a stream of replies that was admitted.
    async fn admit_stream(&self, messages: Messages<Bytes>) -> ObservedStream {
        let arrival = Arrival {
            peer: &Peer::internal(),
            namespace: &self.namespace,
            protocol: Protocol::Rest,
            target: Target::Rpc(methods()[0].clone()),
            headers: &HeaderMap::new(),
            timeout: Ok(None),
        };
        let Ok(admitted) = self.edge.pipeline.admit(arrival).await else { panic!("refused") };
        admitted.stream(messages).0
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
