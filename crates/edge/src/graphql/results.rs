//! Responses that are streams of results, in two forms:
//!
//! - events, by the protocol of `graphql-sse` (github.com/enisdenjo/graphql-sse, PROTOCOL.md), mode "distinct connections": each request has a
//!   response of its own, with an event `next` for each result and an event `complete` at the end;
//! - parts, by the multipart protocol for subscriptions that Apollo's clients speak (`multipart/mixed;subscriptionSpec=1.0`): each result is the
//!   `payload` of a part.

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

/// The media type of events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The media type of parts.
const MULTIPART: &str = "multipart/mixed";
/// The parameter of [`MULTIPART`] with which clients ask for the protocol of subscriptions.
const SUBSCRIPTION_SPEC: &str = "subscriptionspec=1.0";

/// The form of a stream of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultForm {
    Events,
    Parts,
}

type Results = Pin<Box<dyn Stream<Item = Executed> + Send>>;

/// What comes next in a response.
enum Next {
    /// What a response begins with.
    Start(Results),
    Result(Results),
}

impl ResultForm {
    /// Chooses by the header `Accept`. Returns `None` if the client accepts no stream of results. A client that names the protocol of parts
    /// reads nothing else.
    pub fn choose(accept: Option<&str>) -> Option<Self> {
        let accept = accept?.to_ascii_lowercase();
        let accepts_parts = accept.split(',').any(|range| {
            let mut parameters = range.split(';').map(str::trim);
            parameters.next() == Some(MULTIPART) && parameters.any(|parameter| parameter.replace('"', "") == SUBSCRIPTION_SPEC)
        });
        if accepts_parts { Some(Self::Parts) } else { accept.contains(EVENT_STREAM).then_some(Self::Events) }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Events => EVENT_STREAM,
            Self::Parts => "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0",
        })
    }

    /// Returns what a response begins with.
    const fn start(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Events => b"",
            Self::Parts => b"\r\n--graphql",
        })
    }

    /// Returns a result. Its JSON has no line breaks. The boundary after a part comes with it, so that clients need not wait for the next one.
    fn result(self, body: &[u8]) -> Bytes {
        match self {
            Self::Events => [b"event: next\ndata: ", body, b"\n\n"].concat(),
            Self::Parts => [b"\r\ncontent-type: application/json\r\n\r\n{\"payload\":", body, b"}\r\n--graphql"].concat(),
        }
        .into()
    }

    /// Returns what keeps proxies from closing the connection.
    const fn heartbeat(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Events => b":\n\n",
            Self::Parts => b"\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
        })
    }

    /// Returns the end of all results.
    const fn complete(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Events => b"event: complete\ndata:\n\n",
            Self::Parts => b"--\r\n",
        })
    }

    /// Returns a response with these results. If a stream ends because the gateway or the namespace ends, the response has no end, so that
    /// the client asks again.
    pub fn respond(self, request_id: &RequestId, results: impl Stream<Item = Executed> + Send + 'static) -> Response<Body> {
        let chunks = stream::unfold(Some(Next::Start(Box::pin(results))), move |next| async move {
            let mut results = match next? {
                Next::Start(results) if !self.start().is_empty() => return Some((self.start(), Some(Next::Result(results)))),
                Next::Start(results) | Next::Result(results) => results,
            };
            match tokio::time::timeout(HEARTBEAT, results.next()).await {
                Err(_) => Some((self.heartbeat(), Some(Next::Result(results)))),
                Ok(Some(Executed { is_interrupted: true, .. })) => None,
                Ok(Some(executed)) => Some((self.result(&executed.body), Some(Next::Result(results)))),
                Ok(None) => Some((self.complete(), None)),
            }
        });
        stream_response(self.content_type(), request_id, chunks)
    }
}

/// Returns a response that is a stream of chunks.
pub fn stream_response(
    content_type: HeaderValue,
    request_id: &RequestId,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    let frames = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    let mut response = Response::new(Body::stream(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // Tells proxies not to buffer the response.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_chosen_by_accept() {
        for (accept, form) in [
            (None, None),
            (Some("application/json"), None),
            (Some("text/event-stream"), Some(ResultForm::Events)),
            (Some("text/event-stream, multipart/mixed"), Some(ResultForm::Events)),
            (Some("multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"), Some(ResultForm::Parts)),
            (Some("application/json, Multipart/Mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\""), Some(ResultForm::Parts)),
            (Some("multipart/mixed;deferSpec=20220824, application/json"), None),
            (Some("multipart/mixed;subscriptionSpec=2.0"), None),
        ] {
            assert_eq!(ResultForm::choose(accept), form, "{accept:?}");
        }
    }
}
