//! Protobuf to JSON.

use std::{borrow::Cow, collections::HashMap, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{MAX_DEPTH, Style, Zeros};
use crate::{
    schema::{Field, Kind, Message, MessageId, Schema, Shape},
    wire::{self, Fields, Malformed, Value, WireType},
};
use prism_call::Error;

/// Appends a message as JSON. What the type does not know is left out.
pub fn encode(schema: &Schema, message: MessageId, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    Encoder { schema, depth: 0, style: Style::default() }
        .message(message, bytes, out)
        .map_err(|Malformed| broken(&schema.message(message).name))
}

/// Appends one field of a message as JSON: its zero value, or null where it has presence, if it is not set.
pub fn encode_field(schema: &Schema, message: MessageId, field: &Field, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    encode_field_as(schema, message, field, bytes, Style::default(), out)
}

/// The same as [`encode_field`] in another style.
pub fn encode_field_as(
    schema: &Schema,
    message: MessageId,
    field: &Field,
    bytes: &[u8],
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let known = schema.message(message);
    let mut encoder = Encoder { schema, depth: 0, style };
    let written = occurrences_of(known, field, bytes).and_then(|found| {
        match field.shape {
            Shape::Singular { presence: true } if found.is_empty() => out.extend_from_slice(b"null"),
            _ => encoder.field(field, &found, out)?,
        }
        Ok(())
    });
    written.map_err(|Malformed| broken(&known.name))
}

/// Appends a message in another style than that of [`encode`].
pub fn encode_value_as(schema: &Schema, message: MessageId, bytes: &[u8], style: Style, out: &mut Vec<u8>) -> Result<(), Error> {
    Encoder { schema, depth: 0, style }.message(message, bytes, out).map_err(|Malformed| broken(&schema.message(message).name))
}

/// Appends one value that is no message; none: its zero value.
pub fn encode_scalar(schema: &Schema, kind: Kind, value: Option<Value<'_>>, style: Style, out: &mut Vec<u8>) -> Result<(), Malformed> {
    Encoder { schema, depth: 0, style }.value(kind, value.unwrap_or(zero(kind)), out)
}

fn broken(name: &str) -> Error {
    Error::internal(format!("the reply is not a message of its type {name}"))
}

/// A field's place in its message, and one of its values.
pub(crate) type Occurrence<'b> = (usize, Value<'b>);

pub(super) struct Encoder<'s> {
    pub(super) schema: &'s Schema,
    depth: usize,
    style: Style,
}

