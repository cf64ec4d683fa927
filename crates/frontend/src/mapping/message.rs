//! Maps a request to messages.

use bytes::Bytes;

use super::{
    body::Payload,
    raw_parameter::RawParameter,
    scope::CallScope,
    template::{ValueSource, ValueTemplate},
};
use crate::{
    expression::{self, Value},
    json,
    message_types::{Field, FieldKind, FieldShape, MessageId},
    scalar,
    wire::{self, WireType},
};
use prism_call::Error;

/// The mapping of a message.
#[derive(Debug)]
pub struct MessagePlan {
    /// Its type.
    pub message: MessageId,
    /// The value of the whole message. The fields below override it.
    pub whole: Option<ValueTemplate>,
    /// Fields, by their index in the type.
    pub fields: Vec<(usize, Fill)>,
}

/// The mapping of a field.
#[derive(Debug)]
pub enum Fill {
    /// A constant: the encoded field.
    Encoded(Vec<u8>),
    /// A message, field by field.
    Message(MessagePlan),
    /// A value.
    Value(ValueTemplate),
}

/// The mapping of a request.
#[derive(Debug)]
pub enum RequestPlan {
    /// One message.
    One(MessagePlan),
    /// One message for each item of a list.
    Each(ValueSource, MessagePlan),
}

impl RequestPlan {
    /// Whether it uses the body.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::One(plan) => plan.reads_body(),
            Self::Each(source, plan) => {
                matches!(source, ValueSource::Body(_))
                    || matches!(source, ValueSource::List(list) if list.reads("body"))
                    || plan.reads_body()
            }
        }
    }

    /// Whether each item of the body becomes a message that uses nothing else of the body.
    pub fn is_each_of_body(&self) -> bool {
        matches!(self, Self::Each(ValueSource::Body(names), plan) if names.is_empty() && !plan.reads_body())
    }

    /// Builds the messages.
    pub fn messages(&self, scope: &CallScope<'_>) -> Result<Vec<Bytes>, Error> {
        let mut messages = Vec::new();
        match self {
            Self::One(plan) => messages.push(plan.message(scope)?),
            Self::Each(source, plan) => source.each(scope, &mut |item| {
                messages.push(plan.message(&item)?);
                Ok(())
            })?,
        }
        Ok(messages)
    }
}

impl MessagePlan {
    /// Whether it uses the body.
    pub fn reads_body(&self) -> bool {
        self.whole.as_ref().is_some_and(ValueTemplate::reads_body)
            || self.fields.iter().any(|(_, fill)| match fill {
                Fill::Encoded(_) => false,
                Fill::Message(plan) => plan.reads_body(),
                Fill::Value(template) => template.reads_body(),
            })
    }

    /// Builds the message.
    pub fn message(&self, scope: &CallScope<'_>) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(64);
        self.write(scope, &mut out)?;
        Ok(out.into())
    }

    fn write(&self, scope: &CallScope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(whole) = &self.whole {
            self.write_whole(whole, scope, out)?;
        }
        for (place, fill) in &self.fields {
            let field = &scope.types.message(self.message).fields[*place];
            match fill {
                Fill::Encoded(bytes) => out.extend_from_slice(bytes),
                Fill::Message(plan) => {
                    wire::put_tag(out, field.number, WireType::Bytes);
                    wire::put_sized(out, |out| plan.write(scope, out))?;
                }
                Fill::Value(template) => write_field(field, template, scope, out)?,
            }
        }
        Ok(())
    }

    /// Decodes a JSON body to the message without a tree of values, so that errors have line and column.
    fn write_whole(&self, whole: &ValueTemplate, scope: &CallScope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if let (ValueTemplate::Path(ValueSource::Body(names), _), Some(received)) = (whole, scope.received)
            && let (true, Payload::Json { bytes, plain: true, .. }) = (names.is_empty(), &received.payload)
        {
            return json::decode(scope.types, self.message, bytes, out);
        }
        match whole.value(scope)? {
            None | Some(Value::Null) => Ok(()),
            Some(value) => expression::value::put_message(scope.types, self.message, &value, out)
                .map_err(|refusal| Error::invalid(whole.to_string(), refusal.into_owned())),
        }
    }
}

/// Appends a field. Texts and bodies are not converted to a value first.
fn write_field(field: &Field, template: &ValueTemplate, scope: &CallScope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    if let (ValueTemplate::Path(source, _), Some(received)) = (template, scope.received) {
        match source {
            ValueSource::Parameter(place)
                if matches!(field.shape, FieldShape::Singular { .. }) && scalar::has_text_form(scope.types, field.kind) =>
            {
                if let Some(text) = received.given.get(*place).and_then(Option::as_ref).and_then(RawParameter::text) {
                    wire::put_tag(out, field.number, field.kind.wire());
                    return scalar::put(scope.types, field.kind, text, out).map_err(|refusal| scope.parameters.refuse(*place, &refusal));
                }
            }
            ValueSource::Body(names) if names.is_empty() => match (&received.payload, field.kind, field.shape) {
                (Payload::Bytes(bytes) | Payload::Text(bytes), FieldKind::Bytes, FieldShape::Singular { .. })
                | (Payload::Text(bytes), FieldKind::String, FieldShape::Singular { .. }) => {
                    wire::put_tag(out, field.number, WireType::Bytes);
                    wire::put_bytes(out, bytes);
                    return Ok(());
                }
                (Payload::Json { bytes, plain: true, .. }, _, _) => return json::decode_field(scope.types, field, bytes, out, None),
                _ => {}
            },
            _ => {}
        }
    }
    match template.value(scope)? {
        None | Some(Value::Null) => Ok(()),
        Some(value) => {
            let before = out.len();
            let put = if scope.parameters.ignore_unknown { expression::value::put_known } else { expression::value::put };
            put(scope.types, field, &value, out).map_err(|refusal| {
                out.truncate(before);
                refuse(template, field, scope, &refusal)
            })
        }
    }
}

/// Returns the error for a value. It names the part of the request that the value comes from, if there is one.
fn refuse(template: &ValueTemplate, field: &Field, scope: &CallScope<'_>, refusal: &str) -> Error {
    let about_it = refusal.strip_prefix(&format!("`{}` ", field.name)).unwrap_or(refusal);
    match template {
        ValueTemplate::Path(ValueSource::Parameter(place), _) => scope.parameters.refuse(*place, about_it),
        ValueTemplate::Path(ValueSource::Body(names), _) => Error::invalid(names.join("."), about_it.to_owned()),
        _ => Error::invalid("", format!("the request can't be understood: {refusal}")),
    }
}
