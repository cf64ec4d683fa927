//! From a reply to the body of a response.
//!
//! A reply is JSON. Where the rule names a `bytes` field as the whole response, it is those bytes as
//! `application/octet-stream`, unless the client asks for `application/json` by name and not for the bytes more, in which
//! case it is a string with base64. A `google.api.HttpBody` goes out with its own content type. Streams are NDJSON,
//! Server-Sent Events (`Accept: text/event-stream`) or a JSON list (`Accept: application/json`).

mod accept;
mod frames;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderValue;

pub use accept::Accept;
pub use frames::{Frames, HEARTBEAT, RETRY};

use super::{
    json,
    schema::{Kind, MessageId, Schema, Shape},
    wire::{self, Malformed, Value},
};
use prism_call::{Code, Error};

/// How the replies of one route become responses.
#[derive(Debug)]
pub struct Rendering {
    schema: &'static Schema,
    output: MessageId,
    streaming: bool,
    plan: Plan,
    /// Number of the field `revision`, which makes an `ETag`.
    revision: Option<u32>,
    /// Number of the field `cursor`, which makes the id of an event.
    cursor: Option<u32>,
}

#[derive(Debug)]
enum Plan {
    /// The whole message.
    Message,
    /// A place in the reply.
    Field(usize),
    /// A `bytes` field.
    Bytes(usize),
    /// A `google.api.HttpBody`: the reply itself, or the field with this number.
    HttpBody(Option<u32>),
}

/// Makes of each message of a stream what its response has of it.
pub trait RenderMessage: Send + Sync {
    /// Appends it as JSON on one line.
    fn json(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Its cursor, if it has one that is not empty.
    fn cursor<'b>(&self, message: &'b [u8]) -> Option<&'b str>;
}

impl RenderMessage for Rendering {
    fn json(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        Self::json(self, message, out)
    }

    fn cursor<'b>(&self, message: &'b [u8]) -> Option<&'b str> {
        Self::cursor(self, message)
    }
}

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON text.
    Json,
    /// Bytes as they are.
    Raw,
    /// A stream, one JSON text on each line.
    Lines,
    /// A stream of Server-Sent Events.
    Events,
    /// A stream as one JSON list.
    List,
}

impl Format {
    /// The types that stand for lines of JSON.
    pub const LINE_TYPES: &'static [&'static str] = &["application/x-ndjson", "application/ndjson", "application/jsonl"];

    /// The content type, but for a `google.api.HttpBody`.
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json | Self::List => "application/json",
            Self::Raw => "application/octet-stream",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        })
    }
}

/// A response's body with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// For the header `content-type`.
    pub content_type: HeaderValue,
    /// The bytes.
    pub body: Bytes,
}

impl Rendering {
    /// Compiles what a rule says about the reply.
    pub fn compile(schema: &'static Schema, output: MessageId, streaming: bool, response_body: Option<&str>) -> Result<Self, String> {
        let message = schema.message(output);
        let is_http_body = |kind: Kind| matches!(kind, Kind::Message(id) if schema.message(id).name == "google.api.HttpBody");
        let plan = match response_body {
            None if is_http_body(Kind::Message(output)) => Plan::HttpBody(None),
            None => Plan::Message,
            Some(name) => {
                let place =
                    message.by_name(name).ok_or_else(|| format!("the response is {name}, which is no field of {}", message.name))?;
                let field = &message.fields[place];
                match (field.shape, field.kind) {
                    (Shape::Singular { .. }, Kind::Bytes) => Plan::Bytes(place),
                    (Shape::Singular { .. }, kind) if is_http_body(kind) => Plan::HttpBody(Some(field.number)),
                    _ => Plan::Field(place),
                }
            }
        };
        let number = |name: &str, kind: Kind| {
            let field = &message.fields[message.by_name(name)?];
            (field.kind == kind && matches!(field.shape, Shape::Singular { .. })).then_some(field.number)
        };
        let (revision, cursor) = (number("revision", Kind::Uint64), number("cursor", Kind::String));
        Ok(Self { schema, output, streaming, plan, revision, cursor })
    }

