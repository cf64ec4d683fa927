//! A listener with one namespace, for the tests of the protocols. Its handler records its calls.

pub use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use futures::StreamExt as _;
pub use http::{HeaderMap, Request, Response, StatusCode};
pub use http_body_util::{BodyExt as _, Full, StreamBody};
pub use prost::Message as _;
pub use serde_json::{Value, json};
pub use tokio_util::sync::CancellationToken;

pub use crate::{
    AllowedHosts, Binding, Bindings, Body, Connection, Cors, Documentation, Edge, Frontend, GraphqlFrontend, Health, HttpRoutes,
    McpFrontend, ReceivedBody, RequestHandler as _, Served, Services,
};
pub use prism_call::{
    AccessLog, Arrival, CallLimits, Code, Context, Error, Handler, Input, Messages, Method, Metrics, Namespace, ObservedStream, Origin,
    Output, Peer, Pipeline, Protocol, Reply, RequestId, StreamMessage, Target, Trailers,
    proto::{
        self,
        patterns::keyvalue::v1::{
            ExistsResponse, RemoveResponse, RetrieveRequest, RetrieveResponse, ScanRequest, ScanResponse, StoreRequest, StoreResponse,
        },
    },
};
pub use prism_frontend::{
    bind::BindOptions,
    message_types::MessageTypes,
    precondition::Preconditions,
    render::Format,
    route::{self, Route, Routes},
    rule::{self, HttpRule},
    template::PathTemplate,
};
pub use prism_graphql::GraphqlSettings;
pub use prism_mcp::McpSettings;

pub const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";
pub const LIMIT: usize = 4096;

/// A call that the handler received.
pub struct Seen {
    pub method: String,
    pub messages: Vec<Bytes>,
    pub metadata: HeaderMap,
    pub remaining: Option<Duration>,
}

/// Handler that records its calls and returns prepared answers in order.
#[derive(Default)]
pub struct Scripted {
    pub seen: Mutex<Vec<Seen>>,
    pub answers: Mutex<VecDeque<Result<Reply, Error>>>,
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

pub struct Door {
    pub edge: Arc<Edge>,
    pub namespace: Arc<Namespace>,
    pub metrics: Metrics,
    pub handler: Arc<Scripted>,
}

/// A response whose body has been read completely.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub fn methods() -> Vec<Arc<Method>> {
    Method::of_service(proto::descriptors(), SERVICE).unwrap()
}

/// KeyValue has no client-streaming RPC. This method has everything that a route of such an RPC needs.
pub fn store_many() -> Arc<Method> {
    let methods = methods();
    let store = methods.iter().find(|method| method.name == "Store").unwrap();
    Arc::new(Method {
        path: store.path.clone(),
        service: store.service.clone(),
        name: "StoreMany".to_owned(),
        interface: None,
        label: "StoreMany".to_owned(),
        index: store.index,
        client_streaming: true,
        server_streaming: false,
        read_only: false,
        descriptor: store.descriptor.clone(),
    })
}

pub fn routes() -> Routes {
    let mut routes = route::annotated(&methods(), BindOptions::default()).unwrap();
    let method = store_many();
    let template = PathTemplate::parse("/v1/many/{key=**}").unwrap();
    let rule = HttpRule { method: Some(http::Method::POST), template: template.clone(), body: rule::RuleBody::Whole, response_body: None };
    let many = Route::compile(MessageTypes::all(), &method, &rule, BindOptions::default()).unwrap();
    routes.insert(rule.method, template, Arc::new(many)).unwrap();
    routes
}

impl Door {
    pub fn new() -> Self {
        let handler = Arc::new(Scripted::default());
        Self { handler: handler.clone(), ..Self::with(handler) }
    }

    /// Serves with this handler.
    pub fn with(handler: Arc<dyn Handler>) -> Self {
        Self::serving(handler, HttpRoutes::Annotated(Arc::new(routes())))
    }

