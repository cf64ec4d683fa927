//! REST: HTTP routes and JSON, from the `google.api.http` rules of a pattern's service.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;

use super::{Body, BoxError, Edge};

/// The routes of one service.
pub struct Routes;

/// Answers one request.
pub async fn serve<B>(edge: &Arc<Edge>, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let _found = edge.bindings.rest(request.uri(), request.headers());
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
