//! Encodes arguments as the request message of an RPC.

use std::collections::HashSet;

use async_graphql::{Name, Value};
use bytes::Bytes;

use crate::model::{InputField, InputFields, InputTarget, Model, RootField, is_scalar, text_of};
use prism_call::Error;
use prism_frontend::{
    json,
    message_types::{Field, FieldKind, FieldShape, MessageId, WellKnownType},
    scalar, wire,
};

/// Returns the request message with these arguments. An argument that is `null` is not set. Errors name the field.
pub fn encode_arguments(model: &Model, root: &RootField, arguments: &[(Name, Value)]) -> Result<Bytes, Error> {
    let mut encoder = Encoder { model, path: String::new() };
    let mut out = Vec::new();
    for (name, value) in arguments {
        encoder.member(root.input, &root.arguments, name, value, &mut out)?;
    }
    Ok(out.into())
}

struct Encoder<'m> {
    model: &'m Model,
    /// Where the current value is, as `items[0].key`.
    path: String,
}

impl Encoder<'_> {
    fn refuse(&self, description: impl Into<String>) -> Error {
        Error::invalid(self.path.clone(), description)
    }

    /// Runs `work` one step deeper.
    fn at<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let done = work(self)?;
        self.path.truncate(length);
        Ok(done)
    }

    /// Appends what one field of an input object sets.
    fn member(&mut self, message: MessageId, fields: &InputFields, name: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        if *value == Value::Null {
            return Ok(());
        }
        match fields.get(name) {
            Some(InputField { target: InputTarget::Field { index, .. }, .. }) => {
                let field = self.model.field(message, *index);
                self.at(name, |encoder| encoder.field(field, value, out))
            }
            Some(InputField { target: InputTarget::Choice { members, .. }, .. }) => {
                let (name, value) = self.at(name, |encoder| encoder.chosen(value))?;
                let Some(index) = members.get(name) else { return Err(self.refuse(format!("{name} is not known"))) };
                let field = self.model.field(message, *index);
                self.at(name, |encoder| encoder.field(field, value, out))
            }
            None => Err(self.refuse(format!("{name} is not known"))),
        }
    }

    /// Returns the one member of an input object with `@oneOf`.
    fn chosen<'v>(&self, value: &'v Value) -> Result<(&'v str, &'v Value), Error> {
        match value {
            Value::Object(members) if members.len() == 1 => match members.iter().next() {
                Some((name, value)) if *value != Value::Null => Ok((name.as_str(), value)),
                _ => Err(self.refuse("must have exactly one member that is not null")),
            },
            _ => Err(self.refuse("must be an object with exactly one member")),
        }
    }

    fn field(&mut self, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        match field.shape {
            FieldShape::Singular { .. } => self.tagged(field.number, field.kind, value, out),
            FieldShape::Repeated => {
                for (index, element) in elements(value).iter().enumerate() {
                    self.at(&format!("[{index}]"), |encoder| encoder.tagged(field.number, field.kind, element, out))?;
                }
                Ok(())
            }
            FieldShape::Map(key) => {
                let mut known = HashSet::new();
                for (index, entry) in elements(value).iter().enumerate() {
                    self.at(&format!("[{index}]"), |encoder| {
                        let Value::Object(members) = entry else { return Err(encoder.refuse("must be an object with `key` and `value`")) };
                        let member = |name: &str| members.get(name).filter(|value| **value != Value::Null);
                        let Some(name) = member("key") else { return Err(encoder.refuse("must have a `key`")) };
                        wire::put_tag(out, field.number, wire::WireType::Bytes);
                        let start = out.len();
                        wire::put_sized(out, |out| {
                            encoder.at("key", |encoder| encoder.tagged(1, key, name, out))?;
                            if !known.insert(out[start..].to_vec()) {
                                return Err(encoder.refuse("has a key that another entry has"));
                            }
                            match member("value") {
                                Some(value) => encoder.at("value", |encoder| encoder.tagged(2, field.kind, value, out)),
                                None => Ok(()),
                            }
                        })
                    })?;
                }
                Ok(())
            }
        }
    }

    fn tagged(&mut self, number: u32, kind: FieldKind, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        wire::put_tag(out, number, kind.wire());
        self.value(kind, value, out)
    }

    fn value(&mut self, kind: FieldKind, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        match (kind, value) {
            (FieldKind::Bool, Value::Boolean(value)) => {
                out.push(u8::from(*value));
                Ok(())
            }
            (FieldKind::Bool, _) => Err(self.refuse("must be true or false")),
            (FieldKind::String, Value::String(text)) => {
                wire::put_bytes(out, text.as_bytes());
                Ok(())
            }
            (FieldKind::String | FieldKind::Bytes, value) if !matches!(value, Value::String(_)) => Err(self.refuse("must be text")),
            (FieldKind::Enum(id), Value::Null) if self.model.types.enumeration(id).null => {
                out.push(0);
                Ok(())
            }
            (FieldKind::Enum(_), Value::Enum(name)) => self.text(kind, name, out),
            (FieldKind::Message(id), value) => self.message(id, value, out),
            (_, value) => match text_of(value) {
                Some(text) => self.text(kind, &text, out),
                None => Err(self.refuse("has a value of another type")),
            },
        }
    }

    fn text(&self, kind: FieldKind, text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        scalar::put(self.model.types, kind, text, out).map_err(|refusal| self.refuse(refusal))
    }

    fn message(&mut self, id: MessageId, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        let types = self.model.types;
        let message = types.message(id);
        match message.special {
            Some(WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask) => match value {
                Value::String(text) => self.text(FieldKind::Message(id), text, out),
                _ => Err(self.refuse("must be text")),
            },
            Some(WellKnownType::Wrapper) => match message.fields.first() {
                Some(inner) => wire::put_sized(out, |out| self.tagged(inner.number, inner.kind, value, out)),
                None => Err(self.refuse("has no value")),
            },
            Some(WellKnownType::Any | WellKnownType::ListValue | WellKnownType::Struct | WellKnownType::Value) => {
                let text = serde_json::to_vec(value).map_err(|error| self.refuse(format!("is no JSON value: {error}")))?;
                wire::put_sized(out, |out| {
                    json::decode(types, id, text.as_slice(), out).map_err(|error| self.refuse(error.message().to_owned()))
                })
            }
            Some(WellKnownType::Empty) | None if is_scalar(types, FieldKind::Message(id)) => {
                out.push(0);
                Ok(())
            }
            _ => {
                let model = self.model;
                let (Value::Object(members), Some(input)) = (value, model.inputs.get(&id)) else {
                    return Err(self.refuse("must be an object"));
                };
                if input.one_of {
                    self.chosen(value)?;
                }
                wire::put_sized(out, |out| {
                    for (name, value) in members {
                        self.member(id, &input.fields, name, value, out)?;
                    }
                    Ok(())
                })
            }
        }
    }
}

/// Returns the elements of a list. A single value is a list of it ("GraphQL", section 3.11).
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) => elements,
        value => std::slice::from_ref(value),
    }
}
