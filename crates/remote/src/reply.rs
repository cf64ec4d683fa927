//! The messages and the status of a reply from a remote.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _};
use http::HeaderMap;
use tonic::{Status, Streaming, TimeoutExpired};

use super::{MAX_REPLY_BYTES, channel, metadata, request::Broken, unavailable};
use prism_call::{Code, Error, Trailers, proto::google::rpc};

/// The message stream of a reply. Dropping it cancels the call on the remote.
pub struct Replies {
    url: Arc<str>,
    deadline: Option<Instant>,
    messages: Option<Streaming<Bytes>>,
    broken: Broken,
    /// Whether the status came with the headers, so that nothing follows.
    is_trailers_only: bool,
    trailers: Trailers,
}

impl Replies {
    pub fn new(
        url: Arc<str>,
        deadline: Option<Instant>,
        messages: Streaming<Bytes>,
        broken: Broken,
        is_trailers_only: bool,
        trailers: Trailers,
    ) -> Self {
        Self { url, deadline, messages: Some(messages), broken, is_trailers_only, trailers }
    }

    /// Returns the only message of a unary reply.
    pub async fn single_message(&mut self) -> Result<Bytes, Error> {
        let message = self.next().await.unwrap_or_else(|| Err(protocol_error(&self.url, "it sent a status, but no message")))?;
        match self.next().await {
            None => Ok(message),
            Some(Ok(_)) => Err(protocol_error(&self.url, "it sent more than the one message of its reply")),
            Some(Err(error)) => Err(error),
        }
    }

    /// Reads the trailers after the last message. They must contain the status.
    fn read_trailers(&mut self, mut messages: Streaming<Bytes>) -> Option<Error> {
        // The stream has ended, so the trailers are available without waiting.
        let trailers = match messages.trailers().now_or_never() {
            Some(Ok(Some(trailers))) => trailers.into_headers(),
            _ => HeaderMap::new(),
        };
        if !self.is_trailers_only && !channel::has_status(&trailers) {
            return Some(protocol_error(&self.url, "its reply ended without a status"));
        }
        self.trailers.set(metadata::reply_metadata(trailers));
        None
    }
}

impl Stream for Replies {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(messages) = &mut this.messages else { return Poll::Ready(None) };
        if let Poll::Ready(error) = this.broken.poll_unpin(context) {
            this.messages = None;
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(messages.poll_next_unpin(context)) {
            Some(Ok(message)) => Poll::Ready(Some(Ok(message))),
            Some(Err(status)) => {
                this.messages = None;
                Poll::Ready(Some(Err(convert_status(&this.url, this.deadline, status))))
            }
            None => {
                let end = this.messages.take().and_then(|messages| this.read_trailers(messages));
                Poll::Ready(end.map(Err))
            }
        }
    }
}

/// Converts a status: the remote's error unchanged, or an error for a failure of the connection.
pub fn convert_status(url: &str, deadline: Option<Instant>, status: Status) -> Error {
    let code = status.code() as i32;
    match channel::details(status.metadata().as_ref()) {
        Some(details) => {
            let error = Error::from_status(rpc::Status { code, message: status.message().to_owned(), details });
            let trailers = metadata::reply_metadata(status.metadata().clone().into_headers());
            error.with_headers_and_trailers(HeaderMap::new(), trailers)
        }
        None if is_timeout(&status) || deadline.is_some_and(|deadline| deadline <= Instant::now()) => Error::deadline_exceeded(),
        // tonic creates this code only for messages that are too large.
        None if status.code() == tonic::Code::OutOfRange => {
            let message = format!("a message of the reply is larger than {MAX_REPLY_BYTES} bytes; request less data at once");
            Error::new(Code::ResourceExhausted, "REPLY_TOO_LARGE", message).with("limit", MAX_REPLY_BYTES.to_string())
        }
        None if status.source().is_some() || status.code() == tonic::Code::Unavailable => {
            unavailable(url, &innermost_cause(&status)).with_source(status)
        }
        None => protocol_error(url, status.message()),
    }
}

fn is_timeout(status: &Status) -> bool {
    causes(status).any(<dyn StdError>::is::<TimeoutExpired>)
}

/// Returns the innermost cause, for example `Connection refused`.
fn innermost_cause(status: &Status) -> String {
    causes(status).last().map_or_else(|| status.message().to_owned(), ToString::to_string)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// `INTERNAL REMOTE_BROKEN`
fn protocol_error(url: &str, problem: &str) -> Error {
    let message = format!("the server at {url} does not behave like a Prism server: {problem}");
    Error::new(Code::Internal, "REMOTE_BROKEN", message).with("remote", url)
}