    /// Serves these HTTP routes with this handler.
    pub fn serving(handler: Arc<dyn Handler>, routes: HttpRoutes) -> Self {
        let limits = CallLimits { max_message_bytes: LIMIT, ..CallLimits::default() };
        let metrics = Metrics::new().unwrap();
        let namespace = Arc::new(Namespace::new("demo", "keyvalue", methods(), handler, limits, &metrics));
        let documentation = Some(Arc::new(Documentation::new(|| panic!("in a document"))));
        let graphql = GraphqlFrontend::new(&GraphqlSettings::default(), None, true);
        let mcp: McpSettings =
            serde_json::from_value(json!({"max_items": 3, "max_result_bytes": "1KiB", "stream_wait": "100ms", "deny": ["Clear*"]}))
                .unwrap();
        let frontends = [
            (Frontend::Rest(routes), documentation),
            (Frontend::Grpc(()), None),
            (Frontend::Connect(MessageTypes::all()), None),
            (Frontend::Websocket(MessageTypes::all()), None),
            (Frontend::Graphql(Arc::new(graphql)), None),
            (Frontend::Mcp(Arc::new(McpFrontend::new(mcp))), None),
        ];
        let bindings = frontends.map(|(frontend, documentation)| Binding {
            host: None,
            base_path: "/demo".to_owned(),
            namespace: namespace.clone(),
            frontend,
            documentation,
        });
        let served = Served {
            bindings: Bindings::new(bindings.into()),
            services: Services::new(&Health::new(), Vec::new(), CancellationToken::new()),
            cors: Cors::new(Box::new(|_| false), 0),
            hosts: AllowedHosts::any(),
            demo: None,
        };
        let pipeline = Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new());
        Self { edge: Arc::new(Edge::new(Arc::new(pipeline), served)), namespace, metrics, handler: Arc::default() }
    }

    pub fn will(&self, answer: Result<Reply, Error>) -> &Self {
        self.handler.answers.lock().unwrap().push_back(answer);
        self
    }

    pub async fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.send(builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap()).await
    }

    pub async fn send<B>(&self, mut request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<crate::BoxError>,
    {
        request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static("localhost"));
        read(self.edge.serve(request.map(ReceivedBody::new), &Connection::internal()).await.0).await
    }

    /// Returns a stream of replies that was admitted.
    pub async fn admit_stream(&self, messages: Messages<StreamMessage>) -> ObservedStream {
        let arrival = Arrival {
            peer: &Peer::internal(),
            namespace: &self.namespace,
            protocol: Protocol::Rest,
            target: Target::Rpc(methods()[0].clone()),
            headers: &HeaderMap::new(),
            timeout: Ok(None),
            origin: Origin::Trusted,
        };
        let Ok(admitted) = self.edge.pipeline.admit(arrival).await else { panic!("refused") };
        admitted.stream(messages).0
    }

    pub fn seen(&self) -> Seen {
        self.handler.seen.lock().unwrap().pop().expect("the call should have come through")
    }

    pub fn nothing_seen(&self) -> bool {
        self.handler.seen.lock().unwrap().is_empty()
    }
}

pub async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: collected.to_bytes(), trailers }
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
pub fn stored(revision: u64) -> Result<Reply, Error> {
    Ok(Output::one(StoreResponse { revision }).into())
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
pub fn retrieved(value: &'static [u8], revision: u64) -> Result<Reply, Error> {
    let value = Bytes::from_static(value);
    Ok(Output::one(RetrieveResponse { value, revision, expire_time: None, flags: 5, create_revision: 8, version: 2 }).into())
}

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
pub fn scanned(items: Vec<Result<ScanResponse, Error>>) -> Result<Reply, Error> {
    Ok(Output::messages(Box::pin(futures::stream::iter(items))).into())
}

#[expect(clippy::unnecessary_wraps, reason = "an item of a stream")]
pub fn entry(key: &str) -> Result<ScanResponse, Error> {
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
