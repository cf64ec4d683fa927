//! Responses as events, by the protocol of `graphql-sse` (github.com/enisdenjo/graphql-sse, PROTOCOL.md), mode "distinct connections": each request
//! has a response of its own, with an event `next` for each result and an event `complete` at the end.

use std::{convert::Infallible, pin::Pin};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::Body;
use prism_call::{REQUEST_ID, RequestId};
use prism_frontend::render::HEARTBEAT;
use prism_graphql::Executed;

/// The media type of a response.
pub const EVENT_STREAM: &str = "text/event-stream";

type Results = Pin<Box<dyn Stream<Item = Executed> + Send>>;

/// Returns a response with an event for each result. If a stream ends because the gateway or the namespace ends, the response ends without
/// `complete`, so that the client asks again.
pub fn respond(request_id: &RequestId, results: impl Stream<Item = Executed> + Send + 'static) -> Response<Body> {
    let events = stream::unfold(Some(Box::pin(results) as Results), |results| async move {
        let mut results = results?;
        let (event, rest) = match tokio::time::timeout(HEARTBEAT, results.next()).await {
            // Comments keep proxies from closing the connection.
            Err(_) => (Bytes::from_static(b":\n\n"), Some(results)),
            Ok(Some(Executed { is_interrupted: true, .. })) => return None,
            Ok(Some(executed)) => (next(&executed.body), Some(results)),
            Ok(None) => (Bytes::from_static(b"event: complete\ndata:\n\n"), None),
        };
        Some((Ok::<_, Infallible>(Frame::data(event)), rest))
    });
    let mut response = Response::new(Body::stream(StreamBody::new(events)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // Tells proxies not to buffer the response.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

/// Returns the event of a result. Its JSON has no line breaks.
fn next(body: &[u8]) -> Bytes {
    [b"event: next\ndata: ", body, b"\n\n"].concat().into()
}
