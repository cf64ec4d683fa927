//! From a request to a message.

use bytes::Bytes;

use super::{
    request::{Given, Payload},
    scope::Scope,
    template::{Source, Template},
};
use crate::{
    expression::{self, Value},
    json, scalar,
    schema::{Field, Kind, MessageId, Shape},
    wire::{self, WireType},
};
use prism_call::Error;

/// What a message is made of.
#[derive(Debug)]
pub struct MessagePlan {
    /// Its type.
    pub message: MessageId,
    /// What the whole of it is; the fields below count more.
    pub whole: Option<Template>,
    /// Fields by their place in the type.
    pub fields: Vec<(usize, Fill)>,
}

/// What a field is made of.
#[derive(Debug)]
pub enum Fill {
    /// A constant: the field as it lies on the wire.
    Encoded(Vec<u8>),
    /// A message, field by field.
    Message(MessagePlan),
    /// A value.
    Value(Template),
}

/// The messages of a request.
#[derive(Debug)]
pub enum RequestPlan {
    /// One.
    One(MessagePlan),
    /// One for each item of a list.
    Each(Source, MessagePlan),
}

impl RequestPlan {
    /// Whether it needs the body.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::One(plan) => plan.reads_body(),
            Self::Each(source, plan) => {
                matches!(source, Source::Body(_)) || matches!(source, Source::List(list) if list.reads("body")) || plan.reads_body()
            }
        }
    }

    /// The messages, in their order.
    pub fn messages(&self, scope: &Scope<'_>) -> Result<Vec<Bytes>, Error> {
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
    /// Whether it needs the body.
    pub fn reads_body(&self) -> bool {
        self.whole.as_ref().is_some_and(Template::reads_body)
            || self.fields.iter().any(|(_, fill)| match fill {
                Fill::Encoded(_) => false,
                Fill::Message(plan) => plan.reads_body(),
                Fill::Value(template) => template.reads_body(),
            })
    }

    /// The message.
    pub fn message(&self, scope: &Scope<'_>) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(64);
        self.write(scope, &mut out)?;
        Ok(out.into())
    }

    fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(whole) = &self.whole {
            self.write_whole(whole, scope, out)?;
        }
        for (place, fill) in &self.fields {
            let field = &scope.schema.message(self.message).fields[*place];
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

    /// A whole message of a JSON body is read without a tree, so that what is wrong is told with line and column.
    fn write_whole(&self, whole: &Template, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if let (Template::Path(Source::Body(names), _), Some(received)) = (whole, scope.received)
            && let (true, Payload::Json { bytes, plain: true, .. }) = (names.is_empty(), &received.payload)
        {
            return json::decode(scope.schema, self.message, bytes, out);
        }
        match whole.value(scope)? {
            None | Some(Value::Null) => Ok(()),
            Some(value) => expression::value::put_message(scope.schema, self.message, &value, out)
                .map_err(|refusal| Error::invalid(whole.to_string(), refusal.into_owned())),
        }
    }
}

/// Appends a field. Texts and bodies go there without becoming a value first.
fn write_field(field: &Field, template: &Template, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    if let (Template::Path(source, _), Some(received)) = (template, scope.received) {
        match source {
            Source::Parameter(place)
                if matches!(field.shape, Shape::Singular { .. }) && scalar::has_text_form(scope.schema, field.kind) =>
            {
                if let Some(text) = received.given.get(*place).and_then(Option::as_ref).and_then(Given::text) {
                    wire::put_tag(out, field.number, field.kind.wire());
                    return scalar::put(scope.schema, field.kind, text, out).map_err(|refusal| scope.parameters.refuse(*place, &refusal));
                }
            }
            Source::Body(names) if names.is_empty() => match (&received.payload, field.kind, field.shape) {
                (Payload::Bytes(bytes) | Payload::Text(bytes), Kind::Bytes, Shape::Singular { .. })
                | (Payload::Text(bytes), Kind::String, Shape::Singular { .. }) => {
                    wire::put_tag(out, field.number, WireType::Bytes);
                    wire::put_bytes(out, bytes);
                    return Ok(());
                }
                (Payload::Json { bytes, plain: true, .. }, _, _) => return json::decode_field(scope.schema, field, bytes, out, None),
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
            put(scope.schema, field, &value, out).map_err(|refusal| {
                out.truncate(before);
                refuse(template, field, scope, &refusal)
            })
        }
    }
}

/// The refusal of a value, in the words of the request where it comes from one place of it.
fn refuse(template: &Template, field: &Field, scope: &Scope<'_>, refusal: &str) -> Error {
    let about_it = refusal.strip_prefix(&format!("`{}` ", field.name)).unwrap_or(refusal);
    match template {
        Template::Path(Source::Parameter(place), _) => scope.parameters.refuse(*place, about_it),
        Template::Path(Source::Body(names), _) => Error::invalid(names.join("."), about_it.to_owned()),
        _ => Error::invalid("", format!("the request can't be understood: {refusal}")),
    }
}
