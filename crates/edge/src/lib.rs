//! The edge: listeners, and one module for each wire protocol. Every listener serves all protocols; content type and path
//! distinguish them.

mod activity;
pub mod admin;
mod body;
mod connection;
mod cors;
mod documents;
mod grpc;
mod remainder;
mod request;
mod rest;
mod routing;
mod server;
mod services;
mod socket;
mod timeout;
mod tls;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;

pub use body::{Body, BoxError};
pub use connection::ConnectionLimits;
pub use cors::Cors;
pub use documents::Documentation;
pub use request::ReceivedBody;
pub use routing::{Binding, Bindings, Frontend, NAMESPACE_HEADER};
pub use server::{Bound, Drain, ListenerSettings, bind};
pub use services::{Health, Services};
pub use socket::Unread;
pub use tls::{ClientCertificates, TlsFiles, TlsProblem, load as load_tls};
pub use tokio_rustls::TlsAcceptor;

use grpc::Wire;
use prism_call::{ListenerTarget, Peer, Pipeline, RequestId, SealedBody, panic};
use request::{ClientRequest, Response, Serving};

/// A listener's part of the gateway. Each generation replaces what it serves; a request uses one generation from start to end.
pub struct Edge {
    /// The pipeline of all calls.
    pub pipeline: Arc<Pipeline>,
    /// What the listener serves now.
    pub served: ArcSwap<Served>,
}

/// What one listener serves in one generation.
pub struct Served {
    /// The namespaces by protocol, host and path.
    pub bindings: Bindings,
    /// The services of the gateway itself: health and reflection.
    pub services: Services,
    /// The CORS policy.
    pub cors: Cors,
}

impl Edge {
    /// Creates the edge of a listener.
    pub fn new(pipeline: Arc<Pipeline>, served: Served) -> Self {
        Self { pipeline, served: ArcSwap::from_pointee(served) }
    }

    /// Serves one request. Sets `unread` if the client may still be sending its body after the response.
    pub async fn serve(&self, request: Request<ReceivedBody>, peer: &Arc<Peer>, unread: &Unread) -> http::Response<Body> {
        let served = self.served.load_full();
        let serving = Serving { pipeline: &self.pipeline, served: &served, peer };
        let allowed_origin = served.cors.allowed(request.headers());
        let wire = grpc::wire(request.headers());
        let (request, remainder) = remainder::track(request, unread);
        let (parts, body) = request.into_parts();
        let request = ClientRequest { parts, body: SealedBody::new(body) };
        let mut response = match panic::catch(dispatch(serving, request, wire)).await {
            Ok(response) => response.into_inner(),
            Err(request_id) => respond_to_panic(wire, request_id),
        };
        if let Some(remainder) = remainder {
            remainder.discard().await;
        }
        if let Some(origin) = allowed_origin {
            Cors::expose(origin, response.headers_mut());
        }
        response
    }
}

/// Selects the protocol of a request.
async fn dispatch(serving: Serving<'_>, request: ClientRequest, wire: Option<Wire>) -> Response {
    let Served { bindings, services, cors } = serving.served;
    if let Some(preflight) = cors.preflight(&request.parts) {
        return serving.answer_as(ListenerTarget::Preflight, &request.parts).finish(None, preflight);
    }
    match wire {
        Some(wire) => match services.find(request.parts.uri.path()) {
            Some(service) => service.serve(serving, request, wire).await,
            None => grpc::serve(serving, request, wire).await,
        },
        None if bindings.is_rpc(request.parts.uri.path()) => grpc::refuse_type(serving, &request.parts),
        None => rest::serve(serving, request).await,
    }
}

/// Returns the response to a request that a panic ended. The panic itself is counted and logged where it ended the call.
fn respond_to_panic(wire: Option<Wire>, request_id: Option<RequestId>) -> http::Response<Body> {
    let error = panic::ended_by_panic();
    let id = request_id.unwrap_or_default();
    match wire {
        Some(wire) => grpc::failed(wire, &id, &error),
        None => rest::failed(&id, &error),
    }
}
