//! Encodes protobuf as JSON.

use std::{borrow::Cow, collections::HashMap, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{JsonStyle, MAX_DEPTH, ZeroValues};
use crate::{
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageType, MessageTypes},
    wire::{self, Fields, Malformed, WireType, WireValue},
};
use prism_call::{Error, StreamMessage};

/// Appends a message as JSON. Omits unknown fields.
pub fn encode(types: &MessageTypes, message: MessageId, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    Encoder { types, depth: 0, style: JsonStyle::default() }
        .message(message, bytes, out)
        .map_err(|Malformed| broken(&types.message(message).name))
}

/// Like [`encode`], for a message of a stream of replies. If several streams deliver it, its JSON is made once.
pub fn encode_streamed(types: &MessageTypes, id: MessageId, message: &StreamMessage, out: &mut Vec<u8>) -> Result<(), Error> {
    let json = message.shared_json(|bytes| {
        let mut json = Vec::with_capacity(bytes.len() * 2);
        encode(types, id, bytes, &mut json).map(|()| json)
    });
    match json {
        Some(json) => {
            out.extend_from_slice(json);
            Ok(())
        }
        // It belongs to one stream, or this attempt has the error for this stream.
        None => encode(types, id, message, out),
    }
}

/// Appends one field of a message as JSON. If it is not set, appends its zero value, or `null` if it has presence.
pub fn encode_field(types: &MessageTypes, message: MessageId, field: &Field, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    encode_field_as(types, message, field, bytes, JsonStyle::default(), out)
}

/// Like [`encode_field`], with a style.
pub fn encode_field_as(
    types: &MessageTypes,
    message: MessageId,
    field: &Field,
    bytes: &[u8],
    style: JsonStyle,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let known = types.message(message);
    let mut encoder = Encoder { types, depth: 0, style };
    let written = occurrences_of(known, field, bytes).and_then(|found| {
        match field.shape {
            FieldShape::Singular { presence: true } if found.is_empty() => out.extend_from_slice(b"null"),
            _ => encoder.field(field, &found, out)?,
        }
        Ok(())
    });
    written.map_err(|Malformed| broken(&known.name))
}

/// Like [`encode`], with a style.
pub fn encode_value_as(types: &MessageTypes, message: MessageId, bytes: &[u8], style: JsonStyle, out: &mut Vec<u8>) -> Result<(), Error> {
    Encoder { types, depth: 0, style }.message(message, bytes, out).map_err(|Malformed| broken(&types.message(message).name))
}

/// Appends a scalar value; `None`: its zero value.
pub fn encode_scalar(
    types: &MessageTypes,
    kind: FieldKind,
    value: Option<WireValue<'_>>,
    style: JsonStyle,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    Encoder { types, depth: 0, style }.value(kind, value.unwrap_or(zero(kind)), out)
}

fn broken(name: &str) -> Error {
    Error::internal(format!("the reply is not a message of its type {name}"))
}

/// The index of a field in its message type, and one of its values.
pub type Occurrence<'b> = (usize, WireValue<'b>);

pub(super) struct Encoder<'s> {
    pub(super) types: &'s MessageTypes,
    depth: usize,
    style: JsonStyle,
}

/// Returns the values of the known fields of a message, ordered by field, then in wire order.
pub(crate) fn occurrences<'b>(message: &MessageType, bytes: &'b [u8]) -> Result<Vec<Occurrence<'b>>, Malformed> {
    let mut found: Vec<Occurrence<'b>> = Vec::with_capacity(message.fields.len());
    let (mut fields, mut sorted) = (Fields::of(bytes), true);
    while let Some((number, value)) = fields.field()? {
        let Some(place) = message.by_number(number) else { continue };
        let field = &message.fields[place];
        if !fits(field, value) {
            continue;
        }
        if field.oneof.is_some() {
            // The last field of a oneof wins; the others are dropped.
            found.retain(|(other, _)| *other == place || message.fields[*other].oneof != field.oneof);
        }
        sorted &= found.last().is_none_or(|(last, _)| *last <= place);
        found.push((place, value));
    }
    if !sorted {
        found.sort_by_key(|(place, _)| *place);
    }
    Ok(found)
}

