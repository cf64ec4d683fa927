//! Prism's edge in front of the service, with all protocols on one free port.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use prism::{
    call::{AccessLog, CallLimits, Context, Error, Handler, Input, Method, Metrics, Namespace, Pipeline, Reply},
    edge::{AllowedHosts, Binding, Bindings, Cors, Drain, Edge, Frontend, Health, HttpRoutes, Served, Services, bind},
    frontend::{
        bind::BindOptions,
        definition::{self, DocumentFolders, Texts},
        mapping::Api,
        route::{Route, Routes},
        rule::HttpRule,
    },
    proto,
};
use tokio_util::sync::CancellationToken;

use crate::{
    contract::{POOL, SCHEMA, SERVICE},
    service::Depot,
};

/// The base path where unknown query parameters are ignored.
pub const RELAXED: &str = "/relaxed";
/// The base path of a mapped API, which has its own error body.
pub const DEFINED: &str = "/pad";

/// Starts the server, which runs until the runtime ends.
pub async fn start() -> SocketAddr {
    let methods = Method::of_service(&POOL, SERVICE).unwrap();
    let metrics = Metrics::new().unwrap();
    let depot = Arc::new(Namespace::new("depot", "depot", methods, Arc::new(Depot), CallLimits::default(), &metrics));
    let methods = Method::of_service(proto::descriptors(), KEYVALUE).unwrap();
    let pad = Arc::new(Namespace::new("pad", "keyvalue", methods, Arc::new(Nothing), CallLimits::default(), &metrics));
    let binding = |namespace: &Arc<Namespace>, base_path: &str, frontend| Binding {
        host: None,
        base_path: base_path.to_owned(),
        namespace: namespace.clone(),
        frontend,
        documentation: None,
    };
    let relaxed = BindOptions { ignore_unknown_parameters: true };
    let bindings = vec![
        binding(&depot, "", Frontend::Grpc(())),
        binding(&depot, "", Frontend::GrpcWeb(())),
        binding(&depot, "", Frontend::Rest(HttpRoutes::Annotated(Arc::new(routes(BindOptions::default()))))),
        binding(&depot, RELAXED, Frontend::Rest(HttpRoutes::Annotated(Arc::new(routes(relaxed))))),
        binding(&pad, DEFINED, Frontend::Rest(HttpRoutes::Mapped(defined()))),
    ];
    let pipeline = Arc::new(Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new()));
    let served = Served {
        bindings: Bindings::new(bindings),
        services: Services::new(&Health::new(), Vec::new(), CancellationToken::new()),
        cors: Cors::new(Box::new(|_| true), 0),
        hosts: AllowedHosts::any(),
        demo: None,
    };
    let bound = bind("transcoding", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = bound.address;
    let edge = Arc::new(Edge::new(pipeline, served));
    tokio::spawn(bound.serve(edge, Arc::default(), metrics.connections("transcoding"), None, Drain::default()));
    address
}

/// Returns the routes of the `google.api.http` annotations in the contract.
fn routes(settings: BindOptions) -> Routes {
    let mut routes = Routes::default();
    for method in Method::of_service(&POOL, SERVICE).unwrap() {
        for rule in HttpRule::of(&method).unwrap() {
            let route = Route::compile(&SCHEMA, &method, &rule, settings).unwrap();
            routes.insert(rule.method, rule.template, Arc::new(route)).unwrap();
        }
    }
    routes
}

const KEYVALUE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

const DOCUMENT: &str = r#"
openapi: 3.1.0
info: {title: Notes, version: "1"}
paths:
  /notes/{id}:
    get:
      operationId: readNote
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: It., content: {text/plain: {schema: {type: string}}}}}
"#;

const DEFINITION: &str = "
frontend: notes
openapi: notes.yaml
pattern: keyvalue
errors:
  content_type: application/vnd.notes+json
  body: {error_code: error.code, message: error.message}
  cases:
    404: {status: 404, code: 40400}
routes:
  readNote: {rpc: Retrieve, request: {key: path.id}, response: {body: reply.value}}
";

fn defined() -> Arc<Api> {
    let texts = Texts {
        name: "definition".to_owned(),
        text: DEFINITION.to_owned(),
        document_name: "document".to_owned(),
        document: Ok(DOCUMENT.to_owned()),
        folders: DocumentFolders::default(),
    };
    let compiled = definition::compile(&texts, &|_| Method::of_service(proto::descriptors(), KEYVALUE), &["keyvalue"], &BTreeMap::new());
    compiled.unwrap_or_else(|problems| panic!("{problems:?}")).api
}

/// The handler behind the definition. Its cases end before a call, so it is never reached.
struct Nothing;

#[async_trait]
impl Handler for Nothing {
    async fn handle(&self, _: &Context, method: &Method, _: Input) -> Result<Reply, Error> {
        Err(Error::unknown_rpc(&method.service, &method.name))
    }
}
