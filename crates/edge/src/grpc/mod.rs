//! gRPC: messages in frames over HTTP/2, with a status in the trailers ("gRPC over HTTP2"). gRPC-Web is a variant ([`Wire`]) for browsers,
//! over any HTTP version, with the trailers in the body.

mod compression;
mod frame;
mod reply;
mod status;
mod web;

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as HttpBody;

pub use compression::Compression;
pub use web::Wire;

use super::{
    Edge,
    body::{Body, BoxError},
    timeout,
};
use frame::Decoder;
use prism_call::{Error, Incoming, Input, Method as RpcMethod, Namespace, Protocol};

/// Returns the variant of gRPC by the content type of a request, or `None` if it is not gRPC.
pub fn wire(headers: &HeaderMap) -> Option<Wire> {
    Wire::from_content_type(headers.get(header::CONTENT_TYPE)?.as_bytes())
}

/// Serves one call.
pub async fn serve<B>(edge: &Arc<Edge>, request: Request<B>, wire: Wire) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let (method, namespace, request_compression) = match accept(edge, &parts, wire) {
        Ok(accepted) => accepted,
        Err(response) => return *response,
    };
    let compression = Compression::for_response(&parts.headers, request_compression);
    let decoder = Decoder::new(wire.request_body(body), request_compression, namespace.limits.max_message_bytes);
    let streaming = method.client_streaming;
    let read = pin!(async move { if streaming { Ok(Input::Stream(Box::pin(decoder))) } else { decoder.one().await.map(Input::One) } });
    let protocol = if wire.is_web() { Protocol::GrpcWeb } else { Protocol::Grpc };
    let incoming = Incoming { protocol, method, timeout: timeout::grpc(&parts.headers), headers: parts.headers };
    reply::respond(wire, compression, edge.pipeline.call(&namespace, incoming, read).await)
}

type Accepted = (Arc<RpcMethod>, Arc<Namespace>, Option<Compression>);

/// Runs the checks that do not need the body.
fn accept(edge: &Edge, parts: &Parts, wire: Wire) -> Result<Accepted, Box<Response<Body>>> {
    if parts.method != Method::POST {
        return Err(Box::new(refused(StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "POST")));
    }
    if !wire.is_supported() {
        return Err(Box::new(unsupported_type()));
    }
    let (method, namespace) = edge.bindings.service(wire.is_web(), &parts.uri, &parts.headers).map_err(|error| refuse(wire, &error))?;
    let compression = Compression::from_request(&parts.headers).map_err(|error| refuse(wire, &error))?;
    Ok((method, namespace, compression))
}

/// Returns the response to an RPC whose content type is not gRPC.
pub fn unsupported_type() -> Response<Body> {
    refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, header::ACCEPT, "application/grpc, application/grpc-web, application/grpc-web-text")
}

/// Returns a response without a gRPC status: the client does not use gRPC.
fn refused(status: StatusCode, name: HeaderName, value: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// Returns the refusal of a call whose namespace is not known, so that it is not counted.
pub fn refuse(wire: Wire, error: &Error) -> Box<Response<Body>> {
    Box::new(reply::failed(wire, None, error))
}