/// Returns the values of one field in wire order.
pub fn occurrences_of<'b>(message: &MessageType, field: &Field, bytes: &'b [u8]) -> Result<Vec<Occurrence<'b>>, Malformed> {
    let Some(place) = message.by_number(field.number) else { return Ok(Vec::new()) };
    if field.oneof.is_some() {
        // A later field of the same oneof clears it.
        let mut found = occurrences(message, bytes)?;
        found.retain(|(other, _)| *other == place);
        return Ok(found);
    }
    let (mut found, mut fields) = (Vec::new(), Fields::of(bytes));
    while let Some((number, value)) = fields.field()? {
        if number == field.number && fits(field, value) {
            found.push((place, value));
        }
    }
    Ok(found)
}

/// Whether a value has the wire type of its field. Parsers treat other wire types as an unknown field.
pub(crate) fn fits(field: &Field, value: WireValue<'_>) -> bool {
    let wire = match value {
        WireValue::Varint(_) => WireType::Varint,
        WireValue::Fixed64(_) => WireType::Fixed64,
        WireValue::Fixed32(_) => WireType::Fixed32,
        WireValue::Bytes(_) => WireType::Bytes,
    };
    match field.shape {
        FieldShape::Map(_) => wire == WireType::Bytes,
        FieldShape::Repeated => wire == field.kind.wire() || wire == WireType::Bytes,
        FieldShape::Singular { .. } => wire == field.kind.wire(),
    }
}

