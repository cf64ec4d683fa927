//! The edge: listeners, and one module for each wire protocol. Every listener serves all protocols; content type and path
//! distinguish them.

pub mod admin;
mod body;
mod cors;
mod grpc;
mod remainder;
pub mod rest;
mod routing;
mod server;
mod services;
mod socket;
mod timeout;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;

pub use body::{Body, BoxError};
pub use cors::Cors;
pub use rest::Documentation;
pub use routing::{Binding, Bindings, Frontend, NAMESPACE_HEADER};
pub use server::{Bound, Drain, TlsFiles, TlsProblem, bind, load_tls};
pub use services::Services;
pub use socket::Unread;
pub use tokio_rustls::TlsAcceptor;

use prism_call::Pipeline;

/// Everything that one listener serves.
pub struct Edge {
    /// The pipeline of all calls.
    pub pipeline: Arc<Pipeline>,
    /// The namespaces by protocol, host and path.
    pub bindings: Bindings,
    /// The services of the gateway itself: health and reflection.
    pub services: Services,
    /// The CORS policy.
    pub cors: Cors,
}

impl Edge {
    /// Serves one request. Sets `unread` if the client may still be sending its body after the response.
    pub async fn serve<B>(self: &Arc<Self>, request: Request<B>, unread: &Unread) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(preflight) = self.cors.preflight(&request) {
            return preflight;
        }
        let allowed_origin = self.cors.allowed(request.headers());
        let (request, remainder) = remainder::track(request, unread);
        let mut response = match grpc::wire(request.headers()) {
            Some(wire) => match self.services.find(request.uri().path()) {
                Some(service) => service.serve(request, wire).await,
                None => grpc::serve(self, request, wire).await,
            },
            None if self.bindings.is_rpc(request.uri().path()) => {
                // Dropping the request returns its body to `remainder`.
                drop(request);
                grpc::unsupported_type()
            }
            None => rest::serve(self, request).await,
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
