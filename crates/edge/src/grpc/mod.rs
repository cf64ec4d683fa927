//! gRPC: messages in frames over HTTP/2, with a status in the trailers ("gRPC over HTTP2"). gRPC-Web is a variant ([`Wire`]) for browsers,
//! over any HTTP version, with the trailers in the body.

mod compression;
mod frame;
mod reply;
mod status;
mod web;

use std::pin::pin;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};

pub use compression::Compression;
pub use reply::failed;
pub use web::Wire;

use super::{
    body::Body,
    request::{ClientRequest, Response, Serving},
    timeout,
};
use frame::Decoder;
use prism_call::{Arrival, Code, Error, Input, Output, Protocol, Target};

/// Returns the variant of gRPC by the content type of a request, or `None` if it is not gRPC.
pub fn wire(headers: &HeaderMap) -> Option<Wire> {
    Wire::from_content_type(headers.get(header::CONTENT_TYPE)?.as_bytes())
}

/// Serves one call.
pub async fn serve(serving: Serving<'_>, request: ClientRequest, wire: Wire) -> Response {
    let ClientRequest { parts, body } = request;
    if parts.method != Method::POST {
        let error = Error::wire(Code::Unimplemented, "METHOD_NOT_ALLOWED", "RPCs are called with POST");
        return serving.refuse(&parts, &error, refused(StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "POST"));
    }
    if !wire.is_supported() {
        return refuse_type(serving, &parts);
    }
    let (method, namespace) = match serving.served.bindings.service(wire.is_web(), &parts.uri, &parts.headers) {
        Ok(found) => found,
        Err(error) => return refuse(serving, &parts, wire, &error),
    };
    let protocol = if wire.is_web() { Protocol::GrpcWeb } else { Protocol::Grpc };
    let arrival = Arrival {
        peer: serving.peer,
        namespace,
        protocol,
        target: Target::Rpc(method.clone()),
        headers: &parts.headers,
        timeout: timeout::grpc(&parts.headers),
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = failed(wire, refused.request_id(), refused.error());
            return refused.finish(response);
        }
    };
    let request_compression = match Compression::from_request(&parts.headers) {
        Ok(compression) => compression,
        Err(error) => {
            let response = failed(wire, admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    let compression = Compression::for_response(&parts.headers, request_compression);
    let decoder = Decoder::new(wire.request_body(admitted.open(body)), request_compression, namespace.limits.max_message_bytes);
    let streaming = method.client_streaming;
    let read = pin!(async move { if streaming { Ok(Input::Stream(Box::pin(decoder))) } else { decoder.one().await.map(Input::One) } });
    match admitted.call(method, parts.headers, read).await {
        Err(error) => {
            let response = failed(wire, admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
        Ok(reply) => {
            let mut response = reply::begin(wire, admitted.request_id(), compression, reply.headers);
            match reply.output {
                Output::One(message) => {
                    *response.body_mut() = reply::whole(wire, compression, &message, &reply.trailers);
                    admitted.finish(None, response)
                }
                Output::Stream(messages) => {
                    let (messages, streaming) = admitted.stream(messages);
                    *response.body_mut() = reply::stream(wire, compression, messages, reply.trailers);
                    streaming.finish(response)
                }
            }
        }
    }
}

/// Refuses a call whose namespace is not known.
pub fn refuse(serving: Serving<'_>, parts: &Parts, wire: Wire, error: &Error) -> Response {
    let request = serving.answer_as(prism_call::ListenerTarget::NoRoute, parts);
    let response = failed(wire, request.request_id(), error);
    request.finish(Some(error), response)
}

/// Refuses the content type of a request for an RPC.
pub fn refuse_type(serving: Serving<'_>, parts: &Parts) -> Response {
    let error = Error::wire(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", "this content type is not one of gRPC or gRPC-Web");
    let response =
        refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, header::ACCEPT, "application/grpc, application/grpc-web, application/grpc-web-text");
    serving.refuse(parts, &error, response)
}

/// Returns a response without a gRPC status: the client does not use gRPC.
fn refused(status: StatusCode, name: HeaderName, value: &'static str) -> http::Response<Body> {
    let mut response = http::Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
