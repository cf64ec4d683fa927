//! Responses: one JSON text, or one event with it.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Body, metadata};
use prism_call::{Code, Error, REQUEST_ID, RequestId};
use prism_frontend::{problem::ProblemDocument, render::Accept};
use prism_mcp::{
    RequestRevision, error_data,
    protocol::{self, ErrorCode, ErrorData},
};

/// The media type of events.
pub const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseForm {
    /// `application/json`
    Json,
    /// `text/event-stream`, for clients that accept nothing else.
    Events,
}

impl ResponseForm {
    /// Chooses by the header `Accept`. Clients must accept both forms, but not all of them do.
    pub fn choose(accept: Option<&str>) -> Option<Self> {
        const FORMS: [(ResponseForm, &str); 2] = [(ResponseForm::Json, JSON), (ResponseForm::Events, EVENT_STREAM)];
        let accept = Accept::of(accept);
        // JSON first, whatever the client prefers: events are for several messages.
        FORMS.into_iter().find(|(_, name)| accept.first([*name].into_iter()).is_some()).map(|(form, _)| form)
    }

    /// Tells whether a client accepts several messages in a response.
    pub fn accepts_events(accept: Option<&str>) -> bool {
        accept.is_some() && Accept::of(accept).first([EVENT_STREAM].into_iter()).is_some()
    }
}

/// The answer to a request of JSON-RPC.
pub type Answer = Result<Value, ErrorData>;

/// Returns the message with an answer.
pub fn message(id: Option<&protocol::RequestId>, answer: Answer) -> Value {
    let mut message = json!({"jsonrpc": "2.0"});
    if let Some(id) = id {
        message["id"] = id.clone().into_json_value();
    }
    match answer {
        Ok(result) => message["result"] = result,
        Err(error) => message["error"] = to_value(&error),
    }
    message
}

/// Converts a type of the protocol, which is always an object.
pub fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Returns the status of an answer. Up to 2025-11-25, errors of JSON-RPC have the status 200.
pub fn status(revision: RequestRevision, answer: &Answer) -> StatusCode {
    match (answer, revision) {
        (Err(error), RequestRevision::PerRequest) if error.code == ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// Returns a response with this text.
pub fn respond(form: ResponseForm, request_id: &RequestId, status: StatusCode, message: &Value) -> Response<Body> {
    let (content_type, body) = match form {
        ResponseForm::Json => (JSON, message.to_string()),
        ResponseForm::Events => (EVENT_STREAM, event(message)),
    };
    let mut response = with_headers(content_type, request_id, Body::full(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

/// Returns a response with events.
pub fn respond_events(request_id: &RequestId, events: impl Stream<Item = String> + Send + 'static) -> Response<Body> {
    let frames = events.map(|event| Ok::<_, Infallible>(Frame::data(Bytes::from(event))));
    with_headers(EVENT_STREAM, request_id, Body::stream(StreamBody::new(frames)))
}

fn with_headers(content_type: &'static str, request_id: &RequestId, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Tells proxies not to buffer the response.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

/// Returns an event with a message. JSON text has no line breaks.
pub fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// Returns a message that has no answer.
pub fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// Returns the response to messages that have no answer.
pub fn accepted(request_id: &RequestId) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(REQUEST_ID, request_id.to_header());
    response
}

/// Returns the response to a request that is refused before its messages are read.
pub fn refused(request_id: &RequestId, error: &Error) -> Response<Body> {
    let problem = ProblemDocument::of(error);
    let body = message(None, Err(error_data(&error.for_client())));
    let mut response = respond(ResponseForm::Json, request_id, problem.status(), &body);
    let headers = response.headers_mut();
    problem.headers(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    let (leading, trailing) = error.headers_and_trailers();
    metadata::append(headers, leading.clone());
    metadata::append(headers, trailing.clone());
    response
}

/// The error of a method that the endpoint does not have.
pub fn method_not_allowed(method: &Method, allowed: &'static str) -> Error {
    let message = match *method {
        Method::GET => "there is no stream of messages that no request asked for; send requests with POST".to_owned(),
        Method::DELETE => "there are no sessions, so there is nothing to end".to_owned(),
        _ => format!("{method} is not possible here; use {allowed}"),
    };
    let headers = HeaderMap::from_iter([(header::ALLOW, HeaderValue::from_static(allowed))]);
    Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", message).with_headers_and_trailers(headers, HeaderMap::new())
}
