//! The requests of clients whose operations share a stream of events, and the responses to them.

use http::{HeaderName, HeaderValue, Response as HttpResponse, StatusCode, header, request::Parts};

use crate::Body;
use prism_call::{REQUEST_ID, RequestId};
use prism_frontend::percent;

/// The header with the token of a stream.
const TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");
/// The parameter with it, for an `EventSource`, which can't send headers.
const TOKEN_PARAMETER: &str = "token";

/// Returns the token of the stream that a request is for.
pub fn token(parts: &Parts) -> Option<String> {
    match parts.headers.get(&TOKEN) {
        Some(token) => Some(token.to_str().unwrap_or_default().to_owned()),
        // Other requests may have any parameters.
        None if parameter(parts, "query").is_some() => None,
        None => parameter(parts, TOKEN_PARAMETER),
    }
}

/// Returns a parameter of the query.
pub fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let pairs = parts.uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.into_iter().find(|(known, _)| *known == name)?.1;
    percent::decode_query(value).ok().map(std::borrow::Cow::into_owned)
}

/// Returns the response with the token of a reserved stream.
pub fn reserved(request_id: &RequestId, token: String) -> HttpResponse<Body> {
    let mut response = accepted(request_id, StatusCode::CREATED);
    *response.body_mut() = Body::full(token);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns a response without a body.
pub fn accepted(request_id: &RequestId, status: StatusCode) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(REQUEST_ID, request_id.to_header());
    response
}
