//! The edge: listeners, and one module for each wire protocol. Every listener serves all protocols of the table in `edges.rs`; content type
//! and path distinguish them.

mod activity;
pub mod admin;
mod body;
mod checks;
mod client_trust;
mod codec;
mod coding;
mod compression;
mod connect;
mod connection;
mod connection_permit;
mod cors;
mod delivery;
mod demo;
mod derived;
mod descriptors;
mod documents;
mod edges;
mod frame;
mod graphql;
mod grpc;
mod limits;
mod mcp;
mod metadata;
mod protocol;
mod proxies;
mod remainder;
mod request;
mod rest;
mod routing;
mod server;
mod socket;
mod tasks;
#[cfg(test)]
mod tests;
mod timeout;
mod tls;
mod variants;
mod websocket;
mod websocket_transport;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, StatusCode, header, request::Parts};

pub use body::{Body, BoxError};
pub use checks::AllowedHosts;
pub use connection::RequestHandler;
pub use cors::Cors;
pub use demo::{Demo, DemoFrontend, DemoNamespace};
pub use descriptors::Descriptors;
pub use documents::Documentation;
pub use edges::{Binding, Bindings, EDGES, EdgeInfo, Frontend};
pub use graphql::GraphqlFrontend;
pub use grpc::{Health, Services};
pub use limits::ConnectionLimits;
pub use mcp::McpFrontend;
pub use proxies::TrustedProxies;
pub use request::{Connection, ReceivedBody};
pub use routing::{HttpRoutes, NAMESPACE_HEADER};
pub use server::{Bound, ListenerSettings, bind, bind_admin};
pub use socket::Unread;
pub use tasks::{ConnectionTasks, Drain};
pub use tls::{ClientCertificates, ClientFiles, ListenerTls, TlsFiles, TlsProblem, load as load_tls};
pub use tokio_rustls::TlsAcceptor;
pub use websocket_transport::{
    Close as WebSocketClose, WebSocket, WebSocketIo, WebSocketMessage, WebSocketProtocol, WebSocketSender, serve as serve_websocket,
};

use prism_call::{Delivery, Error, Finished, ListenerTarget, Origin, Pipeline, SealedBody, panic};
use request::{ClientRequest, Serving};

/// A listener's part of the gateway. Each generation replaces what it serves; a request uses one generation from start to end.
pub struct Edge {
    /// The pipeline of all calls.
    pub pipeline: Arc<Pipeline>,
    /// What the listener serves now.
    pub served: Arc<ArcSwap<Served>>,
}

/// What one listener serves in one generation.
pub struct Served {
    /// The namespaces by protocol, host and path.
    pub bindings: Bindings,
    /// The services of the gateway itself: health and reflection.
    pub services: Services,
    /// The CORS policy.
    pub cors: Cors,
    /// The hosts that it answers to.
    pub hosts: AllowedHosts,
    /// Its pages for browsers, if they are enabled.
    pub demo: Option<Demo>,
}

impl Edge {
    /// Creates the edge of a listener.
    pub fn new(pipeline: Arc<Pipeline>, served: Served) -> Self {
        Self { pipeline, served: Arc::new(ArcSwap::from_pointee(served)) }
    }
}

impl RequestHandler for Edge {
    async fn serve(&self, mut request: Request<ReceivedBody>, connection: &Connection) -> (http::Response<Body>, Delivery) {
        let forwarded = connection.forwarded(request.headers_mut());
        let connection = forwarded.as_ref().unwrap_or(connection);
        let served = self.served.load_full();
        let serving = Serving { pipeline: &self.pipeline, served: &served, current: &self.served, connection, origin: Origin::Trusted };
        let allowed_origin = served.cors.allowed(request.headers());
        let (request, remainder) = remainder::track(request, &connection.unread);
        let (mut parts, body) = request.into_parts();
        let checked = check(&served, &parts, allowed_origin.is_some());
        let (mut response, delivery) = match checked {
            Err(error) => refuse(serving, &parts, &error).into_parts(),
            Ok(origin) => {
                let serving = Serving { origin, ..serving };
                if let Some(preflight) = served.cors.preflight(&parts) {
                    serving.answer_as(ListenerTarget::Preflight, &parts).finish(None, preflight).into_parts()
                } else if let Some(page) = served.demo.as_ref().and_then(|demo| demo.answer(serving, &mut parts)) {
                    page.into_parts()
                } else if let Some(recognized) = served.bindings.recognize(&parts) {
                    let request = ClientRequest { parts, body: SealedBody::new(body) };
                    match panic::catch(recognized.serve(serving, request)).await {
                        Ok(response) => response.into_parts(),
                        // The panic itself is counted and logged where it ended the call.
                        Err(request_id) => {
                            (recognized.failed(&request_id.unwrap_or_default(), &panic::ended_by_panic()), Delivery::default())
                        }
                    }
                } else {
                    edges::refuse(serving, &parts).into_parts()
                }
            }
        };
        if let Some(remainder) = remainder {
            remainder.discard().await;
        }
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            // Clients without a time would try again at once.
            response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
        }
        if let Some(origin) = allowed_origin {
            Cors::expose(origin, response.headers_mut());
        }
        (response, delivery)
    }
}

/// Checks a request before it is routed. Returns where it comes from.
fn check(served: &Served, parts: &Parts, may_call: bool) -> Result<Origin, Error> {
    checks::check_head(parts)?;
    let host = checks::host(parts)?;
    served.hosts.check(host)?;
    Ok(checks::origin(&parts.headers, host, may_call))
}

/// Refuses a request that did not pass the checks, in the form of its protocol.
fn refuse(serving: Serving<'_>, parts: &Parts, error: &Error) -> Finished<http::Response<Body>> {
    let request = serving.answer_as(ListenerTarget::Refused, parts);
    let response = match serving.served.bindings.recognize(parts) {
        Some(recognized) => recognized.failed(request.request_id(), error),
        None => rest::failed(request.request_id(), error),
    };
    request.finish(Some(error), rest::with_own_status(response, error))
}
