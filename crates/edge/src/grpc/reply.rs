//! The response to a call: headers, frames, and the status after them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};

use super::{
    Compression, Wire,
    compression::{ACCEPTED, GRPC_ACCEPT_ENCODING, GRPC_ENCODING},
    frame, status,
};
use crate::body::{Body, BoxError};
use prism_call::{Answer, Error, Messages, Output, REQUEST_ID, RequestId, Trailers};

/// Messages of a stream that are ready at the same time are sent in one chunk of about this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Returns the response to a call.
pub fn respond(wire: Wire, compression: Option<Compression>, answer: Answer) -> Response<Body> {
    match answer.result {
        Err(error) => failed(wire, Some(&answer.request_id), &error),
        Ok(reply) => {
            let mut response = begin(wire, Some(&answer.request_id));
            status::append_metadata(response.headers_mut(), reply.headers);
            if let Some(compression) = compression {
                response.headers_mut().insert(GRPC_ENCODING, compression.header());
            }
            *response.body_mut() = match reply.output {
                Output::One(message) => {
                    let mut data = BytesMut::with_capacity(frame::PREFIX + message.len());
                    frame::encode(&message, compression, &mut data);
                    whole(wire, data, status::ok(trailers_of(&reply.trailers)))
                }
                Output::Stream(messages) => {
                    Body::stream(Encoder { wire, compression, messages: Some(messages), trailers: reply.trailers, status: None })
                }
            };
            response
        }
    }
}

/// Returns the response to a call that failed before its first message.
pub fn failed(wire: Wire, request_id: Option<&RequestId>, error: &Error) -> Response<Body> {
    let mut response = begin(wire, request_id);
    let headers = error.headers_and_trailers().0;
    if headers.is_empty() && !wire.is_web() {
        // "Trailers-Only": one block of headers, no body.
        response.headers_mut().extend(status::failed(error));
    } else {
        status::append_metadata(response.headers_mut(), headers.clone());
        *response.body_mut() = whole(wire, BytesMut::new(), status::failed(error));
    }
    response
}

fn begin(wire: Wire, request_id: Option<&RequestId>) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, wire.response_type());
    headers.insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    if let Some(id) = request_id {
        headers.insert(REQUEST_ID, id.to_header());
    }
    response
}

fn trailers_of(trailers: &Trailers) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    if let Some(known) = trailers.get() {
        status::append_metadata(&mut metadata, known.clone());
    }
    metadata
}

/// Returns a body that is known at once.
fn whole(wire: Wire, mut data: BytesMut, trailers: HeaderMap) -> Body {
    if wire.is_web() {
        Wire::append_trailers(&trailers, &mut data);
        return Body::full(wire.encode_chunk(data.freeze()));
    }
    let data = (!data.is_empty()).then(|| data.freeze());
    Body::Whole { data, trailers: Some(Box::new(trailers)) }
}

/// The body of a stream: frames when they are ready, then the status.
struct Encoder {
    wire: Wire,
    compression: Option<Compression>,
    /// `None` after the end.
    messages: Option<Messages<Bytes>>,
    trailers: Trailers,
    /// Sent after the last chunk.
    status: Option<HeaderMap>,
}

impl HttpBody for Encoder {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut piece = BytesMut::new();
        while let Some(messages) = &mut self.messages {
            match messages.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(message))) => {
                    frame::encode(&message, self.compression, &mut piece);
                    if piece.len() >= CHUNK_BYTES {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.messages = None;
                    self.status = Some(status::failed(&error));
                }
                Poll::Ready(None) => {
                    self.messages = None;
                    self.status = Some(status::ok(trailers_of(&self.trailers)));
                }
                Poll::Pending if piece.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let wire = self.wire;
        if wire.is_web()
            && let Some(status) = self.status.take()
        {
            Wire::append_trailers(&status, &mut piece);
        }
        if !piece.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(wire.encode_chunk(piece.freeze())))));
        }
        Poll::Ready(self.status.take().map(|status| Ok(Frame::trailers(status))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.status.is_none()
    }
}

impl Wire {
    /// Returns the content type of the response.
    fn response_type(self) -> HeaderValue {
        HeaderValue::from_static(self.content_type())
    }
}
