//! The input and the output of a call: one message or a stream of messages, as protobuf bytes.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};

use super::{Code, Error, StreamMessage};

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

/// A bytes field of at least this size is not copied into the reply. Below it, a copy costs less than a second piece on the wire.
const MIN_SHARED_BYTES: usize = 16 << 10;
/// Length of the prefix of a message frame ("gRPC over HTTP2", Length-Prefixed-Message).
const FRAME_PREFIX: usize = 5;

/// The encoded message of a reply. A large bytes field is kept apart, so that it is never copied.
#[derive(Clone, Debug)]
pub struct EncodedMessage {
    /// The message, or its other fields and the tag and the length of the bytes field.
    head: Bytes,
    /// Whether `head` begins with the prefix of a frame.
    framed: bool,
    /// The number and the value of a bytes field, which is the last field.
    shared: Option<(u32, Bytes)>,
}

impl EncodedMessage {
    fn encode(message: &impl Message, shared: Option<(u32, Bytes)>) -> Self {
        let rest = message.encoded_len();
        let (key, tail) = shared.as_ref().map_or((0, 0), |(number, value)| (u64::from(number << 3 | 2), value.len()));
        let added = if shared.is_some() { encoded_len_varint(key) + encoded_len_varint(tail as u64) } else { 0 };
        let mut head = BytesMut::with_capacity(FRAME_PREFIX + rest + added);
        head.put_u8(0);
        // A reply can't have 4 GiB: backends bound the size of values.
        head.put_u32(u32::try_from(rest + added + tail).unwrap_or(u32::MAX));
        // The buffer has the size of the message, so this does not fail.
        let _ = message.encode(&mut head);
        if shared.is_some() {
            encode_varint(key, &mut head);
            encode_varint(tail as u64, &mut head);
        }
        Self { head: head.freeze(), framed: true, shared }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.head.len() - self.prefix() + self.shared.as_ref().map_or(0, |(_, value)| value.len())
    }

    /// Tells whether all fields have their defaults.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn prefix(&self) -> usize {
        if self.framed { FRAME_PREFIX } else { 0 }
    }

    /// Returns the bytes in one piece. Copies them if a field is shared.
    pub fn to_bytes(&self) -> Bytes {
        let head = self.head.slice(self.prefix()..);
        match &self.shared {
            None => head,
            Some((_, value)) => [&*head, value].concat().into(),
        }
    }

    /// Returns the frame of the message without compression, in at most two pieces. Copies only messages that this process did not encode.
    pub fn into_frame(self) -> (Bytes, Option<Bytes>) {
        if self.framed {
            return (self.head, self.shared.map(|(_, value)| value));
        }
        let mut frame = BytesMut::with_capacity(FRAME_PREFIX + self.head.len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(self.head.len()).unwrap_or(u32::MAX));
        frame.put_slice(&self.head);
        (frame.freeze(), None)
    }

    /// Returns the shared field, if it has this number.
    pub fn shared_field(&self, number: u32) -> Option<&Bytes> {
        self.shared.as_ref().filter(|(known, _)| *known == number).map(|(_, value)| value)
    }

    /// Returns a message with all fields except for the shared one.
    pub fn other_fields(&self) -> &[u8] {
        let end = match &self.shared {
            None => self.head.len(),
            Some((number, value)) => {
                let key = encoded_len_varint(u64::from(number << 3 | 2)) + encoded_len_varint(value.len() as u64);
                self.head.len() - key
            }
        };
        &self.head[self.prefix()..end]
    }
}

/// A message that is encoded already.
impl From<Bytes> for EncodedMessage {
    fn from(message: Bytes) -> Self {
        Self { head: message, framed: false, shared: None }
    }
}

impl From<Vec<u8>> for EncodedMessage {
    fn from(message: Vec<u8>) -> Self {
        Bytes::from(message).into()
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
    One(EncodedMessage),
    /// The messages of a server-streaming or bidirectional RPC.
    Stream(Messages<StreamMessage>),
}

impl Output {
    /// Encodes one message.
    #[expect(clippy::needless_pass_by_value, reason = "generated code passes its reply by value")]
    pub fn one<M: Message>(message: M) -> Self {
        Self::One(EncodedMessage::encode(&message, None))
    }

    /// Encodes one message, whose bytes field with this number is shared instead of copied, if it is large.
    pub fn one_sharing<M: Message>(number: u32, field: impl Fn(&mut M) -> &mut Bytes, mut message: M) -> Self {
        let shared = (field(&mut message).len() >= MIN_SHARED_BYTES).then(|| (number, std::mem::take(field(&mut message))));
        Self::One(EncodedMessage::encode(&message, shared))
    }

    /// Encodes messages as they are read.
    pub fn messages<M: Message + 'static>(messages: Messages<M>) -> Self {
        Self::stream(messages.map(|item| item.map(|message| Bytes::from(message.encode_to_vec()))))
    }

    /// Returns messages that are encoded already.
    pub fn stream<T: Into<StreamMessage>>(messages: impl Stream<Item = Result<T, Error>> + Send + 'static) -> Self {
        Self::Stream(Box::pin(messages.map(|item| item.map(Into::into))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::patterns::keyvalue::v1::RetrieveResponse;

    #[test]
    fn a_shared_field_is_part_of_the_message() {
        for size in [0, 3, MIN_SHARED_BYTES - 1, MIN_SHARED_BYTES, 1 << 20] {
            let value = Bytes::from(vec![7; size]);
            let reply = RetrieveResponse { value: value.clone(), revision: 300, flags: 5, ..RetrieveResponse::default() };
            let Output::One(encoded) = Output::one_sharing(1, |reply: &mut RetrieveResponse| &mut reply.value, reply.clone()) else {
                panic!("one message")
            };
            let shared = encoded.shared_field(1);
            assert_eq!(shared.is_some(), size >= MIN_SHARED_BYTES, "{size}");
            assert!(shared.is_none_or(|shared| shared.as_ptr() == value.as_ptr()), "it is not copied");
            assert_eq!(encoded.len(), reply.encoded_len());
            assert_eq!(RetrieveResponse::decode(encoded.to_bytes()).unwrap(), reply);
            let others = RetrieveResponse::decode(encoded.other_fields()).unwrap();
            assert_eq!((others.revision, others.value.is_empty()), (300, size == 0 || size >= MIN_SHARED_BYTES));
            let plain = EncodedMessage::from(encoded.to_bytes()).into_frame();
            let (head, tail) = encoded.into_frame();
            assert_eq!([&*head, &*tail.unwrap_or_default()].concat(), *plain.0);
        }
    }
}
