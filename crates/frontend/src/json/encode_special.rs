//! Encodes the well-known types that have their own JSON form.

use prost_types::{Duration, Timestamp};

use super::encode::{Encoder, Occurrence, occurrences, put_base64, put_string};
use crate::{
    message_types::{FieldKind, MessageType, WellKnownType},
    time,
    wire::{self, Malformed, WireValue},
};

impl Encoder<'_> {
    /// Appends a well-known message.
    pub(super) fn special(
        &mut self,
        special: WellKnownType,
        message: &MessageType,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        match special {
            WellKnownType::Timestamp | WellKnownType::Duration => {
                let (seconds, nanos) = (integer(bytes, 1)?, integer(bytes, 2)?);
                let (nanos, mut text) = (i32::try_from(nanos).map_err(|_| Malformed)?, String::with_capacity(30));
                match special {
                    WellKnownType::Timestamp => time::write_timestamp(Timestamp { seconds, nanos }, &mut text),
                    _ => time::write_duration(Duration { seconds, nanos }, &mut text),
                }
                .ok_or(Malformed)?;
                put_string(&text, out);
            }
            WellKnownType::FieldMask => {
                let mut camel = String::new();
                for (_, path) in occurrences(message, bytes)? {
                    if !camel.is_empty() {
                        camel.push(',');
                    }
                    put_camel(text(path)?, &mut camel);
                }
                put_string(&camel, out);
            }
            WellKnownType::Wrapper => {
                let value = message.fields.first().ok_or(Malformed)?;
                self.bare(value.kind, wire::last(bytes, value.number)?, out)?;
            }
            WellKnownType::Value => match occurrences(message, bytes)?.as_slice() {
                [.., (place, value)] => match (message.fields[*place].kind, value) {
                    // JSON has no NaN and no infinities, and strings would be different values.
                    (FieldKind::Double, WireValue::Fixed64(bits)) if !f64::from_bits(*bits).is_finite() => return Err(Malformed),
                    (kind, value) => self.value(kind, *value, out)?,
                },
                [] => out.extend_from_slice(b"null"),
            },
            WellKnownType::Struct => {
                let fields = message.fields.first().ok_or(Malformed)?;
                let found: Vec<Occurrence<'_>> = occurrences(message, bytes)?;
                self.map(FieldKind::String, fields.kind, &found, out)?;
            }
            WellKnownType::ListValue => {
                let values = message.fields.first().ok_or(Malformed)?;
                out.push(b'[');
                for (index, (_, value)) in occurrences(message, bytes)?.into_iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.value(values.kind, value, out)?;
                }
                out.push(b']');
            }
            WellKnownType::Empty => out.extend_from_slice(b"{}"),
            WellKnownType::Any => self.any(bytes, out)?,
        }
        Ok(())
    }

    /// Appends the value of a wrapper, or its zero value.
    fn bare(&mut self, kind: FieldKind, value: Option<WireValue<'_>>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let zero = match kind {
            FieldKind::Double => WireValue::Fixed64(0),
            FieldKind::Float => WireValue::Fixed32(0),
            FieldKind::String | FieldKind::Bytes => WireValue::Bytes(&[]),
            _ => WireValue::Varint(0),
        };
        self.value(kind, value.unwrap_or(zero), out)
    }

    /// Appends an `Any`. An unknown type keeps its bytes, so that an unknown detail does not hide the code and message of an error.
    fn any(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let url = wire::last(bytes, 1)?.map_or(Ok(""), text)?;
        let value = match wire::last(bytes, 2)? {
            Some(WireValue::Bytes(value)) => value,
            Some(_) => return Err(Malformed),
            None => &[],
        };
        if url.is_empty() && value.is_empty() {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        out.extend_from_slice(b"{\"@type\":");
        put_string(url, out);
        let types = self.types;
        match types.find(url.rsplit('/').next().unwrap_or_default()) {
            Some(id) if types.message(id).special.is_none() => {
                out.push(b',');
                let before = out.len();
                self.members(types.message(id), value, out)?;
                if out.len() == before {
                    out.pop();
                }
            }
            Some(id) => {
                out.extend_from_slice(b",\"value\":");
                self.message(id, value, out)?;
            }
            None => {
                out.extend_from_slice(b",\"value\":");
                put_base64(value, out);
            }
        }
        out.push(b'}');
        Ok(())
    }
}

fn integer(bytes: &[u8], number: u32) -> Result<i64, Malformed> {
    match wire::last(bytes, number)? {
        Some(WireValue::Varint(bits)) => Ok(wire::unsigned(bits)),
        Some(_) => Err(Malformed),
        None => Ok(0),
    }
}

fn text(value: WireValue<'_>) -> Result<&str, Malformed> {
    let WireValue::Bytes(bytes) = value else { return Err(Malformed) };
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// Appends a path of a field mask in lowerCamelCase: `display_name` becomes `displayName`.
fn put_camel(path: &str, out: &mut String) {
    let mut upper = false;
    for letter in path.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                out.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => out.push(letter),
        }
    }
}
