//! Decodes JSON to protobuf.

use std::{borrow::Cow, collections::HashSet, fmt::Write as _};

use super::{JsonError, JsonReader, JsonText, Token};
use crate::{
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageType, MessageTypes, WellKnownType},
    scalar,
    wire::{self, WireType},
};
use prism_call::Error;

/// Decodes a JSON text and appends the message.
pub fn decode<'a>(types: &'a MessageTypes, message: MessageId, json: impl Into<JsonText<'a>>, out: &mut Vec<u8>) -> Result<(), Error> {
    run(types, json.into(), None, |decoder| decoder.message(message, out))
}

/// Decodes a JSON text as the value of a field and appends the field. Adds the proto paths of what the text sets to `mask`, relative to the
/// field.
pub fn decode_field<'a>(
    types: &'a MessageTypes,
    field: &'a Field,
    json: impl Into<JsonText<'a>>,
    out: &mut Vec<u8>,
    mask: Option<&mut Vec<String>>,
) -> Result<(), Error> {
    run(types, json.into(), mask, |decoder| {
        decoder.path.push(Step::Member(Cow::Owned(field.json_name.clone())));
        decoder.field(field, out).map(drop)
    })
}

fn run<'a>(
    types: &'a MessageTypes,
    json: JsonText<'a>,
    mask: Option<&mut Vec<String>>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<(), JsonError>,
) -> Result<(), Error> {
    let text = std::str::from_utf8(json.bytes)
        .map_err(|error| JsonError::syntax(error.valid_up_to(), "the text is not UTF-8").into_error(json))?;
    let masking = mask.is_some().then(Mask::default);
    let path = json.origin.index.map(Step::Index).into_iter().collect();
    let mut decoder = Decoder { types, reader: JsonReader::new(text), path, mask: masking };
    read(&mut decoder).and_then(|()| decoder.reader.end()).map_err(|fault| fault.into_error(json))?;
    if let (Some(mask), Some(found)) = (mask, decoder.mask) {
        mask.extend(found.paths);
    }
    Ok(())
}

/// A step from a JSON value to a value in it.
pub(super) enum Step<'a> {
    Member(Cow<'a, str>),
    Key(Cow<'a, str>),
    Index(usize),
}

#[derive(Default)]
struct Mask {
    paths: Vec<String>,
    /// The path of the field that is being decoded.
    at: Vec<String>,
    paused: bool,
}

pub(super) struct Decoder<'a> {
    pub(super) types: &'a MessageTypes,
    pub(super) reader: JsonReader<'a>,
    pub(super) path: Vec<Step<'a>>,
    mask: Option<Mask>,
}

/// The fields of an object that have been read, to find duplicates.
#[derive(Default)]
struct Seen {
    low: u64,
    high: Vec<usize>,
    oneofs: Vec<(usize, usize)>,
}

impl Seen {
    fn insert(&mut self, place: usize) -> bool {
        if place < 64 {
            let fresh = self.low & 1 << place == 0;
            self.low |= 1 << place;
            fresh
        } else {
            let fresh = !self.high.contains(&place);
            self.high.push(place);
            fresh
        }
    }
}

impl<'a> Decoder<'a> {
    /// Builds the error for a value of the current field.
    pub(super) fn fault(&self, at: usize, description: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError::value(at, self.field_path(), description)
    }

