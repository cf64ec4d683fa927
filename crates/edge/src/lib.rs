//! The edge: listeners, and one module for each wire protocol. All of them are spoken on every listener; content type and
//! path tell them apart.

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
pub use server::{Bound, Drain, TlsFiles, bind};
pub use services::Services;
pub use socket::Unread;

use prism_call::Pipeline;

/// What one listener serves.
pub struct Edge {
    /// Every call goes through it.
    pub pipeline: Arc<Pipeline>,
    /// Namespaces by protocol, host and path.
    pub bindings: Bindings,
    /// Services about the gateway itself: health and reflection.
    pub services: Services,
    /// Which web pages may call.
    pub cors: Cors,
}

impl Edge {
    /// Answers one request. What the client may still be sending behind its answer is told in `unread`.
    pub async fn serve<B>(self: &Arc<Self>, request: Request<B>, unread: &Unread) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(preflight) = self.cors.preflight(&request) {
            return preflight;
        }
        let allowed_origin = self.cors.allowed(request.headers());
        let (request, remainder) = remainder::lend(request, unread);
        let mut response = match grpc::wire(request.headers()) {
            Some(wire) => match self.services.of(request.uri().path()) {
                Some(service) => service.serve(request, wire).await,
                None => grpc::serve(self, request, wire).await,
            },
            None if self.bindings.is_rpc(request.uri().path()) => {
                // Its body comes back when it is dropped.
                drop(request);
                grpc::unsupported_type()
            }
            None => rest::serve(self, request).await,
        };
        if let Some(remainder) = remainder {
            remainder.skip().await;
        }
        if let Some(origin) = allowed_origin {
            Cors::expose(origin, response.headers_mut());
        }
        response
    }
}
