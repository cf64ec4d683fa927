//! Messages to values.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cel::{Value, objects::Key};

use crate::{
    json::{self, MAX_DEPTH, Occurrence, merged, occurrences, zero},
    schema::{Field, Kind, Message, MessageId, Schema, Shape, Special},
    wire::{self, Malformed, WireType},
};

/// A message as a map by the proto names of its fields. Fields with presence are there only if they are set.
pub fn from_message(schema: &Schema, message: MessageId, bytes: &[u8]) -> Result<Value, Malformed> {
    Reader { schema, depth: 0 }.message(message, bytes)
}

/// One field of a message, without the others: none if it has presence and is not set.
pub fn from_field(schema: &Schema, message: MessageId, field: &Field, bytes: &[u8]) -> Result<Option<Value>, Malformed> {
    let known = schema.message(message);
    let mut found = occurrences(known, bytes)?;
    found.retain(|(place, _)| known.fields[*place].number == field.number);
    Reader { schema, depth: 0 }.field(field, &found)
}

struct Reader<'s> {
    schema: &'s Schema,
    depth: usize,
}

impl Reader<'_> {
    fn message(&mut self, id: MessageId, bytes: &[u8]) -> Result<Value, Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        let message = self.schema.message(id);
        let value = match message.special {
            Some(special) => self.special(special, id, message, bytes)?,
            None => self.fields(message, bytes)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn fields(&mut self, message: &Message, bytes: &[u8]) -> Result<Value, Malformed> {
        let found = occurrences(message, bytes)?;
        let (mut rest, mut members) = (found.as_slice(), HashMap::with_capacity(message.fields.len()));
        for (place, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(other, _)| *other == place).count();
            let (own, behind) = rest.split_at(count);
            rest = behind;
            if let Some(value) = self.field(field, own)? {
                members.insert(Key::from(field.name.as_str()), value);
            }
        }
        Ok(Value::from(members))
    }

    fn field(&mut self, field: &Field, found: &[Occurrence<'_>]) -> Result<Option<Value>, Malformed> {
        Ok(Some(match (field.shape, field.kind) {
            (Shape::Singular { presence: true }, _) if found.is_empty() => return Ok(None),
            (Shape::Singular { .. }, Kind::Message(id)) => self.message(id, &merged(found))?,
            (Shape::Singular { .. }, kind) => self.value(kind, found.last().map_or(zero(kind), |(_, value)| *value))?,
            (Shape::Repeated, kind) => self.list(kind, found)?,
            (Shape::Map(key), kind) => self.map(key, kind, found)?,
        }))
    }

    fn list(&mut self, kind: Kind, found: &[Occurrence<'_>]) -> Result<Value, Malformed> {
        let mut items = Vec::with_capacity(found.len());
        for (_, value) in found {
            let (wire::Value::Bytes(mut packed), false) = (*value, kind.wire() == WireType::Bytes) else {
                items.push(self.value(kind, *value)?);
                continue;
            };
            while !packed.is_empty() {
                let value = match kind.wire() {
                    WireType::Fixed64 => wire::Value::Fixed64(wire::fixed64(&mut packed)?),
                    WireType::Fixed32 => wire::Value::Fixed32(wire::fixed32(&mut packed)?),
                    _ => wire::Value::Varint(wire::varint(&mut packed)?),
                };
                items.push(self.value(kind, value)?);
            }
        }
        Ok(Value::List(Arc::new(items)))
    }

    fn map(&mut self, key: Kind, kind: Kind, found: &[Occurrence<'_>]) -> Result<Value, Malformed> {
        let mut members = HashMap::with_capacity(found.len());
        for (_, entry) in found {
            let wire::Value::Bytes(entry) = entry else { return Err(Malformed) };
            let name = self.value(key, wire::last(entry, 1)?.unwrap_or(zero(key)))?;
            let value = self.value(kind, wire::last(entry, 2)?.unwrap_or(zero(kind)))?;
            let name = match name {
                Value::String(name) => Key::String(name),
                Value::Int(number) => Key::from(number.to_string()),
                Value::UInt(number) => Key::from(number.to_string()),
                Value::Bool(flag) => Key::from(flag.to_string()),
                _ => return Err(Malformed),
            };
            members.insert(name, value);
        }
        Ok(Value::from(members))
    }

    fn value(&mut self, kind: Kind, value: wire::Value<'_>) -> Result<Value, Malformed> {
        use wire::Value::{Bytes, Fixed32, Fixed64, Varint};
        Ok(match (kind, value) {
            (Kind::Double, Fixed64(bits)) => Value::Float(f64::from_bits(bits)),
            (Kind::Float, Fixed32(bits)) => Value::Float(shortest(f32::from_bits(bits))),
            (Kind::Int32, Varint(bits)) => Value::Int(wire::low32_signed(bits).into()),
            (Kind::Sfixed32, Fixed32(bits)) => Value::Int(wire::low32_signed(bits.into()).into()),
            (Kind::Sint32, Varint(bits)) => Value::Int(wire::unzigzag(u64::from(wire::low32(bits)))),
            (Kind::Int64, Varint(bits)) | (Kind::Sfixed64, Fixed64(bits)) => Value::Int(wire::unsigned(bits)),
            (Kind::Sint64, Varint(bits)) => Value::Int(wire::unzigzag(bits)),
            (Kind::Uint32, Varint(bits)) => Value::UInt(wire::low32(bits).into()),
            (Kind::Fixed32, Fixed32(bits)) => Value::UInt(bits.into()),
            (Kind::Uint64, Varint(bits)) | (Kind::Fixed64, Fixed64(bits)) => Value::UInt(bits),
            (Kind::Bool, Varint(bits)) => Value::Bool(bits != 0),
            (Kind::Enum(id), Varint(bits)) => {
                let (number, known) = (wire::low32_signed(bits), self.schema.enumeration(id));
                match known.value_name(number) {
                    _ if known.null => Value::Null,
                    Some(name) => Value::from(name),
                    None => Value::Int(number.into()),
                }
            }
            (Kind::String, Bytes(bytes)) => Value::from(std::str::from_utf8(bytes).map_err(|_| Malformed)?),
            (Kind::Bytes, Bytes(bytes)) => Value::Bytes(Arc::new(bytes.to_vec())),
            (Kind::Message(id), Bytes(bytes)) => self.message(id, bytes)?,
            _ => return Err(Malformed),
        })
    }

    fn special(&mut self, special: Special, id: MessageId, message: &Message, bytes: &[u8]) -> Result<Value, Malformed> {
        let first = message.fields.first();
        match special {
            // These are strings in JSON too.
            Special::Timestamp | Special::Duration | Special::FieldMask => {
                let mut quoted = Vec::new();
                json::encode(self.schema, id, bytes, &mut quoted).map_err(|_| Malformed)?;
                let text: String = serde_json::from_slice(&quoted).map_err(|_| Malformed)?;
                Ok(Value::from(text))
            }
            Special::Wrapper => {
                let field = first.ok_or(Malformed)?;
                self.value(field.kind, wire::last(bytes, field.number)?.unwrap_or(zero(field.kind)))
            }
            Special::Struct => {
                let field = first.ok_or(Malformed)?;
                self.map(Kind::String, field.kind, &occurrences(message, bytes)?)
            }
            Special::ListValue => {
                let field = first.ok_or(Malformed)?;
                self.list(field.kind, &occurrences(message, bytes)?)
            }
            Special::Value => match occurrences(message, bytes)?.last() {
                Some((place, value)) => self.value(message.fields[*place].kind, *value),
                None => Ok(Value::Null),
            },
            Special::Empty => Ok(Value::from(HashMap::<Key, Value>::new())),
            Special::Any => {
                let part = |number: u32| match wire::last(bytes, number)? {
                    Some(wire::Value::Bytes(part)) => Ok(part),
                    Some(_) => Err(Malformed),
                    None => Ok(&[][..]),
                };
                let url = std::str::from_utf8(part(1)?).map_err(|_| Malformed)?;
                Ok(Value::from(HashMap::from([("@type", Value::from(url)), ("value", Value::from(STANDARD.encode(part(2)?)))])))
            }
        }
    }
}

/// The double that is written as the float is: 0.1 stays 0.1.
fn shortest(value: f32) -> f64 {
    if value.is_finite() { format!("{value:?}").parse().unwrap_or(f64::from(value)) } else { value.into() }
}
