//! The input and the output of a call: one message or a stream of messages, as protobuf bytes.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use prost::Message;

use super::{Code, Error};

/// A stream of messages. It is polled only as fast as its consumer reads. Dropping it cancels the work that produces it.
pub type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// The request of a call.
pub enum Input {
    /// The one message of a unary or server-streaming RPC.
    One(Bytes),
    /// The messages of a client-streaming or bidirectional RPC.
    Stream(Messages<Bytes>),
}

impl Input {
    /// Decodes the only message. A stream must contain exactly one.
    pub async fn one<M: Message + Default>(self) -> Result<M, Error> {
        Ok(M::decode(self.bytes().await?)?)
    }

    /// Refuses a message that is too large. Edges apply the same limit to each message of a stream.
    pub(super) fn check_size(&self, limit: usize) -> Result<(), Error> {
        match self {
            Self::One(bytes) if bytes.len() > limit => Err(message_too_large(limit)),
            _ => Ok(()),
        }
    }

    /// Returns the only message without decoding it.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        match self {
            Self::One(bytes) => Ok(bytes),
            Self::Stream(mut stream) => {
                let exactly_one = || Error::wire(Code::Unimplemented, "ONE_MESSAGE_EXPECTED", "this RPC takes exactly one request message");
                let first = stream.next().await.ok_or_else(exactly_one)??;
                match stream.next().await {
                    None => Ok(first),
                    Some(Ok(_)) => Err(exactly_one()),
                    Some(Err(error)) => Err(error),
                }
            }
        }
    }

    /// Returns all messages, decoded when they are read.
    pub fn messages<M: Message + Default + 'static>(self) -> Messages<M> {
        Box::pin(self.stream().map(|item| Ok(M::decode(item?)?)))
    }

    /// Returns all messages without decoding them.
    pub fn stream(self) -> Messages<Bytes> {
        match self {
            Self::One(bytes) => Box::pin(futures::stream::iter([Ok(bytes)])),
            Self::Stream(stream) => stream,
        }
    }
}

/// `RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE`
pub fn message_too_large(limit: usize) -> Error {
    Error::wire(
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
        format!("the request message has more than {limit} bytes, the limit of this namespace (limits.max_message_bytes)"),
    )
    .with("limit", limit.to_string())
}

/// The messages of a reply.
pub enum Output {
    /// The one message of a unary or client-streaming RPC.
    One(Bytes),
    /// The messages of a server-streaming or bidirectional RPC.
    Stream(Messages<Bytes>),
}

impl Output {
    /// Encodes one message.
    #[expect(clippy::needless_pass_by_value, reason = "generated code passes its reply by value")]
    pub fn one<M: Message>(message: M) -> Self {
        Self::One(message.encode_to_vec().into())
    }

    /// Encodes messages as they are read.
    pub fn messages<M: Message + 'static>(messages: Messages<M>) -> Self {
        Self::Stream(Box::pin(messages.map(|item| item.map(|message| Bytes::from(message.encode_to_vec())))))
    }
}

/// Metadata that is known when a stream has ended: the producer sets it, and the consumer reads it after the last message.
#[derive(Clone, Default)]
pub struct Trailers(Option<Arc<OnceLock<HeaderMap>>>);

impl Trailers {
    /// Creates trailers that are already known.
    pub fn known(trailers: HeaderMap) -> Self {
        if trailers.is_empty() { Self(None) } else { Self(Some(Arc::new(OnceLock::from(trailers)))) }
    }

    /// Creates trailers that are [`set`](Self::set) later.
    pub fn later() -> Self {
        Self(Some(Arc::default()))
    }

    /// Sets the trailers, once.
    pub fn set(&self, trailers: HeaderMap) {
        if let Some(slot) = &self.0 {
            // Only a defect of the producer sets them twice; the first value stays.
            let _ = slot.set(trailers);
        }
    }

    /// Returns the trailers, or `None` if they are not set yet.
    pub fn get(&self) -> Option<&HeaderMap> {
        self.0.as_ref()?.get()
    }
}

/// The reply to a call.
pub struct Reply {
    /// Metadata before the first message.
    pub headers: HeaderMap,
    /// The messages.
    pub output: Output,
    /// Metadata after the last message.
    pub trailers: Trailers,
}

impl From<Output> for Reply {
    fn from(output: Output) -> Self {
        Self { headers: HeaderMap::new(), output, trailers: Trailers::default() }
    }
}