    fn field_path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            // Writing to a string does not fail.
            let _ = match step {
                Step::Member(name) if path.is_empty() => write!(path, "{name}"),
                Step::Member(name) => write!(path, ".{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) => write!(path, "[{}]", serde_json::Value::from(key.as_ref())),
            };
        }
        path
    }

    /// Decodes a message, without its length.
    pub(super) fn message(&mut self, id: MessageId, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let message = self.types.message(id);
        match message.special {
            Some(special) => self.special(special, message, out),
            None => self.object(message, false, out),
        }
    }

    /// Decodes an object with the fields of a message. In an `Any`, the object also has the member `@type`.
    pub(super) fn object(&mut self, message: &'a MessageType, in_any: bool, out: &mut Vec<u8>) -> Result<(), JsonError> {
        if self.reader.peek()? != Token::Object {
            return Err(self.fault(self.reader.position(), format!("must be an object ({})", message.name)));
        }
        self.reader.open_object()?;
        let (mut first, mut seen) = (true, Seen::default());
        while let Some(name) = self.reader.member(&mut first)? {
            if in_any && name == "@type" {
                self.reader.skip()?;
                continue;
            }
            let at = self.reader.member_position();
            let found = message.by_name(&name);
            self.path.push(Step::Member(name));
            let Some(place) = found else {
                return Err(self.fault(at, unknown_field(message)));
            };
            if !seen.insert(place) {
                return Err(self.fault(at, "appears twice"));
            }
            let field = &message.fields[place];
            if self.field(field, out)? {
                if let Some(other) = seen.oneofs.iter().find(|(oneof, _)| Some(*oneof) == field.oneof) {
                    return Err(self.fault(at, format!("can't be set together with {}", message.fields[other.1].json_name)));
                }
                seen.oneofs.extend(field.oneof.map(|oneof| (oneof, place)));
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Decodes a field with its tag. Returns `false` if it is null, which means that it is not set.
    fn field(&mut self, field: &'a Field, out: &mut Vec<u8>) -> Result<bool, JsonError> {
        let token = self.reader.peek()?;
        let entered = self.enter_mask(field, token);
        let set = if token == Token::Null && !(matches!(field.shape, FieldShape::Singular { .. }) && self.takes_null(field.kind)) {
            self.reader.null()?;
            false
        } else {
            match field.shape {
                FieldShape::Singular { .. } => {
                    wire::put_tag(out, field.number, field.kind.wire());
                    self.value(field.kind, token, out)?;
                }
                FieldShape::Repeated => self.repeated(field, out)?,
                FieldShape::Map(key) => self.map(field, key, out)?,
            }
            true
        };
        self.leave_mask(entered);
        Ok(set)
    }

    /// Enters a field for the mask: a message whose fields the mask can name, or a field as a whole. Returns what to do on leaving.
    fn enter_mask(&mut self, field: &Field, token: Token) -> Option<usize> {
        let inner = matches!(field.shape, FieldShape::Singular { .. })
            && matches!(field.kind, FieldKind::Message(id) if self.types.message(id).special.is_none())
            && token == Token::Object;
        let body = self.path.len() == 1 && self.mask.as_ref().is_some_and(|mask| mask.at.is_empty() && mask.paths.is_empty());
        let mask = self.mask.as_mut().filter(|mask| !mask.paused)?;
        // The first field is the body itself. Paths are relative to it.
        if body && inner {
            return None;
        }
        mask.at.push(field.name.clone());
        if !inner {
            mask.paused = true;
        }
        Some(mask.paths.len())
    }

    fn leave_mask(&mut self, entered: Option<usize>) {
        if let (Some(mask), Some(before)) = (&mut self.mask, entered) {
            mask.paused = false;
            // A nested message without members is named as a whole.
            if mask.paths.len() == before {
                mask.paths.push(mask.at.join("."));
            }
            mask.at.pop();
        }
    }

    fn takes_null(&self, kind: FieldKind) -> bool {
        match kind {
            FieldKind::Enum(id) => self.types.enumeration(id).null,
            _ => self.types.special(kind) == Some(WellKnownType::Value),
        }
    }

    fn repeated(&mut self, field: &'a Field, out: &mut Vec<u8>) -> Result<(), JsonError> {
        if self.reader.peek()? != Token::Array {
            return Err(self.fault(self.reader.position(), "must be a list"));
        }
        if field.kind.wire() == WireType::Bytes {
            return self.elements(field.kind, out, |out| wire::put_tag(out, field.number, WireType::Bytes));
        }
        wire::put_tag(out, field.number, WireType::Bytes);
        wire::put_sized(out, |out| self.elements(field.kind, out, |_| ()))
    }

    /// Decodes the elements of a list. Calls `before` before each of them.
    pub(super) fn elements(&mut self, kind: FieldKind, out: &mut Vec<u8>, before: impl Fn(&mut Vec<u8>)) -> Result<(), JsonError> {
        self.reader.open_array()?;
        let (mut first, mut index) = (true, 0);
        while self.reader.element(&mut first)? {
            self.path.push(Step::Index(index));
            let token = self.reader.peek()?;
            before(out);
            self.value(kind, token, out)?;
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    pub(super) fn map(&mut self, field: &'a Field, key: FieldKind, out: &mut Vec<u8>) -> Result<(), JsonError> {
        if self.reader.peek()? != Token::Object {
            return Err(self.fault(self.reader.position(), "must be an object"));
        }
        self.reader.open_object()?;
        let (mut first, mut seen) = (true, HashSet::new());
        while let Some(name) = self.reader.member(&mut first)? {
            let at = self.reader.member_position();
            let mut encoded = Vec::with_capacity(name.len() + 2);
            let read = scalar::put(self.types, key, &name, &mut encoded);
            self.path.push(Step::Key(name));
            read.map_err(|refusal| self.fault(at, format!("the key {refusal}")))?;
            wire::put_tag(out, field.number, WireType::Bytes);
            wire::put_sized(out, |out| {
                wire::put_tag(out, 1, key.wire());
                out.extend_from_slice(&encoded);
                wire::put_tag(out, 2, field.kind.wire());
                let token = self.reader.peek()?;
                self.value(field.kind, token, out)
            })?;
            if !seen.insert(encoded) {
                return Err(self.fault(at, "appears twice"));
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Decodes a value, without its tag.
    pub(super) fn value(&mut self, kind: FieldKind, token: Token, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let at = self.reader.position();
        match (kind, token) {
            (FieldKind::Message(id), _) => return wire::put_sized(out, |out| self.message(id, out)),
            (FieldKind::String, Token::String) => {
                let text = self.reader.string()?;
                wire::put_bytes(out, text.as_bytes());
            }
            (FieldKind::Bool, Token::Bool) => out.push(u8::from(self.reader.boolean()?)),
            (FieldKind::Enum(id), Token::String) => {
                let name = self.reader.string()?;
                let number = self.types.enumeration(id).number(&name);
                let number = number.ok_or_else(|| self.fault(at, scalar::unknown_enum(self.types, kind, &name)))?;
                wire::put_varint(out, wire::signed(number.into()));
            }
            (FieldKind::Enum(_), Token::Null) if self.takes_null(kind) => {
                self.reader.null()?;
                out.push(0);
            }
            (FieldKind::Enum(_), Token::Number) => {
                let text = self.reader.number()?;
                scalar::put(self.types, FieldKind::Int32, text, out).map_err(|refusal| self.fault(at, refusal))?;
            }
            (FieldKind::Bytes, Token::String) => self.quoted(kind, at, out)?,
            (FieldKind::String | FieldKind::Bytes | FieldKind::Bool | FieldKind::Enum(_), _) => return Err(self.fault(at, expected(kind))),
            (_, Token::Number) => {
                let text = self.reader.number()?;
                scalar::put(self.types, kind, text, out).map_err(|refusal| self.fault(at, refusal))?;
            }
            (_, Token::String) => self.quoted(kind, at, out)?,
            _ => return Err(self.fault(at, expected(kind))),
        }
        Ok(())
    }

    fn quoted(&mut self, kind: FieldKind, at: usize, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let text = self.reader.string()?;
        scalar::put(self.types, kind, &text, out).map_err(|refusal| self.fault(at, refusal))
    }
}

fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::String => "must be a string",
        FieldKind::Bytes => "must be a base64 string",
        FieldKind::Bool => "must be true or false",
        FieldKind::Enum(_) => "must be the name or the number of an enum value",
        FieldKind::Message(_) => "must be an object",
        _ => "must be a number",
    }
}

fn unknown_field(message: &MessageType) -> String {
    let names: Vec<&str> = message.fields.iter().take(30).map(|field| field.json_name.as_str()).collect();
    match names.as_slice() {
        [] => format!("is not a field of {}, which has no fields", message.name),
        _ => format!("is not a field of {}; its fields are {}", message.name, names.join(", ")),
    }
}
