//! Renders a reply as the body of a response.
//!
//! A reply is rendered as JSON. If the rule's `response_body` is a `bytes` field, the body is those bytes, as `application/octet-stream`.
//! A client that prefers `application/json` in `Accept` gets a base64 string instead. A `google.api.HttpBody` is sent with its own
//! content type. Streams are NDJSON, Server-Sent Events (`Accept: text/event-stream`) or a JSON list (`Accept: application/json`). A stream
//! whose messages would be raw bodies is one raw body: the bytes of all messages, one after the other.

mod accept;
mod event;
mod frames;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderValue;

pub use accept::Accept;
pub use event::EventFields;
pub use frames::{Frames, HEARTBEAT, RETRY, is_gap};

use super::{
    json,
    message_types::{FieldKind, FieldShape, MessageId, MessageTypes},
    wire::{self, Malformed, WireValue},
};
use prism_call::{Code, EncodedMessage, Error, StreamMessage};

/// Renders the replies of one route.
#[derive(Debug)]
pub struct Rendering {
    types: &'static MessageTypes,
    output: MessageId,
    streaming: bool,
    plan: ReplyPlan,
    /// Number of the field `revision`, which becomes the `ETag`.
    revision: Option<u32>,
    /// What becomes the id and the name of an event.
    event: EventFields,
}

#[derive(Debug)]
enum ReplyPlan {
    /// The whole message.
    Message,
    /// A field, by its index.
    Field(usize),
    /// A `bytes` field, by its index.
    Bytes(usize),
    /// A `google.api.HttpBody`: the reply itself, or the field with this number.
    HttpBody(Option<u32>),
}

/// Renders the messages of a stream.
pub trait RenderMessage: Send + Sync {
    /// Appends a message as JSON on one line.
    fn json(&self, message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error>;

    /// Returns the fields of messages that become the id and the name of an event.
    fn event(&self) -> Option<&EventFields>;
}

impl RenderMessage for Rendering {
    fn json(&self, message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error> {
        match &self.plan {
            ReplyPlan::Message => json::encode_streamed(self.types, self.output, message, out),
            _ => Self::json(self, message, out),
        }
    }

    fn event(&self) -> Option<&EventFields> {
        Some(&self.event)
    }
}

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON text.
    Json,
    /// The bytes of a field, unchanged.
    Raw,
    /// A stream, one JSON text on each line.
    Lines,
    /// A stream of Server-Sent Events.
    Events,
    /// A stream as one JSON list.
    List,
}

impl Format {
    /// The media types of JSON lines.
    pub const LINE_TYPES: &'static [&'static str] = &["application/x-ndjson", "application/ndjson", "application/jsonl"];

    /// Returns the content type. A `google.api.HttpBody` has its own.
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json | Self::List => "application/json",
            Self::Raw => "application/octet-stream",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        })
    }
}

/// The body of a response, with its content type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The value of `content-type`.
    pub content_type: HeaderValue,
    /// The bytes.
    pub body: Bytes,
}

impl Rendering {
    /// Compiles the `response_body` of a rule.
    pub fn compile(types: &'static MessageTypes, output: MessageId, streaming: bool, response_body: Option<&str>) -> Result<Self, String> {
        let message = types.message(output);
        let is_http_body = |kind: FieldKind| matches!(kind, FieldKind::Message(id) if types.message(id).name == "google.api.HttpBody");
        let plan = match response_body {
            None if is_http_body(FieldKind::Message(output)) => ReplyPlan::HttpBody(None),
            None => ReplyPlan::Message,
            Some(name) => {
                let place =
                    message.by_name(name).ok_or_else(|| format!("`response_body` is {name}, which is not a field of {}", message.name))?;
                let field = &message.fields[place];
                match (field.shape, field.kind) {
                    (FieldShape::Singular { .. }, FieldKind::Bytes) => ReplyPlan::Bytes(place),
                    (FieldShape::Singular { .. }, kind) if is_http_body(kind) => ReplyPlan::HttpBody(Some(field.number)),
                    _ => ReplyPlan::Field(place),
                }
            }
        };
        let number = |name: &str, kind: FieldKind| {
            let field = &message.fields[message.by_name(name)?];
            (field.kind == kind && matches!(field.shape, FieldShape::Singular { .. })).then_some(field.number)
        };
        let revision = number("revision", FieldKind::Uint64);
        Ok(Self { types, output, streaming, plan, revision, event: EventFields::of(types, output) })
    }

    /// Chooses the format by the header `Accept`. Must run before the call, so that a request that is refused with 406 changes nothing.
    pub fn negotiate(&self, accept: &Accept<'_>) -> Result<Format, Error> {
        if accept.any() {
            return Ok(self.preferred());
        }
        // In the server's order of preference, which decides between equal qualities.
        let offers: &[(Format, &[&str])] = match (self.streaming, &self.plan) {
            // The content type of an HttpBody is known only after the call.
            (true, ReplyPlan::Bytes(_)) | (_, ReplyPlan::HttpBody(_)) => return Ok(Format::Raw),
            (true, _) => {
                &[(Format::Lines, Format::LINE_TYPES), (Format::Events, &["text/event-stream"]), (Format::List, &["application/json"])]
            }
            (false, ReplyPlan::Bytes(_)) => &[(Format::Raw, &["application/octet-stream"]), (Format::Json, &["application/json"])],
            (false, _) => &[(Format::Json, &["application/json"])],
        };
        let best = match &self.plan {
            ReplyPlan::Bytes(_) => accept.first(offers.iter().map(|(_, types)| types[0])),
            _ => accept.best(offers.iter().map(|(_, types)| *types)),
        };
        best.map(|place| offers[place].0).ok_or_else(|| {
            let types: Vec<&str> = offers.iter().map(|(_, types)| types[0]).collect();
            Error::new(
                Code::InvalidArgument,
                "NOT_ACCEPTABLE",
                format!("this route responds with {}; `Accept` allows none of them", types.join(" or ")),
            )
        })
    }

