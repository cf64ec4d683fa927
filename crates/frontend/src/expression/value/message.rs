//! Converts messages to expression values.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cel::{Value, objects::Key};

use crate::{
    json::{self, MAX_DEPTH, Occurrence, merged, occurrences, zero},
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageType, MessageTypes, WellKnownType},
    wire::{self, Malformed, WireType},
};

/// Converts a message to a map with the proto names of its fields. Fields with presence are in the map only if they are set.
pub fn from_message(types: &MessageTypes, message: MessageId, bytes: &[u8]) -> Result<Value, Malformed> {
    MessageReader { types, depth: 0 }.message(message, bytes)
}

/// Converts one field of a message, or returns `None` if the field has presence and is not set.
pub fn from_field(types: &MessageTypes, message: MessageId, field: &Field, bytes: &[u8]) -> Result<Option<Value>, Malformed> {
    let known = types.message(message);
    let mut found = occurrences(known, bytes)?;
    found.retain(|(index, _)| known.fields[*index].number == field.number);
    MessageReader { types, depth: 0 }.field(field, &found)
}

struct MessageReader<'s> {
    types: &'s MessageTypes,
    depth: usize,
}

impl MessageReader<'_> {
    fn message(&mut self, id: MessageId, bytes: &[u8]) -> Result<Value, Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        let message = self.types.message(id);
        let value = match message.special {
            Some(special) => self.special(special, id, message, bytes)?,
            None => self.fields(message, bytes)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn fields(&mut self, message: &MessageType, bytes: &[u8]) -> Result<Value, Malformed> {
        let found = occurrences(message, bytes)?;
        let (mut rest, mut members) = (found.as_slice(), HashMap::with_capacity(message.fields.len()));
        for (index, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(other, _)| *other == index).count();
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
            (FieldShape::Singular { presence: true }, _) if found.is_empty() => return Ok(None),
            (FieldShape::Singular { .. }, FieldKind::Message(id)) => self.message(id, &merged(found))?,
            (FieldShape::Singular { .. }, kind) => self.value(kind, found.last().map_or(zero(kind), |(_, value)| *value))?,
            (FieldShape::Repeated, kind) => self.list(kind, found)?,
            (FieldShape::Map(key), kind) => self.map(key, kind, found)?,
        }))
    }

    fn list(&mut self, kind: FieldKind, found: &[Occurrence<'_>]) -> Result<Value, Malformed> {
        let mut items = Vec::with_capacity(found.len());
        for (_, value) in found {
            let (wire::WireValue::Bytes(mut packed), false) = (*value, kind.wire() == WireType::Bytes) else {
                items.push(self.value(kind, *value)?);
                continue;
            };
            while !packed.is_empty() {
                let value = match kind.wire() {
                    WireType::Fixed64 => wire::WireValue::Fixed64(wire::fixed64(&mut packed)?),
                    WireType::Fixed32 => wire::WireValue::Fixed32(wire::fixed32(&mut packed)?),
                    _ => wire::WireValue::Varint(wire::varint(&mut packed)?),
                };
                items.push(self.value(kind, value)?);
            }
        }
        Ok(Value::List(Arc::new(items)))
    }

    fn map(&mut self, key: FieldKind, kind: FieldKind, found: &[Occurrence<'_>]) -> Result<Value, Malformed> {
        let mut members = HashMap::with_capacity(found.len());
        for (_, entry) in found {
            let wire::WireValue::Bytes(entry) = entry else { return Err(Malformed) };
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

    fn value(&mut self, kind: FieldKind, value: wire::WireValue<'_>) -> Result<Value, Malformed> {
        use wire::WireValue::{Bytes, Fixed32, Fixed64, Varint};
        Ok(match (kind, value) {
            (FieldKind::Double, Fixed64(bits)) => Value::Float(f64::from_bits(bits)),
            (FieldKind::Float, Fixed32(bits)) => Value::Float(shortest(f32::from_bits(bits))),
            (FieldKind::Int32, Varint(bits)) => Value::Int(wire::low32_signed(bits).into()),
            (FieldKind::Sfixed32, Fixed32(bits)) => Value::Int(wire::low32_signed(bits.into()).into()),
            (FieldKind::Sint32, Varint(bits)) => Value::Int(wire::unzigzag(u64::from(wire::low32(bits)))),
            (FieldKind::Int64, Varint(bits)) | (FieldKind::Sfixed64, Fixed64(bits)) => Value::Int(wire::unsigned(bits)),
            (FieldKind::Sint64, Varint(bits)) => Value::Int(wire::unzigzag(bits)),
            (FieldKind::Uint32, Varint(bits)) => Value::UInt(wire::low32(bits).into()),
            (FieldKind::Fixed32, Fixed32(bits)) => Value::UInt(bits.into()),
            (FieldKind::Uint64, Varint(bits)) | (FieldKind::Fixed64, Fixed64(bits)) => Value::UInt(bits),
            (FieldKind::Bool, Varint(bits)) => Value::Bool(bits != 0),
            (FieldKind::Enum(id), Varint(bits)) => {
                let (number, known) = (wire::low32_signed(bits), self.types.enumeration(id));
                match known.value_name(number) {
                    _ if known.null => Value::Null,
                    Some(name) => Value::from(name),
                    None => Value::Int(number.into()),
                }
            }
            (FieldKind::String, Bytes(bytes)) => Value::from(std::str::from_utf8(bytes).map_err(|_| Malformed)?),
            (FieldKind::Bytes, Bytes(bytes)) => Value::Bytes(Arc::new(bytes.to_vec())),
            (FieldKind::Message(id), Bytes(bytes)) => self.message(id, bytes)?,
            _ => return Err(Malformed),
        })
    }

    fn special(&mut self, special: WellKnownType, id: MessageId, message: &MessageType, bytes: &[u8]) -> Result<Value, Malformed> {
        let first = message.fields.first();
        match special {
            // ProtoJSON writes these as strings too.
            WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask => {
                let mut quoted = Vec::new();
                json::encode(self.types, id, bytes, &mut quoted).map_err(|_| Malformed)?;
                let text: String = serde_json::from_slice(&quoted).map_err(|_| Malformed)?;
                Ok(Value::from(text))
            }
            WellKnownType::Wrapper => {
                let field = first.ok_or(Malformed)?;
                self.value(field.kind, wire::last(bytes, field.number)?.unwrap_or(zero(field.kind)))
            }
            WellKnownType::Struct => {
                let field = first.ok_or(Malformed)?;
                self.map(FieldKind::String, field.kind, &occurrences(message, bytes)?)
            }
            WellKnownType::ListValue => {
                let field = first.ok_or(Malformed)?;
                self.list(field.kind, &occurrences(message, bytes)?)
            }
            WellKnownType::Value => match occurrences(message, bytes)?.last() {
                Some((index, value)) => self.value(message.fields[*index].kind, *value),
                None => Ok(Value::Null),
            },
            WellKnownType::Empty => Ok(Value::from(HashMap::<Key, Value>::new())),
            WellKnownType::Any => {
                let part = |number: u32| match wire::last(bytes, number)? {
                    Some(wire::WireValue::Bytes(part)) => Ok(part),
                    Some(_) => Err(Malformed),
                    None => Ok(&[][..]),
                };
                let url = std::str::from_utf8(part(1)?).map_err(|_| Malformed)?;
                Ok(Value::from(HashMap::from([("@type", Value::from(url)), ("value", Value::from(STANDARD.encode(part(2)?)))])))
            }
        }
    }
}

/// Converts a float to the double with the same shortest decimal form: 0.1 stays 0.1.
fn shortest(value: f32) -> f64 {
    if value.is_finite() { format!("{value:?}").parse().unwrap_or(f64::from(value)) } else { value.into() }
}
