//! gRPC: messages in frames over HTTP/2, a status in the trailers ("gRPC over HTTP2"). gRPC-Web, the same for browsers over
//! any HTTP version with the trailers in the body, is a [`Wire`] of it.

mod compression;
mod frame;
mod reply;
mod status;
mod web;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;

pub use compression::Compression;
pub use web::Wire;

use super::{
    Edge,
    body::{Body, BoxError},
    timeout,
};
use crate::call::{Error, Incoming, Input, Protocol};
use frame::Decoder;

/// Whether a request is gRPC or gRPC-Web, told by its content type alone.
pub fn wire(headers: &HeaderMap) -> Option<Wire> {
    Wire::of(headers.get(header::CONTENT_TYPE)?.as_bytes())
}

/// Serves one call.
pub async fn serve<B>(edge: &Arc<Edge>, request: Request<B>, wire: Wire) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if request.method() != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, HeaderValue::from_static("POST"))));
    }
    if !wire.is_supported() {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Some((header::ACCEPT, HeaderValue::from_static("application/grpc+proto"))));
    }
    let (parts, body) = request.into_parts();
    let (method, namespace) = match edge.bindings.service(wire.is_web(), &parts.uri, &parts.headers) {
        Ok(found) => found,
        Err(error) => return reply::failed(wire, None, &error),
    };
    let request_compression = match Compression::of_request(&parts.headers) {
        Ok(compression) => compression,
        Err(error) => return reply::failed(wire, None, &error),
    };
    let compression = Compression::of_response(&parts.headers, request_compression);
    let decoder = Decoder::new(wire.request_body(body), request_compression, namespace.limits.max_message_bytes);
    let streaming = method.client_streaming;
    let read = async move { if streaming { Ok(Input::Stream(Box::pin(decoder))) } else { decoder.one().await.map(Input::One) } };
    let protocol = if wire.is_web() { Protocol::GrpcWeb } else { Protocol::Grpc };
    let incoming = Incoming { protocol, method, timeout: timeout::grpc(&parts.headers), headers: parts.headers };
    reply::of(wire, compression, edge.pipeline.call(&namespace, incoming, read).await)
}

/// An answer below gRPC: the client does not speak it.
fn refused(status: StatusCode, header: Option<(header::HeaderName, HeaderValue)>) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().extend(header);
    response
}

/// A call that an edge refuses before there is a namespace to count it in.
pub fn refuse(wire: Wire, error: &Error) -> Response<Body> {
    reply::failed(wire, None, error)
}