    /// Chooses the form by the header `Accept`. This must come before the call, so that a request whose answer nobody wants
    /// changes nothing.
    pub fn negotiate(&self, accept: &Accept<'_>) -> Result<Format, Error> {
        if accept.any() {
            return Ok(self.preferred());
        }
        // In the order of our preference, which decides between equals.
        let offers: &[(Format, &[&str])] = match (self.streaming, &self.plan) {
            (true, _) => {
                &[(Format::Lines, Format::LINE_TYPES), (Format::Events, &["text/event-stream"]), (Format::List, &["application/json"])]
            }
            // Its type is known only when it is there.
            (false, Plan::HttpBody(_)) => return Ok(Format::Raw),
            (false, Plan::Bytes(_)) => &[(Format::Raw, &["application/octet-stream"]), (Format::Json, &["application/json"])],
            (false, _) => &[(Format::Json, &["application/json"])],
        };
        let best = accept.best(offers.iter().map(|(_, types)| *types));
        best.map(|place| offers[place].0).ok_or_else(|| {
            let types: Vec<&str> = offers.iter().map(|(_, types)| types[0]).collect();
            Error::new(
                Code::InvalidArgument,
                "NOT_ACCEPTABLE",
                format!("this route answers with {}; `Accept` allows none of it", types.join(" or ")),
            )
        })
    }

    const fn preferred(&self) -> Format {
        match (self.streaming, &self.plan) {
            (true, _) => Format::Lines,
            (false, Plan::Bytes(_) | Plan::HttpBody(_)) => Format::Raw,
            (false, _) => Format::Json,
        }
    }

    /// The body of a unary response.
    pub fn reply(&self, reply: &Bytes, format: Format) -> Result<Rendered, Error> {
        let message = self.schema.message(self.output);
        match (&self.plan, format) {
            (Plan::Bytes(place), Format::Raw) => {
                let body = self.bytes(reply, message.fields[*place].number)?;
                Ok(Rendered { content_type: format.content_type(), body })
            }
            (Plan::HttpBody(number), Format::Raw) => {
                let inner = match number {
                    Some(number) => self.bytes(reply, *number)?,
                    None => reply.clone(),
                };
                let content_type = self.bytes(&inner, 1)?;
                let content_type = HeaderValue::from_maybe_shared(content_type).ok().filter(|value| !value.is_empty());
                Ok(Rendered { content_type: content_type.unwrap_or(format.content_type()), body: self.bytes(&inner, 2)? })
            }
            _ => {
                let mut out = Vec::with_capacity(reply.len() * 2 + 64);
                self.json(reply, &mut out)?;
                Ok(Rendered { content_type: format.content_type(), body: out.into() })
            }
        }
    }

    /// Appends a reply, or what of it is the response, as JSON on one line.
    pub fn json(&self, reply: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let message = self.schema.message(self.output);
        match &self.plan {
            Plan::Message | Plan::HttpBody(None) => json::encode(self.schema, self.output, reply, out),
            Plan::Field(place) | Plan::Bytes(place) => json::encode_field(self.schema, self.output, &message.fields[*place], reply, out),
            Plan::HttpBody(Some(number)) => match message.by_number(*number) {
                Some(place) => json::encode_field(self.schema, self.output, &message.fields[place], reply, out),
                None => Ok(()),
            },
        }
    }

    /// The reply's revision, if it has one and is one message.
    pub fn revision(&self, reply: &[u8]) -> Option<u64> {
        match wire::last(reply, self.revision.filter(|_| !self.streaming)?) {
            Ok(Some(Value::Varint(revision))) => Some(revision),
            _ => None,
        }
    }

    /// Whether replies can have a revision.
    pub const fn has_revision(&self) -> bool {
        self.revision.is_some() && !self.streaming
    }

    /// The reply's cursor, if it has one that is not empty.
    pub fn cursor<'b>(&self, reply: &'b [u8]) -> Option<&'b str> {
        match wire::last(reply, self.cursor?) {
            Ok(Some(Value::Bytes(cursor))) => std::str::from_utf8(cursor).ok().filter(|cursor| !cursor.is_empty()),
            _ => None,
        }
    }

    /// Whether the form of a response depends on `Accept`.
    pub const fn varies(&self) -> bool {
        self.streaming || matches!(self.plan, Plan::Bytes(_))
    }

    /// Whether replies come as a stream.
    pub const fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// A field of bytes, without copying them.
    fn bytes(&self, message: &Bytes, number: u32) -> Result<Bytes, Error> {
        match wire::last(message, number) {
            Ok(Some(Value::Bytes(bytes))) => Ok(message.slice_ref(bytes)),
            Ok(_) => Ok(Bytes::new()),
            Err(Malformed) => {
                Err(Error::internal(format!("the reply is not a message of its type {}", self.schema.message(self.output).name)))
            }
        }
    }
}
