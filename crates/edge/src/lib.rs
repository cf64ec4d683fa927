//! The edge: listeners, and one module for each wire protocol. Every listener serves all protocols of the table in `edges.rs`; content type
//! and path distinguish them.

mod activity;
pub mod admin;
mod body;
mod coding;
mod compression;
mod connect;
mod connection;
mod cors;
mod documents;
mod edges;
mod frame;
mod grpc;
mod metadata;
mod protocol;
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

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;

pub use body::{Body, BoxError};
pub use connection::ConnectionLimits;
pub use cors::Cors;
pub use documents::Documentation;
pub use edges::{Binding, Bindings, EDGES, EdgeInfo, Frontend};
pub use grpc::{Health, Services};
pub use request::{Connection, ReceivedBody};
pub use routing::{HttpRoutes, NAMESPACE_HEADER};
pub use server::{Bound, ListenerSettings, bind};
pub use socket::Unread;
pub use tasks::{ConnectionTasks, Drain};
pub use tls::{ClientCertificates, TlsFiles, TlsProblem, load as load_tls};
pub use tokio_rustls::TlsAcceptor;

use prism_call::{ListenerTarget, Pipeline, SealedBody, panic};
use request::{ClientRequest, Serving};

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

    /// Serves one request.
    pub async fn serve(&self, request: Request<ReceivedBody>, connection: &Connection) -> http::Response<Body> {
        let served = self.served.load_full();
        let serving = Serving { pipeline: &self.pipeline, served: &served, connection };
        let allowed_origin = served.cors.allowed(request.headers());
        let (request, remainder) = remainder::track(request, &connection.unread);
        let (parts, body) = request.into_parts();
        let mut response = if let Some(preflight) = served.cors.preflight(&parts) {
            serving.answer_as(ListenerTarget::Preflight, &parts).finish(None, preflight).into_inner()
        } else if let Some(recognized) = served.bindings.recognize(&parts) {
            let request = ClientRequest { parts, body: SealedBody::new(body) };
            match panic::catch(recognized.serve(serving, request)).await {
                Ok(response) => response.into_inner(),
                // The panic itself is counted and logged where it ended the call.
                Err(request_id) => recognized.failed(&request_id.unwrap_or_default(), &panic::ended_by_panic()),
            }
        } else {
            edges::refuse(serving, &parts).into_inner()
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