impl Encoder<'_> {
    pub(super) fn message(&mut self, id: MessageId, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        let types = self.types;
        let message = types.message(id);
        if let Some(special) = message.special {
            self.special(special, message, bytes, out)?;
        } else {
            out.push(b'{');
            self.members(message, bytes, out)?;
            out.push(b'}');
        }
        self.depth -= 1;
        Ok(())
    }

    /// Appends the members of an object, without its braces.
    pub(super) fn members(&mut self, message: &MessageType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let found = occurrences(message, bytes)?;
        let mut rest = found.as_slice();
        let start = out.len();
        for (place, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(other, _)| *other == place).count();
            let (own, behind) = rest.split_at(count);
            rest = behind;
            if own.is_empty() && (self.style.zeros != ZeroValues::Keep || field.shape == (FieldShape::Singular { presence: true })) {
                continue;
            }
            if self.style.zeros != ZeroValues::Keep
                && field.shape == (FieldShape::Singular { presence: false })
                && own.last().is_some_and(|(_, value)| *value == zero(field.kind))
            {
                continue;
            }
            if out.len() > start {
                out.push(b',');
            }
            if self.style.proto_names {
                put_string(&field.name, out);
                out.push(b':');
            } else {
                out.extend_from_slice(field.json_key.as_bytes());
            }
            self.field(field, own, out)?;
        }
        Ok(())
    }

    /// Appends the value of a field, given all its occurrences.
    fn field(&mut self, field: &Field, found: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (field.shape, field.kind) {
            (FieldShape::Singular { .. }, FieldKind::Message(id)) => self.message(id, &merged(found), out),
            (FieldShape::Singular { .. }, kind) => {
                let zero = zero(kind);
                self.value(kind, found.last().map_or(zero, |(_, value)| *value), out)
            }
            (FieldShape::Repeated, kind) => {
                out.push(b'[');
                let start = out.len();
                for (_, value) in found {
                    self.elements(kind, *value, start, out)?;
                }
                out.push(b']');
                Ok(())
            }
            (FieldShape::Map(key), kind) => self.map(key, kind, found, out),
        }
    }

    /// Appends one element of a repeated field, or several packed elements.
    fn elements(&mut self, kind: FieldKind, value: WireValue<'_>, start: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let comma = |out: &mut Vec<u8>| {
            if out.len() > start {
                out.push(b',');
            }
        };
        let (WireValue::Bytes(mut packed), false) = (value, kind.wire() == WireType::Bytes) else {
            comma(out);
            return self.value(kind, value, out);
        };
        while !packed.is_empty() {
            let value = match kind.wire() {
                WireType::Fixed64 => WireValue::Fixed64(wire::fixed64(&mut packed)?),
                WireType::Fixed32 => WireValue::Fixed32(wire::fixed32(&mut packed)?),
                _ => WireValue::Varint(wire::varint(&mut packed)?),
            };
            comma(out);
            self.value(kind, value, out)?;
        }
        Ok(())
    }

    pub(super) fn map(&mut self, key: FieldKind, kind: FieldKind, found: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut entries: Vec<(Vec<u8>, WireValue<'_>)> = Vec::with_capacity(found.len());
        let mut known = HashMap::with_capacity(found.len());
        for (_, entry) in found {
            let WireValue::Bytes(entry) = entry else { return Err(Malformed) };
            let name = wire::last(entry, 1)?.unwrap_or(zero(key));
            let value = wire::last(entry, 2)?.unwrap_or(zero(kind));
            let mut written = Vec::new();
            // JSON keys are strings, so numbers and booleans are quoted.
            let quoted = matches!(key, FieldKind::String)
                || !self.style.numbers
                    && matches!(key, FieldKind::Uint64 | FieldKind::Int64 | FieldKind::Sint64 | FieldKind::Fixed64 | FieldKind::Sfixed64);
            if !quoted {
                written.push(b'"');
            }
            self.value(key, name, &mut written)?;
            if !quoted {
                written.push(b'"');
            }
            // The last entry of a key wins.
            if let Some(place) = known.get(&written).copied() {
                let place: usize = place;
                entries[place].1 = value;
            } else {
                known.insert(written.clone(), entries.len());
                entries.push((written, value));
            }
        }
        out.push(b'{');
        for (index, (name, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            self.value(kind, *value, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    pub(super) fn value(&mut self, kind: FieldKind, value: WireValue<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (kind, value) {
            (FieldKind::Double, WireValue::Fixed64(bits)) => put_double(f64::from_bits(bits), out),
            (FieldKind::Float, WireValue::Fixed32(bits)) => put_float(f32::from_bits(bits), out),
            (FieldKind::Int32, WireValue::Varint(bits)) => put(out, format_args!("{}", wire::low32_signed(bits))),
            (FieldKind::Sfixed32, WireValue::Fixed32(bits)) => put(out, format_args!("{}", wire::low32_signed(bits.into()))),
            (FieldKind::Sint32, WireValue::Varint(bits)) => put(out, format_args!("{}", wire::unzigzag(u64::from(wire::low32(bits))))),
            (FieldKind::Uint32, WireValue::Varint(bits)) => put(out, format_args!("{}", wire::low32(bits))),
            (FieldKind::Fixed32, WireValue::Fixed32(bits)) => put(out, format_args!("{bits}")),
            (FieldKind::Int64, WireValue::Varint(bits)) | (FieldKind::Sfixed64, WireValue::Fixed64(bits)) if self.style.numbers => {
                put(out, format_args!("{}", wire::unsigned(bits)));
            }
            (FieldKind::Sint64, WireValue::Varint(bits)) if self.style.numbers => put(out, format_args!("{}", wire::unzigzag(bits))),
            (FieldKind::Uint64, WireValue::Varint(bits)) | (FieldKind::Fixed64, WireValue::Fixed64(bits)) if self.style.numbers => {
                put(out, format_args!("{bits}"));
            }
            // 64-bit integers are strings, because JavaScript numbers are exact only up to 2^53.
            (FieldKind::Int64, WireValue::Varint(bits)) | (FieldKind::Sfixed64, WireValue::Fixed64(bits)) => {
                put(out, format_args!("\"{}\"", wire::unsigned(bits)));
            }
            (FieldKind::Sint64, WireValue::Varint(bits)) => put(out, format_args!("\"{}\"", wire::unzigzag(bits))),
            (FieldKind::Uint64, WireValue::Varint(bits)) | (FieldKind::Fixed64, WireValue::Fixed64(bits)) => {
                put(out, format_args!("\"{bits}\""));
            }
            (FieldKind::Bool, WireValue::Varint(bits)) => out.extend_from_slice(if bits == 0 { b"false" } else { b"true" }),
            (FieldKind::Enum(id), WireValue::Varint(bits)) => {
                let (number, known) = (wire::low32_signed(bits), self.types.enumeration(id));
                match known.value_name(number) {
                    _ if known.null => out.extend_from_slice(b"null"),
                    Some(name) => put_string(name, out),
                    None => put(out, format_args!("{number}")),
                }
            }
            (FieldKind::String, WireValue::Bytes(bytes)) => put_string(std::str::from_utf8(bytes).map_err(|_| Malformed)?, out),
            (FieldKind::Bytes, WireValue::Bytes(bytes)) => put_base64(bytes, out),
            (FieldKind::Message(id), WireValue::Bytes(bytes)) => self.message(id, bytes, out)?,
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// Merges the occurrences of a message by concatenating their bytes.
pub fn merged<'b>(found: &[Occurrence<'b>]) -> Cow<'b, [u8]> {
    let bytes = |value: &WireValue<'b>| if let WireValue::Bytes(bytes) = *value { bytes } else { &[] };
    match found {
        [] => Cow::Borrowed(&[]),
        [(_, one)] => Cow::Borrowed(bytes(one)),
        many => Cow::Owned(many.iter().flat_map(|(_, value)| bytes(value)).copied().collect()),
    }
}

/// Returns the zero value of a type.
pub const fn zero(kind: FieldKind) -> WireValue<'static> {
    match kind.wire() {
        WireType::Varint => WireValue::Varint(0),
        WireType::Fixed64 => WireValue::Fixed64(0),
        WireType::Fixed32 => WireValue::Fixed32(0),
        WireType::Bytes => WireValue::Bytes(&[]),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

fn put_double(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        put(out, format_args!("{value:?}"));
    }
}

fn put_float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        put(out, format_args!("{value:?}"));
    } else {
        put_double(value.into(), out);
    }
}

pub(super) fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The buffer has the size of base64 with padding, so this does not fail.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Number of bytes of a string that are checked together.
const CHUNK: usize = 64;
/// The hexadecimal digits in escapes.
const NUMBERED: u8 = 0x80;
/// For each byte: its escaped form, and the length of that form.
const WRITTEN: [([u8; 2], u8); 256] = written();

#[expect(clippy::cast_possible_truncation, reason = "the indices of a table of 256 are bytes")]
const fn written() -> [([u8; 2], u8); 256] {
    let mut table = [([0; 2], 1); 256];
    let mut place = 0;
    while place < 256 {
        let byte = place as u8;
        table[place] = match byte {
            b'\n' => ([b'\\', b'n'], 2),
            b'\r' => ([b'\\', b'r'], 2),
            b'\t' => ([b'\\', b't'], 2),
            0..=0x1f => ([b'\\', b'u'], 2 | NUMBERED),
            b'"' | b'\\' => ([b'\\', byte], 2),
            _ => ([byte, 0], 1),
        };
        place += 1;
    }
    table
}

/// Appends a string in quotes (RFC 8259, section 7).
///
/// Texts with many quotes, such as schemas, are common, so the loop does not branch on single bytes.
pub fn put_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    // The remainder below shows the compiler that no index is out of bounds.
    let mut buffer = [0; 2 * CHUNK + 1];
    for chunk in text.as_bytes().chunks(CHUNK) {
        if !chunk.iter().fold(false, |found, byte| found | is_escaped(*byte)) {
            out.extend_from_slice(chunk);
            continue;
        }
        let (mut end, mut lengths) = (0, 0);
        for byte in chunk {
            let (written, length) = WRITTEN[usize::from(*byte)];
            let at = end % (2 * CHUNK);
            buffer[at..at + 2].copy_from_slice(&written);
            end += usize::from(length & !NUMBERED);
            lengths |= length;
        }
        if lengths & NUMBERED == 0 {
            out.extend_from_slice(&buffer[..end]);
        } else {
            for byte in chunk {
                put_escaped(*byte, out);
            }
        }
    }
    out.push(b'"');
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\')
}

fn put_escaped(byte: u8, out: &mut Vec<u8>) {
    let (written, length) = WRITTEN[usize::from(byte)];
    match length {
        1 => out.push(byte),
        2 => out.extend_from_slice(&written),
        _ => put(out, format_args!("\\u{byte:04x}")),
    }
}
