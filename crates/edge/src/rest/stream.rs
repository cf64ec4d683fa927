//! Responses with many messages: lines, events or a list.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep};

use super::response;
use crate::{Body, BoxError, metadata};
use prism_call::{Code, Error, ObservedStream, REQUEST_ID, RequestId, StreamMessage, Trailers, panic};
use prism_frontend::{
    precondition::Preconditions,
    render::{Format, Frames, RETRY, RenderMessage, is_gap},
};

/// Messages that are ready at the same time are sent in one chunk of about this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long the headers wait for the first message. An error within this time determines the status, and an event stream without
/// further events can tell its client not to reconnect.
const FIRST_MESSAGE: Duration = Duration::from_millis(100);

/// A stream that becomes the body of a response.
pub struct Stream {
    /// Renders each message.
    pub rendering: Arc<dyn RenderMessage>,
    pub format: Format,
    pub messages: ObservedStream,
    pub trailers: Trailers,
    /// Whether the client resumes a stream.
    pub resumed: bool,
    /// Maximum silence of an event stream.
    pub heartbeat: Duration,
}

impl Stream {
    /// Returns the response.
    pub async fn respond(mut self, conditions: &Preconditions, request_id: &RequestId, leading: HeaderMap) -> Response<Body> {
        let first = match tokio::time::timeout(FIRST_MESSAGE, self.messages.next()).await {
            Ok(Some(Err(error))) if self.continues_after(&error) => First::Error(error),
            Ok(Some(Err(error))) => return response::failed(request_id, &error),
            Ok(None) if self.resumed => {
                // 204 tells an EventSource that the stream is over for good.
                let mut response = Response::new(Body::Empty);
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(REQUEST_ID, request_id.to_header());
                return response;
            }
            Ok(Some(Ok(message))) => First::Message(message),
            Ok(None) => First::End,
            Err(_) => First::Later,
        };
        let mut response = begin(self.format, request_id);
        metadata::append(response.headers_mut(), leading);
        if conditions.head {
            self.messages.close();
        } else {
            *response.body_mut() = Body::stream(self.encode(first));
        }
        response
    }

    /// Tells whether an error is an event.
    fn continues_after(&self, error: &Error) -> bool {
        self.resumed && continues_after(error)
    }

    fn encode(self, first: First) -> Encoder {
        let mut encoder = Encoder {
            frames: Frames::new(self.format).with_retry(retry()),
            rendering: self.rendering,
            messages: Some(self.messages),
            trailers: Some(self.trailers),
            pending: Vec::new(),
            heartbeat: None,
            silence: self.heartbeat,
        };
        encoder.frames.begin(&mut encoder.pending);
        match first {
            First::Message(message) => encoder.message(&message),
            First::Error(error) => encoder.fail(&error),
            First::End => encoder.end(),
            First::Later => {}
        }
        if encoder.frames.heartbeat().is_some() {
            encoder.heartbeat = Some(Box::pin(tokio::time::sleep(encoder.silence)));
        }
        encoder
    }
}

/// Tells whether a client that resumes a stream of events should connect again after an error. An `EventSource` gives up for good if the
/// status is not 200, so these errors are events to it.
pub fn continues_after(error: &Error) -> bool {
    is_gap(error) || matches!(error.code(), Code::Unavailable | Code::ResourceExhausted)
}

/// Returns the response to a client that resumes a stream of events, after an error before the stream began.
pub fn failed_events(request_id: &RequestId, error: &Error) -> Response<Body> {
    let mut response = begin(Format::Events, request_id);
    let (mut frames, mut events) = (Frames::new(Format::Events).with_retry(retry()), Vec::new());
    frames.begin(&mut events);
    frames.error(error, &mut events);
    *response.body_mut() = Body::full(events);
    response
}

/// Returns the time until a client reconnects. It is random, so that clients that lost their streams together come back one by one.
fn retry() -> Duration {
    RETRY.mul_f64(rand::random_range(0.5..1.5))
}

fn begin(format: Format, request_id: &RequestId) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, format.content_type());
    headers.insert(REQUEST_ID, request_id.to_header());
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Tells proxies not to buffer the response.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What the stream returned before the headers were sent.
enum First {
    Message(StreamMessage),
    /// Of a client that resumes, which connects again.
    Error(Error),
    End,
    Later,
}

/// The body of a stream.
struct Encoder {
    rendering: Arc<dyn RenderMessage>,
    frames: Frames,
    /// `None` after the end.
    messages: Option<ObservedStream>,
    /// `None` after the last chunk.
    trailers: Option<Trailers>,
    /// Bytes of the next chunk.
    pending: Vec<u8>,
    heartbeat: Option<Pin<Box<Sleep>>>,
    silence: Duration,
}

impl Encoder {
    fn message(&mut self, message: &StreamMessage) {
        let length = self.pending.len();
        let rendered = panic::catch_sync(|| self.frames.message(&*self.rendering, message, &mut self.pending));
        if let Err(error) = rendered.and_then(|rendered| rendered) {
            // Nothing of a message that can't be rendered is sent, and the call is counted as the error that the client gets.
            self.pending.truncate(length);
            if let Some(messages) = &mut self.messages {
                messages.fail(&error);
            }
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &Error) {
        self.frames.error(error, &mut self.pending);
        self.end();
    }

    fn end(&mut self) {
        self.frames.end(&mut self.pending);
        self.messages = None;
    }

    /// Tells whether a heartbeat is due.
    fn is_heartbeat_due(&mut self, context: &mut Context<'_>) -> bool {
        let Some(heartbeat) = &mut self.heartbeat else { return false };
        let due = heartbeat.as_mut().poll(context).is_ready();
        if due {
            heartbeat.as_mut().reset(Instant::now() + self.silence);
            // Polled again, so that the new timer wakes this task.
            let _ = heartbeat.as_mut().poll(context);
        }
        due
    }
}

impl HttpBody for Encoder {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while this.pending.len() < CHUNK_BYTES
            && let Some(messages) = &mut this.messages
        {
            match messages.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => this.message(&message),
                Poll::Ready(Some(Err(error))) => this.fail(&error),
                Poll::Ready(None) => this.end(),
                Poll::Pending if this.pending.is_empty() => {
                    if !this.is_heartbeat_due(context) {
                        return Poll::Pending;
                    }
                    this.pending.extend_from_slice(this.frames.heartbeat().unwrap_or_default());
                    break;
                }
                Poll::Pending => break,
            }
        }
        if !this.pending.is_empty() {
            if let Some(heartbeat) = &mut this.heartbeat {
                heartbeat.as_mut().reset(Instant::now() + this.silence);
            }
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.pending).into()))));
        }
        let trailers = this.trailers.take().and_then(|trailers| trailers.get().cloned());
        let mut out = HeaderMap::new();
        metadata::append(&mut out, trailers.unwrap_or_default());
        Poll::Ready((!out.is_empty()).then(|| Ok(Frame::trailers(out))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.pending.is_empty() && self.trailers.as_ref().is_none_or(|trailers| trailers.get().is_none())
    }
}
