//! Encodes maps as messages, and values as well-known types.

use cel::Value;

use super::{json::sorted, put::Writer};
use crate::{
    message_types::{FieldKind, MessageId, MessageType, WellKnownType},
    scalar::{self, Refusal},
    wire::{self, WireType},
};

impl Writer<'_> {
    /// Appends the content of a message, without a tag or length.
    pub(super) fn message(&mut self, id: MessageId, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let types = self.types;
        let message = types.message(id);
        let first = message.fields.first();
        match (message.special, value) {
            (Some(WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask), Value::String(text)) => {
                scalar::put_message(types, message, text, out).map_err(|refusal| self.refused(&refusal))
            }
            (Some(WellKnownType::Timestamp), _) => {
                Err(self.refused("must be a string with a time in RFC 3339 format, such as 2026-05-01T12:00:00Z"))
            }
            (Some(WellKnownType::Duration), _) => Err(self.refused("must be a string with a duration in seconds, as 1.5s")),
            (Some(WellKnownType::FieldMask), _) => Err(self.refused("must be a string with field paths, separated by commas")),
            (Some(WellKnownType::Wrapper), _) => {
                let Some(field) = first else { return Ok(()) };
                wire::put_tag(out, field.number, field.kind.wire());
                self.value(field.kind, value, out)
            }
            (Some(WellKnownType::Struct), Value::Map(map)) => first.map_or(Ok(()), |field| self.map(field, FieldKind::String, map, out)),
            (Some(WellKnownType::ListValue), Value::List(items)) => {
                first.map_or(Ok(()), |field| self.elements(field.number, field.kind, items, out))
            }
            (Some(WellKnownType::ListValue), _) => Err(self.refused("must be a list")),
            (Some(WellKnownType::Value), _) => self.dynamic(message, value, out),
            (Some(WellKnownType::Any), Value::Map(map)) => self.any(map, out),
            (Some(WellKnownType::Empty) | None, Value::Map(map)) => self.members(message, map, out),
            _ => Err(self.refused(&format!("must be a map ({})", message.name))),
        }
    }

    fn members(&mut self, message: &MessageType, map: &cel::objects::Map, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut set: Vec<usize> = Vec::with_capacity(map.map.len());
        for (name, value) in sorted(map) {
            let Some(index) = message.by_name(&name) else {
                if self.only_known {
                    continue;
                }
                let names: Vec<&str> = message.fields.iter().take(30).map(|field| field.name.as_str()).collect();
                let names = if names.is_empty() { "it has none".to_owned() } else { format!("its fields are {}", names.join(", ")) };
                self.path.push(format!(".{name}"));
                return Err(self.refused(&format!("is no field of {}; {names}", message.name)));
            };
            let field = &message.fields[index];
            self.at(format!(".{name}"), |writer| {
                if !writer.field(field, value, out)? {
                    return Ok(());
                }
                for other in &set {
                    let (known, same) = (&message.fields[*other], *other == index);
                    if same {
                        return Err(writer.refused("appears twice, once in each of its spellings"));
                    }
                    if field.oneof.is_some() && field.oneof == known.oneof {
                        return Err(writer.refused(&format!("can't be set together with {}", known.name)));
                    }
                }
                set.push(index);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Appends a `google.protobuf.Value`, which holds any JSON value.
    fn dynamic(&mut self, message: &MessageType, value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let number = match value {
            Value::Null => 1,
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => 2,
            Value::String(_) | Value::Bytes(_) => 3,
            Value::Bool(_) => 4,
            Value::Map(_) => 5,
            Value::List(_) => 6,
            _ => return Err(self.refused("can't be held by a google.protobuf.Value")),
        };
        let Some(index) = message.by_number(number) else { return Err(self.refused("can't be held by a google.protobuf.Value")) };
        let kind = message.fields[index].kind;
        wire::put_tag(out, number, kind.wire());
        match value {
            Value::Float(number) if !number.is_finite() => Err(self.refused("must be a finite number, since JSON has no others")),
            // `to_json` encodes bytes as base64 too.
            Value::Bytes(bytes) => {
                wire::put_bytes(out, base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes.as_slice()).as_bytes());
                Ok(())
            }
            _ => self.value(kind, value, out),
        }
    }

    /// Appends a `google.protobuf.Any` from the form in which it is read: the type URL and the bytes.
    fn any(&mut self, map: &cel::objects::Map, out: &mut Vec<u8>) -> Result<(), Refusal> {
        for (name, value) in sorted(map) {
            let (number, kind) = match name.as_str() {
                "@type" => (1, FieldKind::String),
                "value" => (2, FieldKind::Bytes),
                _ => return Err(self.refused(&format!("has no member {name:?}; an Any has \"@type\" and \"value\""))),
            };
            wire::put_tag(out, number, WireType::Bytes);
            self.at(format!("[{name:?}]"), |writer| writer.value(kind, value, out))?;
        }
        Ok(())
    }
}
