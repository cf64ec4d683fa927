//! Length-prefixed messages: a flag byte, a 4-byte length, the message ("gRPC over HTTP2", Length-Prefixed-Message; "Connect Protocol",
//! Enveloped-Message).

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::Stream;
use http_body::Body;

use super::{
    body::{BoxError, broken_request},
    compression::Compression,
};
use prism_call::{Code, Error, ObservedStream, StreamMessage, message_too_large};

/// Length of the prefix of a message.
pub const PREFIX: usize = 5;
/// Flag of a compressed message.
const COMPRESSED: u8 = 1;
/// Messages of a stream that are ready at the same time are sent in one chunk of about this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Appends a message with its prefix.
pub fn encode(message: &[u8], compression: Option<Compression>, out: &mut BytesMut) {
    let compressed = compression.and_then(|compression| compression.compress(message));
    let (flag, body) = compressed.as_deref().map_or((0, message), |compressed| (COMPRESSED, compressed));
    encode_flagged(flag, body, out);
}

/// Appends bytes that are not a message, with a prefix that has this flag.
pub fn encode_flagged(flag: u8, bytes: &[u8], out: &mut BytesMut) {
    out.reserve(PREFIX + bytes.len());
    out.put_u8(flag);
    // A reply can't have 4 GiB: backends bound the size of values.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

/// The messages of a reply, in frames. Messages that are ready at the same time form one chunk.
pub struct MessageFrames {
    /// `None` after the end.
    messages: Option<ObservedStream>,
    compression: Option<Compression>,
}

/// A part of a reply.
pub struct ReplyChunk {
    /// Whole frames, or nothing at the end.
    pub data: BytesMut,
    /// How the stream ended, in its last chunk.
    pub end: Option<Result<(), Error>>,
}

impl MessageFrames {
    /// Creates the frames of a stream.
    pub fn new(messages: ObservedStream, compression: Option<Compression>) -> Self {
        Self { messages: Some(messages), compression }
    }

    /// Tells whether the last chunk was returned.
    pub fn is_end(&self) -> bool {
        self.messages.is_none()
    }

    /// Polls for the next chunk, or `None` after the last one. `render` converts each message. If it fails, the stream ends with its error.
    pub fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        render: impl Fn(StreamMessage) -> Result<Bytes, Error>,
    ) -> Poll<Option<ReplyChunk>> {
        let Some(messages) = &mut self.messages else { return Poll::Ready(None) };
        let mut data = BytesMut::new();
        let end = loop {
            match Pin::new(&mut *messages).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => match render(message) {
                    Ok(message) => encode(&message, self.compression, &mut data),
                    Err(error) => {
                        // The call is counted as the error that the client gets.
                        messages.fail(&error);
                        break Err(error);
                    }
                },
                Poll::Ready(Some(Err(error))) => break Err(error),
                Poll::Ready(None) => break Ok(()),
                Poll::Pending if data.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(ReplyChunk { data, end: None })),
            }
            if data.len() >= CHUNK_BYTES {
                return Poll::Ready(Some(ReplyChunk { data, end: None }));
            }
        };
        self.messages = None;
        Poll::Ready(Some(ReplyChunk { data, end: Some(end) }))
    }
}

/// Returns the error of a frame that its client made wrong. The protocols prescribe its code, which is that of a defect of the server.
fn malformed_frame(problem: impl Into<Cow<'static, str>>) -> Error {
    Error::wire(Code::Internal, "MALFORMED_FRAME", problem).caused_by_client()
}

/// The messages of a request body, decoded on demand.
pub struct Decoder<B> {
    body: B,
    buffer: BytesMut,
    compression: Option<Compression>,
    limit: usize,
    ended: bool,
}

impl<B> Decoder<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Creates a decoder. `limit` applies to each message, before and after decompression.
    pub fn new(body: B, compression: Option<Compression>, limit: usize) -> Self {
        Self { body, buffer: BytesMut::new(), compression, limit, ended: false }
    }

    /// Takes the next message from the buffer, if it is complete.
    fn take(&mut self) -> Result<Option<Bytes>, Error> {
        if self.buffer.len() < PREFIX {
            return Ok(None);
        }
        let flag = self.buffer[0];
        let size = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]) as usize;
        if size > self.limit {
            return Err(message_too_large(self.limit));
        }
        if self.buffer.len() < PREFIX + size {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(size).freeze();
        match (flag, self.compression) {
            (0, _) => Ok(Some(message)),
            (COMPRESSED, Some(compression)) => compression.decompress(&message, self.limit).map(Some),
            (COMPRESSED, None) => {
                Err(malformed_frame("a message is flagged as compressed, but no header of the request names the compression"))
            }
            _ => Err(malformed_frame(format!("{flag} is not a flag of a message frame"))),
        }
    }

    /// Polls for the next message.
    pub fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if self.ended && self.buffer.is_empty() {
                return Poll::Ready(None);
            }
            match self.take() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) if self.ended => {
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(malformed_frame("the request ends inside a message"))));
                }
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.push(data);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(broken_request(error.into()))));
                }
                None => self.ended = true,
            }
        }
    }

    fn push(&mut self, data: Bytes) {
        if self.buffer.is_empty() {
            // Usually a body arrives in one chunk, which is not copied.
            match data.try_into_mut() {
                Ok(data) => self.buffer = data,
                Err(data) => self.buffer.extend_from_slice(&data),
            }
        } else {
            self.buffer.extend_from_slice(&data);
        }
    }

    /// Returns the only message of an RPC that takes exactly one.
    pub async fn one(mut self) -> Result<Bytes, Error> {
        let one_expected = |count: &str| {
            Error::wire(Code::Unimplemented, "ONE_MESSAGE_EXPECTED", format!("this RPC takes exactly one request message, not {count}"))
        };
        let first = std::future::poll_fn(|context| self.poll_message(context)).await.ok_or_else(|| one_expected("none"))??;
        match std::future::poll_fn(|context| self.poll_message(context)).await {
            None => Ok(first),
            Some(Ok(_)) => Err(one_expected("more")),
            Some(Err(error)) => Err(error),
        }
    }
}

impl<B> Stream for Decoder<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(context)
    }
}
