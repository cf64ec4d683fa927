//! Streams: messages in frames, and at the end a frame with the error and the trailers. The HTTP status is always 200.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response as HttpResponse, header};
use http_body::{Body as HttpBody, Frame};

use super::{Codec, ConnectCall, RpcMessages, error};
use crate::{
    body::{Body, BoxError},
    compression::Compression,
    frame::{self, Decoder, MessageFrames},
    metadata,
    request::Response,
};
use prism_call::{Error, Input, Output, REQUEST_ID, RequestId, Trailers};

const CONTENT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// Flag of the last frame of a response.
const END_OF_STREAM: u8 = 2;

/// Serves a call.
pub async fn serve(call: ConnectCall<'_>, codec: Codec) -> Response {
    let ConnectCall { mut admitted, method, messages, mut headers, body, limit } = call;
    let compression = match Compression::from_request(headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes)) {
        Ok(compression) => compression,
        Err(error) => {
            let response = failed(codec, admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    // A client that does not list what it accepts accepts the compression of its request.
    let accepted = if headers.contains_key(ACCEPT_ENCODING) {
        Compression::for_response(&headers, &ACCEPT_ENCODING, compression)
    } else {
        compression
    };
    metadata::remove_hop_by_hop(&mut headers);
    let decoder = Decoder::new(admitted.open(body), compression, limit);
    let is_stream = method.client_streaming;
    let read = pin!(async move {
        if is_stream {
            Ok(Input::Stream(Box::pin(decoder.map(move |message| codec.decode(messages, message?)))))
        } else {
            codec.decode(messages, decoder.one().await?).map(Input::One)
        }
    });
    let reply = match admitted.call(method, headers, read).await {
        Ok(reply) => reply,
        Err(error) => {
            let response = failed(codec, admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    let mut response = begin(codec, admitted.request_id());
    metadata::append(response.headers_mut(), reply.headers);
    if let Some(compression) = accepted {
        response.headers_mut().insert(CONTENT_ENCODING, compression.header());
    }
    match reply.output {
        Output::One(message) => match codec.encode(messages, message.to_bytes()) {
            Ok(message) => {
                let mut data = BytesMut::new();
                frame::encode(&message, accepted, &mut data);
                append_end(None, reply.trailers.get(), &mut data);
                *response.body_mut() = Body::full(data);
                admitted.finish(None, response)
            }
            Err(error) => {
                let response = failed(codec, admitted.request_id(), &error);
                admitted.finish(Some(&error), response)
            }
        },
        Output::Stream(output) => {
            let (output, streaming) = admitted.stream(output);
            let frames = MessageFrames::new(output, accepted);
            *response.body_mut() = Body::stream(Encoder { frames, codec, messages, trailers: reply.trailers });
            streaming.finish(response)
        }
    }
}

/// Returns the response to a call that failed before its first message.
pub fn failed(codec: Codec, request_id: &RequestId, error: &Error) -> HttpResponse<Body> {
    let mut response = begin(codec, request_id);
    let (leading, trailing) = error.headers_and_trailers();
    metadata::append(response.headers_mut(), leading.clone());
    let mut data = BytesMut::new();
    append_end(Some(error), Some(trailing), &mut data);
    *response.body_mut() = Body::full(data);
    response
}

fn begin(codec: Codec, request_id: &RequestId) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::Empty);
    response.headers_mut().insert(header::CONTENT_TYPE, codec.stream_type());
    response.headers_mut().insert(REQUEST_ID, request_id.to_header());
    response
}

/// Appends the last frame.
fn append_end(error: Option<&Error>, trailers: Option<&HeaderMap>, out: &mut BytesMut) {
    let mut allowed = HeaderMap::new();
    if let Some(trailers) = trailers {
        metadata::append(&mut allowed, trailers.clone());
    }
    frame::encode_flagged(END_OF_STREAM, error::end_of_stream(error, Some(&allowed)).as_bytes(), out);
}

/// The body of a stream.
struct Encoder {
    frames: MessageFrames,
    codec: Codec,
    messages: RpcMessages,
    trailers: Trailers,
}

impl HttpBody for Encoder {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let (codec, messages) = (this.codec, this.messages);
        let Some(chunk) = ready!(this.frames.poll_chunk(context, |message| codec.encode_streamed(messages, message))) else {
            return Poll::Ready(None);
        };
        let mut data = chunk.data;
        match chunk.end {
            None => {}
            Some(Ok(())) => append_end(None, this.trailers.get(), &mut data),
            Some(Err(error)) => append_end(Some(&error), Some(error.headers_and_trailers().1), &mut data),
        }
        Poll::Ready(Some(Ok(Frame::data(data.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_end()
    }
}
