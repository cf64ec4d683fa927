//! Responses, in the two media types of the protocol.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::{Body, metadata};
use prism_call::{Code, Error, REQUEST_ID, RequestId};
use prism_frontend::{problem::ProblemDocument, render::Accept};
use prism_graphql::RequestError;

/// The media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
    /// `application/json`, for clients that ask for nothing else: a request with errors in its document has the status 200 too.
    Json,
}

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

impl MediaType {
    /// Chooses by the header `Accept`. Returns `None` if the client accepts neither.
    pub fn choose(accept: Option<&str>) -> Option<Self> {
        let preferred = accept.filter(|accept| accept.to_ascii_lowercase().contains("graphql-response+json"));
        let offers = if preferred.is_some() { [Self::GraphqlResponse, Self::Json] } else { [Self::Json, Self::GraphqlResponse] };
        Accept::of(accept).first(offers.iter().map(|offer| offer.name())).map(|index| offers[index])
    }

    const fn name(self) -> &'static str {
        match self {
            Self::GraphqlResponse => GRAPHQL_RESPONSE,
            Self::Json => JSON,
        }
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// Returns a response with this text.
pub fn respond(media_type: MediaType, request_id: &RequestId, status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type.header());
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

/// Returns the response to a request of which nothing was executed, because its document, its variables or its operation are wrong.
pub fn not_executed(media_type: MediaType, request_id: &RequestId, error: &RequestError) -> Response<Body> {
    let status = match (media_type, error.errors.first()) {
        (MediaType::Json, _) => StatusCode::OK,
        (MediaType::GraphqlResponse, Some(first)) => ProblemDocument::of(&first.error).status(),
        (MediaType::GraphqlResponse, None) => StatusCode::BAD_REQUEST,
    };
    respond(media_type, request_id, status, error.to_response().to_string())
}

/// Returns the response to a request that is refused before its document is read.
pub fn failed(media_type: MediaType, request_id: &RequestId, error: &Error) -> Response<Body> {
    let problem = ProblemDocument::of(error);
    let body = RequestError::from(error.for_client()).to_response().to_string();
    let mut response = respond(media_type, request_id, problem.status(), body);
    let headers = response.headers_mut();
    problem.headers(headers);
    headers.insert(header::CONTENT_TYPE, media_type.header());
    let (leading, trailing) = error.headers_and_trailers();
    metadata::append(headers, leading.clone());
    metadata::append(headers, trailing.clone());
    response
}

/// The error of a method that the endpoint does not have. The header `Allow` lists those that it has.
pub fn method_not_allowed(method: &Method, allowed: &'static str) -> Error {
    let message = format!("{method} is not possible here; use {allowed}");
    let headers = HeaderMap::from_iter([(header::ALLOW, HeaderValue::from_static(allowed))]);
    Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", message).with_headers_and_trailers(headers, HeaderMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_chosen_by_accept() {
        use MediaType::{GraphqlResponse, Json};
        for (accept, chosen) in [
            (None, Some(Json)),
            (Some("*/*"), Some(Json)),
            (Some("application/json"), Some(Json)),
            (Some("application/graphql-response+json"), Some(GraphqlResponse)),
            (Some("application/graphql-response+json, application/json, text/event-stream"), Some(GraphqlResponse)),
            (Some("application/json, application/graphql-response+json;q=0.5"), Some(Json)),
            (Some("text/html"), None),
        ] {
            assert_eq!(MediaType::choose(accept), chosen, "{accept:?}");
        }
    }
}
