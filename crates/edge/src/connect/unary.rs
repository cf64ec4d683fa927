//! Unary calls: one HTTP request, and one response whose status tells how the call ended.

use std::pin::pin;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, header};

use super::{Codec, ConnectCall, Query, error, query::QueryContent};
use crate::{
    body::Body,
    coding::{BodyReader, Coding, Negotiated},
    metadata,
    request::Response,
};
use prism_call::{Code, Error, Input, Output, REQUEST_ID, RequestId};
use prism_frontend::problem::retry_after;

/// The prefix of the names of trailers, which are sent as headers.
const TRAILER_PREFIX: &str = "trailer-";

/// Where the message of a request is.
pub enum Content<'q> {
    Body(Codec),
    Query(Query<'q>),
}

/// The message, not decompressed.
enum Source {
    Body(Option<Coding>),
    Query(QueryContent),
}

/// Serves a call.
pub async fn serve(call: ConnectCall<'_>, content: Content<'_>) -> Response {
    let ConnectCall { mut admitted, method, messages, mut headers, body, limit } = call;
    let form: Result<(Codec, Source), Error> = match content {
        Content::Body(codec) => {
            Coding::of_body(&headers).map(|coding| (codec, Source::Body(coding))).map_err(|error| unknown_coding(&error))
        }
        Content::Query(query) => query.content().map(|content| (content.codec, Source::Query(content))),
    };
    let (codec, source) = match form {
        Ok(form) => form,
        Err(error) => {
            let response = failed(admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    let negotiated = Negotiated::of(&Method::POST, &mut headers);
    metadata::remove_hop_by_hop(&mut headers);
    let body = admitted.open(body);
    let read = pin!(async {
        let message = match source {
            Source::Body(coding) => BodyReader::new(body, coding, Some(limit)).collect(limit).await?,
            Source::Query(QueryContent { compression: Some(compression), message, .. }) if !message.is_empty() => {
                compression.decompress(&message, limit)?
            }
            Source::Query(QueryContent { message, .. }) => message,
        };
        codec.decode(messages, message).map(Input::One)
    });
    let rendered = match admitted.call(method, headers, read).await {
        Ok(reply) => match reply.output {
            Output::One(message) => codec.encode(messages, message.to_bytes()).map(|message| (message, reply.headers, reply.trailers)),
            Output::Stream(_) => Err(Error::internal("a unary call was answered with a stream")),
        },
        Err(error) => Err(error),
    };
    match rendered {
        Ok((message, leading, trailers)) => {
            let mut response = begin(codec.unary_type(), admitted.request_id());
            append_metadata(response.headers_mut(), leading, trailers.get());
            *response.body_mut() = Body::full(message);
            admitted.finish(None, negotiated.encode(response))
        }
        Err(error) => {
            let response = failed(admitted.request_id(), &error);
            admitted.finish(Some(&error), negotiated.encode(response))
        }
    }
}

/// Returns the response to a call that failed.
pub fn failed(request_id: &RequestId, error: &Error) -> HttpResponse<Body> {
    let mut response = begin(Codec::Json.unary_type(), request_id);
    *response.status_mut() = error.code().http();
    let (leading, trailing) = error.headers_and_trailers();
    append_metadata(response.headers_mut(), leading.clone(), Some(trailing));
    if let Some(seconds) = retry_after(error) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    *response.body_mut() = Body::full(error::to_json(error).to_string());
    response
}

fn begin(content_type: HeaderValue, request_id: &RequestId) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

/// The protocol has a code of its own for this error.
fn unknown_coding(error: &Error) -> Error {
    Error::wire(Code::Unimplemented, "UNKNOWN_COMPRESSION", error.message().to_owned())
}

fn append_metadata(headers: &mut HeaderMap, leading: HeaderMap, trailing: Option<&HeaderMap>) {
    metadata::append(headers, leading);
    let Some(trailing) = trailing.filter(|trailing| !trailing.is_empty()) else { return };
    let mut allowed = HeaderMap::new();
    metadata::append(&mut allowed, trailing.clone());
    for (name, value) in &allowed {
        if let Ok(name) = HeaderName::try_from(format!("{TRAILER_PREFIX}{name}")) {
            headers.append(name, value.clone());
        }
    }
}
