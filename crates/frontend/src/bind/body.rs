//! Bodies to fields.

use bytes::Bytes;

use crate::{
    json::{self, Origin, Text},
    rule::Body,
    schema::{Field, Kind, MessageId, Schema, Shape},
    wire::{self, WireType},
};
use prism_call::{Code, Error};

/// How a body is to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// As JSON text.
    Json,
    /// As JSON texts on lines of their own.
    Lines,
    /// As bytes of this type; empty: the client did not say.
    Raw(String),
}

/// A content type taken apart as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// Type and subtype, as they are written.
    pub essence: &'a str,
    /// The `charset` parameter.
    pub charset: Option<&'a str>,
}

impl<'a> ContentType<'a> {
    /// Reads the value of a header.
    pub fn of(value: &'a str) -> Self {
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        Self { essence, charset }
    }

    /// `application/json`, and types with the suffix `+json`.
    pub fn is_json(self) -> bool {
        let suffix = self.essence.len().checked_sub(5).and_then(|start| self.essence.get(start..));
        self.essence.eq_ignore_ascii_case("application/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
    }

    /// JSON texts on lines.
    pub fn is_lines(self) -> bool {
        ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq"]
            .iter()
            .any(|known| self.essence.eq_ignore_ascii_case(known))
    }
}

/// What a route's body fills.
#[derive(Debug)]
pub(super) enum Plan {
    None,
    Whole,
    /// A place in the request; the body is JSON.
    Json(usize),
    /// A `bytes` field.
    Bytes(usize),
    /// A field that is a `google.api.HttpBody`, or the whole request.
    Raw(Option<usize>),
}

const HTTP_BODY: &str = "google.api.HttpBody";

impl Plan {
    pub(super) fn compile(schema: &Schema, input: MessageId, body: &Body) -> Result<Self, String> {
        let message = schema.message(input);
        let name = match body {
            Body::None => return Ok(Self::None),
            Body::Whole if message.name == HTTP_BODY => return Ok(Self::Raw(None)),
            Body::Whole => return Ok(Self::Whole),
            Body::Field(name) => name,
        };
        let place = message.by_name(name).ok_or_else(|| format!("the body fills {name}, which is no field of {}", message.name))?;
        let field = &message.fields[place];
        Ok(match (field.shape, field.kind) {
            (Shape::Singular { .. }, Kind::Bytes) => Self::Bytes(place),
            (Shape::Singular { .. }, Kind::Message(id)) if schema.message(id).name == HTTP_BODY => Self::Raw(Some(place)),
            _ => Self::Json(place),
        })
    }

    pub(super) const fn reads(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether the body fills one field that is a message.
    pub(super) fn is_message(&self, schema: &Schema, input: MessageId) -> bool {
        let Self::Json(place) = self else { return false };
        let field = &schema.message(input).fields[*place];
        matches!((field.shape, field.kind), (Shape::Singular { .. }, Kind::Message(_)))
    }

    /// Whether the body sets this field of the request.
    pub(super) fn takes(&self, schema: &Schema, input: MessageId, number: u32) -> bool {
        match self {
            Self::None => false,
            Self::Whole | Self::Raw(None) => true,
            Self::Json(place) | Self::Bytes(place) | Self::Raw(Some(place)) => schema.message(input).fields[*place].number == number,
        }
    }

    pub(super) fn media(&self, content_type: Option<&str>, streaming: bool) -> Result<Media, Error> {
        let parsed = content_type.map(ContentType::of);
        let json = parsed.is_some_and(ContentType::is_json);
        let utf8 = parsed.and_then(|parsed| parsed.charset).is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
        match self {
            Self::None => Ok(Media::Raw(String::new())),
            Self::Raw(_) => Ok(Media::Raw(content_type.unwrap_or_default().to_owned())),
            Self::Bytes(_) if !parsed.is_some_and(|parsed| parsed.essence.eq_ignore_ascii_case("application/json")) => {
                Ok(Media::Raw(content_type.unwrap_or_default().to_owned()))
            }
            _ if (json || parsed.is_none()) && utf8 => Ok(Media::Json),
            _ if streaming && parsed.is_some_and(ContentType::is_lines) && utf8 => Ok(Media::Lines),
            _ => Err(Error::new(
                Code::InvalidArgument,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("the body can't be {}; send JSON in UTF-8 with `content-type: application/json`", content_type.unwrap_or_default()),
            )),
        }
    }

    /// Appends what a body says, or the item of a body that begins there.
    pub(super) fn put(
        &self,
        schema: &Schema,
        input: MessageId,
        (body, origin): (&Bytes, Origin),
        media: &Media,
        out: &mut Vec<u8>,
        mask: Option<&mut Vec<String>>,
    ) -> Result<(), Error> {
        let text = Text { bytes: body, origin };
        let fields = &schema.message(input).fields;
        match (self, media) {
            (Self::None, _) => Ok(()),
            (Self::Whole, _) => {
                // A request without a body has no fields set, as one with `{}`.
                if body.is_empty() { Ok(()) } else { json::decode(schema, input, text, out) }
            }
            (Self::Json(place), _) => {
                if body.is_empty() {
                    Ok(())
                } else {
                    json::decode_field(schema, &fields[*place], text, out, mask)
                }
            }
            (Self::Bytes(place), Media::Raw(_)) => {
                put_bytes(&fields[*place], body, out);
                Ok(())
            }
            (Self::Bytes(place), _) => json::decode_field(schema, &fields[*place], text, out, None),
            (Self::Raw(place), media) => {
                let content_type = if let Media::Raw(content_type) = media { content_type } else { "application/json" };
                match place {
                    None => put_http_body(content_type, body, out),
                    Some(place) => {
                        let mut message = Vec::with_capacity(body.len() + content_type.len() + 12);
                        put_http_body(content_type, body, &mut message);
                        put_bytes(&fields[*place], &message, out);
                    }
                }
                Ok(())
            }
        }
    }
}

fn put_bytes(field: &Field, bytes: &[u8], out: &mut Vec<u8>) {
    wire::put_tag(out, field.number, WireType::Bytes);
    wire::put_bytes(out, bytes);
}

fn put_http_body(content_type: &str, body: &[u8], out: &mut Vec<u8>) {
    if !content_type.is_empty() {
        wire::put_tag(out, 1, WireType::Bytes);
        wire::put_bytes(out, content_type.as_bytes());
    }
    wire::put_tag(out, 2, WireType::Bytes);
    wire::put_bytes(out, body);
}
