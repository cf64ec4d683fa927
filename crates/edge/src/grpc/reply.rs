//! The response to a call: headers, frames, and the status after them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};

use super::{ACCEPTED, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, status, web::Wire};
use crate::{
    body::{Body, BoxError},
    compression::Compression,
    frame::{self, MessageFrames, ReplyChunk},
    metadata,
};
use prism_call::{EncodedMessage, Error, ObservedStream, REQUEST_ID, RequestId, Trailers};

/// Returns the response to a call that failed before its first message.
pub fn failed(wire: Wire, request_id: &RequestId, error: &Error) -> Response<Body> {
    let mut response = headers(wire, request_id);
    let metadata = error.headers_and_trailers().0;
    if metadata.is_empty() && !wire.is_web() {
        // "Trailers-Only": one block of headers, no body.
        response.headers_mut().extend(status::failed(error));
    } else {
        metadata::append(response.headers_mut(), metadata.clone());
        *response.body_mut() = end(wire, BytesMut::new(), status::failed(error));
    }
    response
}

/// Returns the response to a call that succeeded, without its body.
pub fn begin(wire: Wire, request_id: &RequestId, compression: Option<Compression>, metadata: HeaderMap) -> Response<Body> {
    let mut response = headers(wire, request_id);
    metadata::append(response.headers_mut(), metadata);
    if let Some(compression) = compression {
        response.headers_mut().insert(GRPC_ENCODING, compression.header());
    }
    response
}

/// Returns the body with the only message of a reply.
pub fn whole(wire: Wire, compression: Option<Compression>, message: EncodedMessage, trailers: &Trailers) -> Body {
    let trailers = status::ok(trailers_of(trailers));
    if compression.is_none() && !wire.is_web() {
        let (data, more) = message.into_frame();
        return Body::Whole { data: Some(data), more, trailers: Some(Box::new(trailers)) };
    }
    let mut data = BytesMut::with_capacity(frame::PREFIX + message.len());
    frame::encode(&message.to_bytes(), compression, &mut data);
    end(wire, data, trailers)
}

/// Returns the body with the messages of a stream.
pub fn stream(wire: Wire, compression: Option<Compression>, messages: ObservedStream, trailers: Trailers) -> Body {
    Body::stream(Encoder { wire, frames: MessageFrames::new(messages, compression), trailers, status: None })
}

fn headers(wire: Wire, request_id: &RequestId) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, wire.response_type());
    headers.insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

fn trailers_of(trailers: &Trailers) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    if let Some(known) = trailers.get() {
        metadata::append(&mut metadata, known.clone());
    }
    metadata
}

/// Returns a body that is known at once.
fn end(wire: Wire, mut data: BytesMut, trailers: HeaderMap) -> Body {
    if wire.is_web() {
        Wire::append_trailers(&trailers, &mut data);
        return Body::full(wire.encode_chunk(data.freeze()));
    }
    let data = (!data.is_empty()).then(|| data.freeze());
    Body::Whole { data, more: None, trailers: Some(Box::new(trailers)) }
}

/// The body of a stream: frames when they are ready, then the status.
struct Encoder {
    wire: Wire,
    frames: MessageFrames,
    trailers: Trailers,
    /// Sent after the last chunk.
    status: Option<HeaderMap>,
}

impl HttpBody for Encoder {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(ReplyChunk { mut data, end }) = ready!(this.frames.poll_chunk(context, |message| Ok(message.into()))) else {
            return Poll::Ready(this.status.take().map(|status| Ok(Frame::trailers(status))));
        };
        let status = end.map(|end| match end {
            Ok(()) => status::ok(trailers_of(&this.trailers)),
            Err(error) => status::failed(&error),
        });
        match status {
            Some(status) if this.wire.is_web() => Wire::append_trailers(&status, &mut data),
            Some(status) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::trailers(status)))),
            status => this.status = status,
        }
        Poll::Ready(Some(Ok(Frame::data(this.wire.encode_chunk(data.freeze())))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_end() && self.status.is_none()
    }
}

impl Wire {
    /// Returns the content type of the response.
    fn response_type(self) -> HeaderValue {
        HeaderValue::from_static(self.content_type())
    }
}