    const fn preferred(&self) -> Format {
        match (self.streaming, &self.plan) {
            (_, ReplyPlan::Bytes(_) | ReplyPlan::HttpBody(_)) => Format::Raw,
            (true, _) => Format::Lines,
            (false, _) => Format::Json,
        }
    }

    /// Whether replies are a stream of raw bytes.
    pub const fn is_raw_stream(&self) -> bool {
        self.streaming && self.is_raw()
    }

    /// Whether the body of a response can be the bytes of a field, or a `google.api.HttpBody`.
    pub const fn is_raw(&self) -> bool {
        matches!(self.plan, ReplyPlan::Bytes(_) | ReplyPlan::HttpBody(_))
    }

    /// Returns the raw bytes in a message of a stream, and the content type if the message has one.
    pub fn raw(&self, message: &Bytes) -> Result<(Option<HeaderValue>, Bytes), Error> {
        let number = match &self.plan {
            ReplyPlan::Bytes(place) => return Ok((None, self.bytes(message, self.types.message(self.output).fields[*place].number)?)),
            ReplyPlan::HttpBody(number) => *number,
            ReplyPlan::Message | ReplyPlan::Field(_) => return Ok((None, Bytes::new())),
        };
        let inner = match number {
            Some(number) => self.bytes(message, number)?,
            None => message.clone(),
        };
        let content_type = HeaderValue::from_maybe_shared(self.bytes(&inner, 1)?).ok().filter(|value| !value.is_empty());
        Ok((content_type, self.bytes(&inner, 2)?))
    }

    /// Renders the body of a unary response.
    pub fn reply(&self, reply: &EncodedMessage, format: Format) -> Result<Rendered, Error> {
        let message = self.types.message(self.output);
        if let (ReplyPlan::Bytes(place), Format::Raw) = (&self.plan, format)
            && let Some(body) = reply.shared_field(message.fields[*place].number)
        {
            return Ok(Rendered { content_type: format.content_type(), body: body.clone() });
        }
        let reply = &reply.to_bytes();
        match (&self.plan, format) {
            (ReplyPlan::Bytes(place), Format::Raw) => {
                let body = self.bytes(reply, message.fields[*place].number)?;
                Ok(Rendered { content_type: format.content_type(), body })
            }
            (ReplyPlan::HttpBody(_), Format::Raw) => {
                let (content_type, body) = self.raw(reply)?;
                Ok(Rendered { content_type: content_type.unwrap_or(format.content_type()), body })
            }
            _ => {
                let mut out = Vec::with_capacity(reply.len() * 2 + 64);
                self.json(reply, &mut out)?;
                Ok(Rendered { content_type: format.content_type(), body: out.into() })
            }
        }
    }

    /// Appends a reply, or its `response_body` field, as JSON on one line.
    pub fn json(&self, reply: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let message = self.types.message(self.output);
        match &self.plan {
            ReplyPlan::Message | ReplyPlan::HttpBody(None) => json::encode(self.types, self.output, reply, out),
            ReplyPlan::Field(place) | ReplyPlan::Bytes(place) => {
                json::encode_field(self.types, self.output, &message.fields[*place], reply, out)
            }
            ReplyPlan::HttpBody(Some(number)) => match message.by_number(*number) {
                Some(place) => json::encode_field(self.types, self.output, &message.fields[place], reply, out),
                None => Ok(()),
            },
        }
    }

    /// Returns the revision of a unary reply, if it has one.
    pub fn revision(&self, reply: &[u8]) -> Option<u64> {
        match wire::last(reply, self.revision.filter(|_| !self.streaming)?) {
            Ok(Some(WireValue::Varint(revision))) => Some(revision),
            _ => None,
        }
    }

    /// Whether replies can have a revision.
    pub const fn has_revision(&self) -> bool {
        self.revision.is_some() && !self.streaming
    }

    /// Whether the format of a response depends on `Accept`.
    pub const fn varies(&self) -> bool {
        matches!((self.streaming, &self.plan), (true, ReplyPlan::Message | ReplyPlan::Field(_)) | (false, ReplyPlan::Bytes(_)))
    }

    /// Whether the RPC streams its replies.
    pub const fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Returns the bytes of a field without copying them.
    fn bytes(&self, message: &Bytes, number: u32) -> Result<Bytes, Error> {
        match wire::last(message, number) {
            Ok(Some(WireValue::Bytes(bytes))) => Ok(message.slice_ref(bytes)),
            Ok(_) => Ok(Bytes::new()),
            Err(Malformed) => {
                Err(Error::internal(format!("the reply is not a message of its type {}", self.types.message(self.output).name)))
            }
        }
    }
}
