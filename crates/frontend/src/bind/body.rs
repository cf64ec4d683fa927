//! Binds a body to a message or to a field.

use bytes::Bytes;

use crate::{
    json::{self, JsonText, TextOrigin},
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes},
    rule::RuleBody,
    wire::{self, WireType},
};
use prism_call::{Code, Error};

/// How a body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// As JSON text.
    Json,
    /// As JSON texts, one on each line.
    Lines,
    /// As bytes with this content type; empty: the client sent none.
    Raw(String),
}

/// A parsed content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// Type and subtype, as written.
    pub essence: &'a str,
    /// The `charset` parameter.
    pub charset: Option<&'a str>,
}

impl<'a> ContentType<'a> {
    /// Parses the value of a header.
    pub fn of(value: &'a str) -> Self {
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        Self { essence, charset }
    }

    /// Whether it is `application/json` or a type with the suffix `+json`.
    pub fn is_json(self) -> bool {
        let suffix = self.essence.len().checked_sub(5).and_then(|start| self.essence.get(start..));
        self.essence.eq_ignore_ascii_case("application/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
    }

    /// Whether it is a type for JSON lines.
    pub fn is_lines(self) -> bool {
        ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq"]
            .iter()
            .any(|known| self.essence.eq_ignore_ascii_case(known))
    }
}

/// The part of a message that the body of a route sets.
#[derive(Debug)]
pub(super) enum BodyPlan {
    None,
    Whole,
    /// A field, by its index; the body is JSON.
    Json(usize),
    /// A `bytes` field, by its index.
    Bytes(usize),
    /// A `google.api.HttpBody`: a field, or the whole request.
    Raw(Option<usize>),
}

const HTTP_BODY: &str = "google.api.HttpBody";

impl BodyPlan {
    pub(super) fn compile(types: &MessageTypes, input: MessageId, body: &RuleBody) -> Result<Self, String> {
        let message = types.message(input);
        let name = match body {
            RuleBody::None => return Ok(Self::None),
            RuleBody::Whole if message.name == HTTP_BODY => return Ok(Self::Raw(None)),
            RuleBody::Whole => return Ok(Self::Whole),
            RuleBody::Field(name) => name,
        };
        let place =
            message.by_name(name).ok_or_else(|| format!("the rule's `body` is {name}, which is not a field of {}", message.name))?;
        let field = &message.fields[place];
        Ok(match (field.shape, field.kind) {
            (FieldShape::Singular { .. }, FieldKind::Bytes) => Self::Bytes(place),
            (FieldShape::Singular { .. }, FieldKind::Message(id)) if types.message(id).name == HTTP_BODY => Self::Raw(Some(place)),
            _ => Self::Json(place),
        })
    }

    pub(super) const fn reads(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether the body is the bytes of a field, or a `google.api.HttpBody`.
    pub(super) const fn is_raw(&self) -> bool {
        matches!(self, Self::Bytes(_) | Self::Raw(_))
    }

    /// Whether the content type is a part of the message.
    pub(super) const fn has_content_type(&self) -> bool {
        matches!(self, Self::Raw(_))
    }

    /// Whether the body sets one field that is a message.
    pub(super) fn is_message(&self, types: &MessageTypes, input: MessageId) -> bool {
        let Self::Json(place) = self else { return false };
        let field = &types.message(input).fields[*place];
        matches!((field.shape, field.kind), (FieldShape::Singular { .. }, FieldKind::Message(_)))
    }

    /// Whether the body sets this field of the request.
    pub(super) fn takes(&self, types: &MessageTypes, input: MessageId, number: u32) -> bool {
        match self {
            Self::None => false,
            Self::Whole | Self::Raw(None) => true,
            Self::Json(place) | Self::Bytes(place) | Self::Raw(Some(place)) => types.message(input).fields[*place].number == number,
        }
    }

    pub(super) fn media(&self, content_type: Option<&str>, streaming: bool) -> Result<Media, Error> {
        let parsed = content_type.map(ContentType::of);
        let json = parsed.is_some_and(ContentType::is_json);
        let utf8 = parsed.and_then(|parsed| parsed.charset).is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
        match self {
            Self::None => Ok(Media::Raw(String::new())),
            // Bytes are taken as they are, whatever their type. `application/json` is the type of a value too.
            Self::Raw(_) | Self::Bytes(_) => Ok(Media::Raw(content_type.unwrap_or_default().to_owned())),
            _ if (json || parsed.is_none()) && utf8 => Ok(Media::Json),
            _ if streaming && parsed.is_some_and(ContentType::is_lines) && utf8 => Ok(Media::Lines),
            _ => Err(Error::new(
                Code::InvalidArgument,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("the body can't be {}; send JSON in UTF-8 with `content-type: application/json`", content_type.unwrap_or_default()),
            )),
        }
    }

    /// Decodes a body, or an item of a body, and appends it.
    pub(super) fn put(
        &self,
        types: &MessageTypes,
        input: MessageId,
        (body, origin): (&Bytes, TextOrigin),
        media: &Media,
        out: &mut Vec<u8>,
        mask: Option<&mut Vec<String>>,
    ) -> Result<(), Error> {
        let text = JsonText { bytes: body, origin };
        let fields = &types.message(input).fields;
        match (self, media) {
            (Self::None, _) => Ok(()),
            (Self::Whole, _) => {
                // An empty body means the same as `{}`.
                if body.is_empty() { Ok(()) } else { json::decode(types, input, text, out) }
            }
            (Self::Json(place), _) => {
                if body.is_empty() {
                    Ok(())
                } else {
                    json::decode_field(types, &fields[*place], text, out, mask)
                }
            }
            (Self::Bytes(place), _) => {
                put_bytes(&fields[*place], body, out);
                Ok(())
            }
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
