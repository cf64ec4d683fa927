//! Decodes the well-known types that have their own JSON form.

use super::{
    JsonError, Token,
    decode::{Decoder, Step},
};
use crate::{
    message_types::{FieldKind, MessageType, WellKnownType},
    scalar,
    wire::{self, WireType},
};

impl<'a> Decoder<'a> {
    /// Decodes a well-known message, without its length.
    pub(super) fn special(&mut self, special: WellKnownType, message: &'a MessageType, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let token = self.reader.peek()?;
        let at = self.reader.position();
        match (special, token) {
            (WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask, Token::String) => {
                let text = self.reader.string()?;
                scalar::put_message(self.types, message, &text, out).map_err(|refusal| self.fault(at, refusal))
            }
            (WellKnownType::Wrapper, _) => {
                let Some(value) = message.fields.first() else { return Ok(()) };
                wire::put_tag(out, value.number, value.kind.wire());
                self.value(value.kind, token, out)
            }
            (WellKnownType::Value, _) => self.dynamic(message, token, out),
            (WellKnownType::Struct, Token::Object) => self.members(message, out),
            (WellKnownType::ListValue, Token::Array) => {
                let Some(values) = message.fields.first() else { return Ok(()) };
                self.elements(values.kind, out, |out| wire::put_tag(out, values.number, WireType::Bytes))
            }
            (WellKnownType::Empty, _) => self.object(message, false, out),
            (WellKnownType::Any, Token::Object) => self.any(out),
            (WellKnownType::Struct | WellKnownType::Any, _) => Err(self.fault(at, "must be an object")),
            (WellKnownType::ListValue, _) => Err(self.fault(at, "must be a list")),
            (WellKnownType::Timestamp, _) => {
                Err(self.fault(at, "must be a string with a time in RFC 3339 format, such as 2026-05-01T12:00:00Z"))
            }
            (WellKnownType::Duration, _) => Err(self.fault(at, "must be a string with a duration in seconds, such as 1.5s")),
            (WellKnownType::FieldMask, _) => Err(self.fault(at, "must be a string with field paths, separated by commas")),
        }
    }

    /// Decodes `google.protobuf.Value`: any JSON value.
    fn dynamic(&mut self, message: &'a MessageType, token: Token, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let (number, at) = (
            match token {
                Token::Null => 1,
                Token::Number => 2,
                Token::String => 3,
                Token::Bool => 4,
                Token::Object => 5,
                Token::Array => 6,
            },
            self.reader.position(),
        );
        let Some(place) = message.by_number(number) else {
            return Err(self.fault(at, "is not a valid google.protobuf.Value"));
        };
        let kind = message.fields[place].kind;
        wire::put_tag(out, number, kind.wire());
        self.value(kind, token, out)
    }

    /// Decodes `google.protobuf.Struct`: an object with any members, encoded as a map.
    fn members(&mut self, message: &'a MessageType, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let Some(fields) = message.fields.first() else { return Ok(()) };
        self.map(fields, FieldKind::String, out)
    }

    /// Decodes `google.protobuf.Any`. `@type` may be anywhere in the object, so it is searched first.
    fn any(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let at = self.reader.position();
        let Some(url) = self.type_url()? else {
            self.reader.open_object()?;
            return match self.reader.member(&mut true)? {
                None => Ok(()),
                Some(_) => Err(self.fault(at, "an Any needs @type, unless it is empty")),
            };
        };
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(id) = self.types.find(name) else {
            return Err(self.fault(at, format!("@type {url:?} is not a known message type")));
        };
        wire::put_tag(out, 1, WireType::Bytes);
        wire::put_bytes(out, url.as_bytes());
        let inner = self.types.message(id);
        if inner.special.is_none() {
            wire::put_tag(out, 2, WireType::Bytes);
            return wire::put_sized(out, |out| self.object(inner, true, out));
        }
        self.reader.open_object()?;
        let (mut first, mut found) = (true, false);
        while let Some(name) = self.reader.member(&mut first)? {
            match name.as_ref() {
                "@type" => drop(self.reader.skip()?),
                "value" if !found => {
                    found = true;
                    wire::put_tag(out, 2, WireType::Bytes);
                    self.path.push(Step::Member(name));
                    wire::put_sized(out, |out| self.message(id, out))?;
                    self.path.pop();
                }
                _ => {
                    return Err(self.fault(
                        self.reader.member_position(),
                        format!("{} in an Any has only the members @type and value, once each", inner.name),
                    ));
                }
            }
        }
        // An `Empty` needs no value.
        if found || inner.special == Some(WellKnownType::Empty) { Ok(()) } else { Err(self.fault(at, "has no value")) }
    }

    fn type_url(&mut self) -> Result<Option<String>, JsonError> {
        let mut ahead = self.reader.clone();
        ahead.open_object()?;
        let (mut first, mut url) = (true, None);
        while let Some(name) = ahead.member(&mut first)? {
            if name != "@type" {
                ahead.skip()?;
                continue;
            }
            if url.is_some() {
                return Err(self.fault(ahead.member_position(), "@type appears twice"));
            }
            url = Some(ahead.string()?.into_owned());
        }
        Ok(url)
    }
}
