//! The well-known types that have a JSON form of their own, from JSON.

use super::{
    Fault, Token,
    decode::{Decoder, Step},
};
use crate::{
    scalar,
    schema::{Kind, Message, Special},
    wire::{self, WireType},
};

impl<'a> Decoder<'a> {
    /// The content of a well-known message.
    pub(super) fn special(&mut self, special: Special, message: &'a Message, out: &mut Vec<u8>) -> Result<(), Fault> {
        let token = self.reader.peek()?;
        let at = self.reader.position();
        match (special, token) {
            (Special::Timestamp | Special::Duration | Special::FieldMask, Token::String) => {
                let text = self.reader.string()?;
                scalar::put_message(self.schema, message, &text, out).map_err(|refusal| self.fault(at, refusal))
            }
            (Special::Wrapper, _) => {
                let Some(value) = message.fields.first() else { return Ok(()) };
                wire::put_tag(out, value.number, value.kind.wire());
                self.value(value.kind, token, out)
            }
            (Special::Value, _) => self.dynamic(message, token, out),
            (Special::Struct, Token::Object) => self.members(message, out),
            (Special::ListValue, Token::Array) => {
                let Some(values) = message.fields.first() else { return Ok(()) };
                self.elements(values.kind, out, |out| wire::put_tag(out, values.number, WireType::Bytes))
            }
            (Special::Empty, _) => self.object(message, false, out),
            (Special::Any, Token::Object) => self.any(out),
            (Special::Struct | Special::Any, _) => Err(self.fault(at, "must be an object")),
            (Special::ListValue, _) => Err(self.fault(at, "must be a list")),
            (Special::Timestamp, _) => Err(self.fault(at, "must be a string with a time in RFC 3339 form, as 2026-05-01T12:00:00Z")),
            (Special::Duration, _) => Err(self.fault(at, "must be a string with a duration in seconds, as 1.5s")),
            (Special::FieldMask, _) => Err(self.fault(at, "must be a string with field paths, separated by commas")),
        }
    }

    /// `google.protobuf.Value`: any JSON.
    fn dynamic(&mut self, message: &'a Message, token: Token, out: &mut Vec<u8>) -> Result<(), Fault> {
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
            return Err(self.fault(at, "can't be held by this google.protobuf.Value"));
        };
        let kind = message.fields[place].kind;
        wire::put_tag(out, number, kind.wire());
        self.value(kind, token, out)
    }

    /// `google.protobuf.Struct`: an object of any members, which is a map inside.
    fn members(&mut self, message: &'a Message, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(fields) = message.fields.first() else { return Ok(()) };
        self.map(fields, Kind::String, out)
    }

    /// `google.protobuf.Any`: `@type` may stand anywhere in the object, so it is looked for first.
    fn any(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.reader.position();
        let Some(url) = self.type_url()? else {
            self.reader.open_object()?;
            return match self.reader.member(&mut true)? {
                None => Ok(()),
                Some(_) => Err(self.fault(at, "an Any needs @type, unless it is empty")),
            };
        };
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(id) = self.schema.find(name) else {
            return Err(self.fault(at, format!("@type {url:?} is a type that is not known here")));
        };
        wire::put_tag(out, 1, WireType::Bytes);
        wire::put_bytes(out, url.as_bytes());
        let inner = self.schema.message(id);
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
                    return Err(
                        self.fault(self.reader.member_position(), format!("{} in an Any has only @type and value, once each", inner.name))
                    );
                }
            }
        }
        // An empty message that isn't there is as good as one that is.
        if found || inner.special == Some(Special::Empty) { Ok(()) } else { Err(self.fault(at, "has no value")) }
    }

    fn type_url(&mut self) -> Result<Option<String>, Fault> {
        let mut ahead = self.reader.clone();
        ahead.open_object()?;
        let (mut first, mut url) = (true, None);
        while let Some(name) = ahead.member(&mut first)? {
            if name != "@type" {
                ahead.skip()?;
                continue;
            }
            if url.is_some() {
                return Err(self.fault(ahead.member_position(), "@type stands twice"));
            }
            url = Some(ahead.string()?.into_owned());
        }
        Ok(url)
    }
}
