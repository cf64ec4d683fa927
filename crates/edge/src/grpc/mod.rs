//! gRPC: messages in frames over HTTP/2, with a status in the trailers ("gRPC over HTTP2"). gRPC-Web is a variant ([`Wire`]) for browsers,
//! over any HTTP version, with the trailers in the body.

mod reply;
mod services;
mod status;
mod web;

use std::pin::pin;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

pub use services::{Health, Services};

use super::{
    body::Body,
    compression::Compression,
    frame::Decoder,
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    routing::{Place, RpcTable, Rpcs},
    timeout,
};
use prism_call::{Arrival, Error, Input, ListenerTarget, Output, Protocol, RequestId, Target};
use web::Wire;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// All supported encodings.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// A gRPC request.
#[derive(Clone, Copy)]
pub struct Grpc(Wire);

/// A gRPC-Web request.
#[derive(Clone, Copy)]
pub struct GrpcWeb(Wire);

impl WireProtocol for Grpc {
    const NAMES: &'static [&'static str] = &["grpc"];
    const MEDIA_TYPES: &'static str = "application/grpc";
    type Content = ();
    type Table = RpcTable;

    fn bind(table: &mut RpcTable, place: Place, (): ()) {
        table.add(place);
    }

    fn recognize(_: &RpcTable, _: &Rpcs, request: &Parts) -> Option<Self> {
        wire(&request.headers).filter(|wire| !wire.is_web()).map(Self)
    }

    async fn serve(self, table: &RpcTable, serving: Serving<'_>, request: ClientRequest) -> Response {
        serve(self.0, table, serving, request).await
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
        reply::failed(self.0, request_id, error)
    }
}

impl WireProtocol for GrpcWeb {
    const NAMES: &'static [&'static str] = &["grpc-web"];
    const MEDIA_TYPES: &'static str = "application/grpc-web, application/grpc-web-text";
    type Content = ();
    type Table = RpcTable;

    fn bind(table: &mut RpcTable, place: Place, (): ()) {
        table.add(place);
    }

    fn recognize(_: &RpcTable, _: &Rpcs, request: &Parts) -> Option<Self> {
        wire(&request.headers).filter(|wire| wire.is_web()).map(Self)
    }

    async fn serve(self, table: &RpcTable, serving: Serving<'_>, request: ClientRequest) -> Response {
        serve(self.0, table, serving, request).await
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
        reply::failed(self.0, request_id, error)
    }
}

/// Returns the variant of gRPC by the content type of a request, or `None` if it is not gRPC.
fn wire(headers: &HeaderMap) -> Option<Wire> {
    Wire::from_content_type(headers.get(header::CONTENT_TYPE)?.as_bytes())
}

/// Serves one call.
async fn serve(wire: Wire, table: &RpcTable, serving: Serving<'_>, request: ClientRequest) -> Response {
    if let Some(service) = serving.served.services.find(request.parts.uri.path()) {
        return service.serve(serving, request, wire).await;
    }
    let ClientRequest { parts, body } = request;
    if parts.method != Method::POST {
        return serving.refuse_method(&parts, "POST");
    }
    if !wire.is_supported() {
        return serving.refuse_media_type(&parts, "application/grpc, application/grpc-web, application/grpc-web-text");
    }
    let (method, namespace) = match table.find(&serving.served.bindings.rpcs, &parts.uri, &parts.headers) {
        Ok(found) => found,
        Err(error) => return refuse(serving, &parts, wire, &error),
    };
    let protocol = if wire.is_web() { Protocol::GrpcWeb } else { Protocol::Grpc };
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace,
        protocol,
        target: Target::Rpc(method.clone()),
        headers: &parts.headers,
        timeout: timeout::grpc(&parts.headers),
        origin: serving.origin,
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = reply::failed(wire, refused.request_id(), refused.error());
            return refused.finish(response);
        }
    };
    let request_compression = match Compression::from_request(parts.headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes)) {
        Ok(compression) => compression,
        Err(error) => {
            let response = reply::failed(wire, admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    let compression = Compression::for_response(&parts.headers, &GRPC_ACCEPT_ENCODING, request_compression);
    let decoder = Decoder::new(wire.request_body(admitted.open(body)), request_compression, namespace.limits.max_message_bytes);
    let streaming = method.client_streaming;
    let read = pin!(async move { if streaming { Ok(Input::Stream(Box::pin(decoder))) } else { decoder.one().await.map(Input::One) } });
    match admitted.call(method, parts.headers, read).await {
        Err(error) => {
            let response = reply::failed(wire, admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
        Ok(reply) => {
            let mut response = reply::begin(wire, admitted.request_id(), compression, reply.headers);
            match reply.output {
                Output::One(message) => {
                    *response.body_mut() = reply::whole(wire, compression, message, &reply.trailers);
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
fn refuse(serving: Serving<'_>, parts: &Parts, wire: Wire, error: &Error) -> Response {
    let request = serving.answer_as(ListenerTarget::NoRoute, parts);
    let response = reply::failed(wire, request.request_id(), error);
    request.finish(Some(error), response)
}
