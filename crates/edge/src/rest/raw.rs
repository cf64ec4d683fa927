//! Responses whose body is a stream of raw bytes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};

use super::response::{self, UnaryResponse};
use crate::{Body, BoxError, metadata};
use prism_call::{ObservedStream, REQUEST_ID, RequestId, Trailers};
use prism_frontend::{precondition::Preconditions, render::Format, route::Route};

/// Contents are what clients have stored. A browser that opens one as a page must not run its scripts with the rights of this origin.
const SANDBOX: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");

/// A stream whose messages are the body of a response. The first one also determines the headers.
pub struct RawStream {
    pub route: Arc<Route>,
    pub messages: ObservedStream,
    pub trailers: Trailers,
}

impl RawStream {
    /// Returns the response. The headers wait for the first message.
    pub async fn respond(mut self, conditions: &Preconditions, request_id: &RequestId, leading: HeaderMap) -> Response<Body> {
        let first = match self.messages.next().await {
            Some(Err(error)) => return response::failed_on(conditions, request_id, &error),
            Some(Ok(message)) => message,
            None => Bytes::new().into(),
        };
        let (content_type, chunk) = match self.route.rendering.raw(&first) {
            Ok(raw) => raw,
            Err(error) => {
                self.messages.fail(&error);
                return response::failed(request_id, &error);
            }
        };
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(Format::Raw.content_type()));
        headers.insert(REQUEST_ID, request_id.to_header());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(HeaderName::from_static("content-security-policy"), SANDBOX);
        metadata::append(headers, leading);
        if let Some(fields) = &self.route.headers {
            fields.set(&first, true, headers);
        }
        if let Some(UnaryResponse { response, error }) = response::decide(conditions.verdict_of(headers), request_id, &mut response) {
            match error {
                Some(error) => self.messages.fail(&error),
                None => self.messages.close(),
            }
            return response;
        }
        if response.headers().contains_key(header::CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if conditions.head {
            self.messages.close();
        } else {
            let Self { route, messages, trailers } = self;
            *response.body_mut() = Body::stream(RawBody { route, first: chunk, messages: Some(messages), trailers });
        }
        response
    }
}

/// The body of a response: the bytes of each message, without copying them.
struct RawBody {
    route: Arc<Route>,
    /// The bytes of the first message.
    first: Bytes,
    /// `None` after the end.
    messages: Option<ObservedStream>,
    trailers: Trailers,
}

impl HttpBody for RawBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.first)))));
        }
        while let Some(messages) = &mut this.messages {
            let raw = match messages.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(message)) => message.and_then(|message| this.route.rendering.raw(&message)),
                Poll::Ready(None) => {
                    this.messages = None;
                    let mut trailers = HeaderMap::new();
                    metadata::append(&mut trailers, this.trailers.get().cloned().unwrap_or_default());
                    return Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))));
                }
            };
            match raw {
                Ok((_, chunk)) if chunk.is_empty() => {}
                Ok((_, chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Err(error) => {
                    // The client sees that the body ends early: the connection or the HTTP/2 stream is broken off.
                    messages.fail(&error);
                    this.messages = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.messages.is_none()
    }
}
