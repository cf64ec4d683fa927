//! The well-known types that have a JSON form of their own, to JSON.

use super::encode::{Encoder, Occurrence, occurrences, put_base64, put_string};
use crate::{
    schema::{Kind, Message, Special},
    time,
    wire::{self, Malformed, Value},
};

impl Encoder<'_> {
    /// A well-known message.
    pub(super) fn special(&mut self, special: Special, message: &Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match special {
            Special::Timestamp | Special::Duration => {
                let (seconds, nanos) = (integer(bytes, 1)?, integer(bytes, 2)?);
                let (nanos, mut text) = (i32::try_from(nanos).map_err(|_| Malformed)?, String::with_capacity(30));
                match special {
                    Special::Timestamp => time::format_timestamp(seconds, nanos, &mut text),
                    _ => time::format_duration(seconds, nanos, &mut text),
                }
                .ok_or(Malformed)?;
                put_string(&text, out);
            }
            Special::FieldMask => {
                let mut camel = String::new();
                for (_, path) in occurrences(message, bytes)? {
                    if !camel.is_empty() {
                        camel.push(',');
                    }
                    put_camel(text(path)?, &mut camel);
                }
                put_string(&camel, out);
            }
            Special::Wrapper => {
                let value = message.fields.first().ok_or(Malformed)?;
                self.bare(value.kind, wire::last(bytes, value.number)?, out)?;
            }
            Special::Value => match occurrences(message, bytes)?.as_slice() {
                [.., (place, value)] => match (message.fields[*place].kind, value) {
                    // JSON has no such numbers, and as strings they would be other values.
                    (Kind::Double, Value::Fixed64(bits)) if !f64::from_bits(*bits).is_finite() => return Err(Malformed),
                    (kind, value) => self.value(kind, *value, out)?,
                },
                [] => out.extend_from_slice(b"null"),
            },
            Special::Struct => {
                let fields = message.fields.first().ok_or(Malformed)?;
                let found: Vec<Occurrence<'_>> = occurrences(message, bytes)?;
                self.map(Kind::String, fields.kind, &found, out)?;
            }
            Special::ListValue => {
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
            Special::Empty => out.extend_from_slice(b"{}"),
            Special::Any => self.any(bytes, out)?,
        }
        Ok(())
    }

    /// A wrapper's value, or its zero value.
    fn bare(&mut self, kind: Kind, value: Option<Value<'_>>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let zero = match kind {
            Kind::Double => Value::Fixed64(0),
            Kind::Float => Value::Fixed32(0),
            Kind::String | Kind::Bytes => Value::Bytes(&[]),
            _ => Value::Varint(0),
        };
        self.value(kind, value.unwrap_or(zero), out)
    }

    /// A type that is not known here keeps its bytes, so that code and message of an error never get lost with a detail.
    fn any(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let url = wire::last(bytes, 1)?.map_or(Ok(""), text)?;
        let value = match wire::last(bytes, 2)? {
            Some(Value::Bytes(value)) => value,
            Some(_) => return Err(Malformed),
            None => &[],
        };
        if url.is_empty() && value.is_empty() {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        out.extend_from_slice(b"{\"@type\":");
        put_string(url, out);
        let schema = self.schema;
        match schema.find(url.rsplit('/').next().unwrap_or_default()) {
            Some(id) if schema.message(id).special.is_none() => {
                out.push(b',');
                let before = out.len();
                self.members(schema.message(id), value, out)?;
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
        Some(Value::Varint(bits)) => Ok(wire::unsigned(bits)),
        Some(_) => Err(Malformed),
        None => Ok(0),
    }
}

fn text(value: Value<'_>) -> Result<&str, Malformed> {
    let Value::Bytes(bytes) = value else { return Err(Malformed) };
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// `display_name` is `displayName` in JSON.
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