/// The known values of a message, ordered by field, and within a field as they lie on the wire.
pub(crate) fn occurrences<'b>(message: &Message, bytes: &'b [u8]) -> Result<Vec<Occurrence<'b>>, Malformed> {
    let mut found: Vec<Occurrence<'b>> = Vec::with_capacity(message.fields.len());
    let (mut fields, mut sorted) = (Fields::of(bytes), true);
    while let Some((number, value)) = fields.field()? {
        let Some(place) = message.by_number(number) else { continue };
        let field = &message.fields[place];
        if !fits(field, value) {
            continue;
        }
        if field.oneof.is_some() {
            // Of a oneof the last one counts; the others must go.
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

/// The values of one field, as they lie on the wire.
fn occurrences_of<'b>(message: &Message, field: &Field, bytes: &'b [u8]) -> Result<Vec<Occurrence<'b>>, Malformed> {
    let Some(place) = message.by_number(field.number) else { return Ok(Vec::new()) };
    if field.oneof.is_some() {
        // Another one of its oneof may have put it out.
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

/// Whether a value is framed as its field asks; otherwise parsers take it for an unknown field.
pub(crate) fn fits(field: &Field, value: Value<'_>) -> bool {
    let wire = match value {
        Value::Varint(_) => WireType::Varint,
        Value::Fixed64(_) => WireType::Fixed64,
        Value::Fixed32(_) => WireType::Fixed32,
        Value::Bytes(_) => WireType::Bytes,
    };
    match field.shape {
        Shape::Map(_) => wire == WireType::Bytes,
        Shape::Repeated => wire == field.kind.wire() || wire == WireType::Bytes,
        Shape::Singular { .. } => wire == field.kind.wire(),
    }
}

impl Encoder<'_> {
    pub(super) fn message(&mut self, id: MessageId, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        let schema = self.schema;
        let message = schema.message(id);
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

    /// The members of an object, without its braces.
    pub(super) fn members(&mut self, message: &Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let found = occurrences(message, bytes)?;
        let mut rest = found.as_slice();
        let start = out.len();
        for (place, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(other, _)| *other == place).count();
            let (own, behind) = rest.split_at(count);
            rest = behind;
            if own.is_empty() && (self.style.zeros != Zeros::Keep || field.shape == (Shape::Singular { presence: true })) {
                continue;
            }
            if self.style.zeros != Zeros::Keep
                && field.shape == (Shape::Singular { presence: false })
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

    /// A field's value from all its occurrences.
    fn field(&mut self, field: &Field, found: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (field.shape, field.kind) {
            (Shape::Singular { .. }, Kind::Message(id)) => self.message(id, &merged(found), out),
            (Shape::Singular { .. }, kind) => {
                let zero = zero(kind);
                self.value(kind, found.last().map_or(zero, |(_, value)| *value), out)
            }
            (Shape::Repeated, kind) => {
                out.push(b'[');
                let start = out.len();
                for (_, value) in found {
                    self.elements(kind, *value, start, out)?;
                }
                out.push(b']');
                Ok(())
            }
            (Shape::Map(key), kind) => self.map(key, kind, found, out),
        }
    }

    /// One element, or packed ones.
    fn elements(&mut self, kind: Kind, value: Value<'_>, start: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let comma = |out: &mut Vec<u8>| {
            if out.len() > start {
                out.push(b',');
            }
        };
        let (Value::Bytes(mut packed), false) = (value, kind.wire() == WireType::Bytes) else {
            comma(out);
            return self.value(kind, value, out);
        };
        while !packed.is_empty() {
            let value = match kind.wire() {
                WireType::Fixed64 => Value::Fixed64(wire::fixed64(&mut packed)?),
                WireType::Fixed32 => Value::Fixed32(wire::fixed32(&mut packed)?),
                _ => Value::Varint(wire::varint(&mut packed)?),
            };
            comma(out);
            self.value(kind, value, out)?;
        }
        Ok(())
    }

    pub(super) fn map(&mut self, key: Kind, kind: Kind, found: &[Occurrence<'_>], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut entries: Vec<(Vec<u8>, Value<'_>)> = Vec::with_capacity(found.len());
        let mut known = HashMap::with_capacity(found.len());
        for (_, entry) in found {
            let Value::Bytes(entry) = entry else { return Err(Malformed) };
            let name = wire::last(entry, 1)?.unwrap_or(zero(key));
            let value = wire::last(entry, 2)?.unwrap_or(zero(kind));
            let mut written = Vec::new();
            // JSON's keys are strings: numbers and booleans are put into quotes.
            let quoted = matches!(key, Kind::String)
                || !self.style.numbers && matches!(key, Kind::Uint64 | Kind::Int64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64);
            if !quoted {
                written.push(b'"');
            }
            self.value(key, name, &mut written)?;
            if !quoted {
                written.push(b'"');
            }
            // Of a key that stands twice, the last one counts.
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

    pub(super) fn value(&mut self, kind: Kind, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (kind, value) {
            (Kind::Double, Value::Fixed64(bits)) => put_double(f64::from_bits(bits), out),
            (Kind::Float, Value::Fixed32(bits)) => put_float(f32::from_bits(bits), out),
            (Kind::Int32, Value::Varint(bits)) => put(out, format_args!("{}", wire::low32_signed(bits))),
            (Kind::Sfixed32, Value::Fixed32(bits)) => put(out, format_args!("{}", wire::low32_signed(bits.into()))),
            (Kind::Sint32, Value::Varint(bits)) => put(out, format_args!("{}", wire::unzigzag(u64::from(wire::low32(bits))))),
            (Kind::Uint32, Value::Varint(bits)) => put(out, format_args!("{}", wire::low32(bits))),
            (Kind::Fixed32, Value::Fixed32(bits)) => put(out, format_args!("{bits}")),
            (Kind::Int64, Value::Varint(bits)) | (Kind::Sfixed64, Value::Fixed64(bits)) if self.style.numbers => {
                put(out, format_args!("{}", wire::unsigned(bits)));
            }
            (Kind::Sint64, Value::Varint(bits)) if self.style.numbers => put(out, format_args!("{}", wire::unzigzag(bits))),
            (Kind::Uint64, Value::Varint(bits)) | (Kind::Fixed64, Value::Fixed64(bits)) if self.style.numbers => {
                put(out, format_args!("{bits}"));
            }
            // 64-bit integers are strings, since JavaScript's numbers end at 2^53.
            (Kind::Int64, Value::Varint(bits)) | (Kind::Sfixed64, Value::Fixed64(bits)) => {
                put(out, format_args!("\"{}\"", wire::unsigned(bits)));
            }
            (Kind::Sint64, Value::Varint(bits)) => put(out, format_args!("\"{}\"", wire::unzigzag(bits))),
            (Kind::Uint64, Value::Varint(bits)) | (Kind::Fixed64, Value::Fixed64(bits)) => put(out, format_args!("\"{bits}\"")),
            (Kind::Bool, Value::Varint(bits)) => out.extend_from_slice(if bits == 0 { b"false" } else { b"true" }),
            (Kind::Enum(id), Value::Varint(bits)) => {
                let (number, known) = (wire::low32_signed(bits), self.schema.enumeration(id));
                match known.value_name(number) {
                    _ if known.null => out.extend_from_slice(b"null"),
                    Some(name) => put_string(name, out),
                    None => put(out, format_args!("{number}")),
                }
            }
            (Kind::String, Value::Bytes(bytes)) => put_string(std::str::from_utf8(bytes).map_err(|_| Malformed)?, out),
            (Kind::Bytes, Value::Bytes(bytes)) => put_base64(bytes, out),
            (Kind::Message(id), Value::Bytes(bytes)) => self.message(id, bytes, out)?,
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// Occurrences of one message are merged, which is putting their bytes behind each other.
pub(crate) fn merged<'b>(found: &[Occurrence<'b>]) -> Cow<'b, [u8]> {
    let bytes = |value: &Value<'b>| if let Value::Bytes(bytes) = *value { bytes } else { &[] };
    match found {
        [] => Cow::Borrowed(&[]),
        [(_, one)] => Cow::Borrowed(bytes(one)),
        many => Cow::Owned(many.iter().flat_map(|(_, value)| bytes(value)).copied().collect()),
    }
}

pub(crate) const fn zero(kind: Kind) -> Value<'static> {
    match kind.wire() {
        WireType::Varint => Value::Varint(0),
        WireType::Fixed64 => Value::Fixed64(0),
        WireType::Fixed32 => Value::Fixed32(0),
        WireType::Bytes => Value::Bytes(&[]),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
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
    // The room is what base64 with padding takes, so there is nothing that could fail.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Bytes of a string that are looked at together.
const CHUNK: usize = 64;
/// The number of a byte stands in its escape.
const NUMBERED: u8 = 0x80;
/// What stands for each byte in a string, and how many bytes of that do.
const WRITTEN: [([u8; 2], u8); 256] = written();

#[expect(clippy::cast_possible_truncation, reason = "the places of 256 bytes are bytes")]
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
/// Texts with quotes at every other word, as schemas are, are common, so nothing here branches on a single byte.
pub(crate) fn put_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    // The remainder below lets the compiler see that no place is behind its end.
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
