//! Responses that are known at once: replies, refusals and failures.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::{Body, metadata};
use prism_call::{EncodedMessage, Error, REQUEST_ID, RequestId, Trailers};
use prism_frontend::{
    precondition::{Preconditions, Verdict},
    problem::ProblemDocument,
    render::{Format, Rendered},
    route::Route,
};

/// A response, and the error that it tells the client.
pub struct UnaryResponse {
    pub response: Response<Body>,
    pub error: Option<Error>,
}

/// Returns the response with one message.
pub fn unary(
    route: &Route,
    format: Format,
    conditions: &Preconditions,
    request_id: &RequestId,
    message: &EncodedMessage,
    leading: HeaderMap,
    trailers: &Trailers,
) -> UnaryResponse {
    let rendering = &route.rendering;
    let Rendered { content_type, body } = match rendering.reply(message, format) {
        Ok(rendered) => rendered,
        Err(error) => return UnaryResponse { response: failed(request_id, &error), error: Some(error) },
    };
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(REQUEST_ID, request_id.to_header());
    if rendering.varies() {
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
    }
    if format == Format::Raw {
        // Clients stored these bytes; a browser must not interpret them as a page or a script.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    metadata::append(headers, leading);
    if let Some(trailers) = trailers.get() {
        metadata::append(headers, trailers.clone());
    }
    if let Some(fields) = &route.headers {
        if route.describes_content && conditions.head {
            headers.insert(header::CONTENT_TYPE, Format::Raw.content_type());
        }
        fields.set(message.other_fields(), route.describes_content, headers);
        if let Some(decided) = decide(conditions.verdict_of(headers), request_id, &mut response) {
            return decided;
        }
    }
    let headers = response.headers_mut();
    if let Some(revision) = rendering.revision(message.other_fields()) {
        if let Some(tag) = conditions.tag(revision).and_then(|tag| HeaderValue::try_from(tag).ok()) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(decided) = decide(conditions.verdict(revision), request_id, &mut response) {
            return decided;
        }
    }
    if conditions.head {
        // Of the content that the response describes, or of this response with GET.
        let length = HeaderValue::from(body.len());
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length);
    } else {
        *response.body_mut() = Body::full(body);
    }
    UnaryResponse { response, error: None }
}

/// Returns the response that preconditions decide, or `None` if the reply is sent.
pub fn decide(verdict: Verdict, request_id: &RequestId, response: &mut Response<Body>) -> Option<UnaryResponse> {
    match verdict {
        Verdict::Wanted => None,
        Verdict::Known => {
            let mut response = std::mem::take(response);
            for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_RANGE] {
                response.headers_mut().remove(name);
            }
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            Some(UnaryResponse { response, error: None })
        }
        Verdict::Refused(error) => {
            let response = problem(request_id, &error, &ProblemDocument::with_status(&error, StatusCode::PRECONDITION_FAILED));
            Some(UnaryResponse { response, error: Some(error) })
        }
    }
}

/// Returns the response to a failed call.
pub fn failed(request_id: &RequestId, error: &Error) -> Response<Body> {
    problem(request_id, error, &ProblemDocument::of(error))
}

/// Sets the status of an error to a response that tells it by its status.
pub fn with_own_status(mut response: Response<Body>, error: &Error) -> Response<Body> {
    if !response.status().is_success() {
        *response.status_mut() = ProblemDocument::of(error).status();
    }
    response
}

/// Returns the response to a failed call, if the preconditions of the request may determine the status.
pub fn failed_on(conditions: &Preconditions, request_id: &RequestId, error: &Error) -> Response<Body> {
    let own = conditions.status(error).map(|status| ProblemDocument::with_status(error, status));
    problem(request_id, error, &own.unwrap_or_else(|| ProblemDocument::of(error)))
}

fn problem(request_id: &RequestId, error: &Error, problem: &ProblemDocument<'_>) -> Response<Body> {
    let mut response = Response::new(Body::full(problem.body()));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    problem.headers(headers);
    headers.insert(REQUEST_ID, request_id.to_header());
    let (leading, trailing) = error.headers_and_trailers();
    metadata::append(headers, leading.clone());
    metadata::append(headers, trailing.clone());
    response
}

/// Returns the response to `OPTIONS`: the methods of a path.
pub fn options(allowed: &[Method]) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    allow(response.headers_mut(), allowed);
    response
}

/// Sets the header `Allow`.
pub fn allow(headers: &mut HeaderMap, allowed: &[Method]) {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        headers.insert(header::ALLOW, value);
    }
}
