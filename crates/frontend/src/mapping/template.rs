//! Compiled values of a definition, for request messages and response bodies.

use std::fmt;

use super::{
    error::EmbeddedError,
    opened::{FieldValue, MessageCache},
    scope::{CallScope, ListItem},
    value,
};
use crate::{
    bind::FieldPath,
    expression::{self, Expression, Value},
    json::{self, JsonStyle, ZeroValues, put_string},
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageTypes},
    wire::{self, Fields, Malformed, WireValue},
};
use prism_call::Error;

/// A compiled value.
#[derive(Debug)]
pub enum ValueTemplate {
    /// A constant.
    Constant(Value),
    /// A path of names, with its text.
    Path(ValueSource, String),
    /// An expression, with its text.
    Expression(Box<Expression>, String),
    /// An object.
    Object(Vec<(Name, Self)>),
    /// A list.
    List(Vec<Self>),
    /// The first value, or the second one if the first is absent (`$default`).
    Default(Box<(Self, Self)>),
    /// A translation of texts (`$map`).
    Translate(Box<Translation>),
    /// One item for each item of a list (`$each`).
    Each(Box<(ValueSource, String, Self)>),
    /// A condition with one or two values (`$when`).
    When(Box<(Expression, Self, Option<Self>)>),
    /// An error in the reply (`$error`).
    Error(EmbeddedError),
}

/// The name of a member.
#[derive(Debug)]
pub struct Name {
    text: String,
    /// The name as JSON, with the colon.
    written: Vec<u8>,
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        let mut written = Vec::new();
        put_string(&text, &mut written);
        written.push(b':');
        Self { text, written }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A translation of texts.
#[derive(Debug)]
pub struct Translation {
    /// The text to translate.
    pub from: ValueTemplate,
    /// Texts and their translations.
    pub entries: Vec<(String, Value)>,
    /// The translation of all other texts. Without it, they are refused.
    pub otherwise: Option<ValueTemplate>,
}

/// A resolved path of names.
#[derive(Debug)]
pub enum ValueSource {
    /// A parameter, by its index.
    Parameter(usize),
    /// The body, or a part of it.
    Body(Vec<String>),
    /// A field of the reply.
    Reply(FieldPath),
    /// A field of an item that is a message.
    Item(FieldPath),
    /// An item that is a message, as a whole.
    Message,
    /// Messages in a repeated field of the reply; only in `$each`.
    Messages(FieldPath, MessageId),
    /// All messages of a stream; only in `$each`.
    Replies,
    /// The list that an expression returns; only in `$each`.
    List(Box<Expression>),
    /// A variable, by its name, and a path into it.
    Variable(String, Vec<String>),
}

impl ValueTemplate {
    /// Evaluates the value. Returns `None` if it is absent.
    pub fn value(&self, scope: &CallScope<'_>) -> Result<Option<Value>, Error> {
        Ok(match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Path(source, _) => source.value(scope)?,
            Self::Expression(expression, text) => Some(evaluate(expression, text, scope)?),
            Self::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for (name, template) in members {
                    if let Some(value) = template.value(scope)? {
                        entries.push((name.text.clone(), value));
                    }
                }
                Some(value::map(entries))
            }
            Self::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.extend(item.value(scope)?);
                }
                Some(Value::List(values.into()))
            }
            Self::Default(both) => match both.0.value(scope)? {
                Some(value) => Some(value),
                None => both.1.value(scope)?,
            },
            Self::Translate(translation) => translation.value(scope)?,
            Self::Each(each) => {
                let mut values = Vec::new();
                each.0.each(scope, &mut |item| {
                    values.extend(each.2.value(&item)?);
                    Ok(())
                })?;
                Some(Value::List(values.into()))
            }
            Self::When(when) => match (holds(&when.0, scope)?, &when.2) {
                (true, _) => when.1.value(scope)?,
                (false, Some(otherwise)) => otherwise.value(scope)?,
                (false, None) => None,
            },
            Self::Error(told) => told.value(scope)?,
        })
    }

    /// Evaluates the value and appends it as JSON. Returns `false`, and appends nothing, if it is absent.
    pub fn json(&self, scope: &CallScope<'_>, style: JsonStyle, out: &mut Vec<u8>) -> Result<bool, Error> {
        self.json_in(scope, style, &mut MessageCache::default(), out)
    }

    fn json_in<'t, 'b>(
        &'t self,
        scope: &CallScope<'b>,
        style: JsonStyle,
        opened: &mut MessageCache<'t, 'b>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        match self {
            Self::Path(source, _) => source.json(scope, style, opened, out),
            Self::Object(members) => {
                out.push(b'{');
                let start = out.len();
                for (name, template) in members {
                    let before = out.len();
                    if before > start {
                        out.push(b',');
                    }
                    out.extend_from_slice(&name.written);
                    let at = out.len();
                    let there = template.json_in(scope, style, opened, out)?;
                    if !there || template.omits_zeros(style) && is_zero(&out[at..]) && !template.is_text_zero(scope.types, &out[at..]) {
                        out.truncate(before);
                    }
                }
                out.push(b'}');
                Ok(true)
            }
            Self::List(items) => {
                list(out, |out| items.iter().try_for_each(|item| separated(out, |out| item.json_in(scope, style, opened, out))))?;
                Ok(true)
            }
            Self::Each(each) => {
                list(out, |out| each.0.each(scope, &mut |item| separated(out, |out| each.2.json(&item, style, out))))?;
                Ok(true)
            }
            Self::Default(both) => Ok(both.0.json_in(scope, style, opened, out)? || both.1.json_in(scope, style, opened, out)?),
            Self::When(when) => match (holds(&when.0, scope)?, &when.2) {
                (true, _) => when.1.json_in(scope, style, opened, out),
                (false, Some(otherwise)) => otherwise.json_in(scope, style, opened, out),
                (false, None) => Ok(false),
            },
            Self::Error(told) => told.json(scope, out),
            Self::Constant(_) | Self::Expression(..) | Self::Translate(_) => {
                let value = self.value(scope)?;
                if let Some(value) = &value {
                    expression::value::to_json(value, out);
                }
                Ok(value.is_some())
            }
        }
    }

    /// Whether it is omitted from an object if it has the zero value.
    fn omits_zeros(&self, style: JsonStyle) -> bool {
        match style.zeros {
            ZeroValues::Keep => false,
            ZeroValues::Omit => true,
            ZeroValues::OmitCopied => self.is_copy(),
        }
    }

    /// Whether it is a copy, not constant or computed.
    fn is_copy(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Expression(..) | Self::Translate(_) | Self::Error(_) => false,
            Self::Default(both) => both.0.is_copy() && both.1.is_copy(),
            Self::When(when) => when.1.is_copy() && when.2.as_ref().is_none_or(Self::is_copy),
            // An empty one is a constant.
            Self::Object(members) => !members.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Path(..) | Self::Each(_) => true,
        }
    }

    /// Whether `"0"` is a text, and not a 64-bit integer of a field, which is written as a string.
    fn is_text_zero(&self, types: &MessageTypes, written: &[u8]) -> bool {
        written == b"\"0\""
            && match self {
                Self::Path(ValueSource::Reply(target) | ValueSource::Item(target), _) => target.field(types).kind == FieldKind::String,
                _ => true,
            }
    }

    /// Whether it uses the body of the request.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Error(_) => false,
            Self::Path(source, _) => source.reads_body(),
            Self::Expression(expression, _) => expression.reads("body"),
            Self::Object(members) => members.iter().any(|(_, template)| template.reads_body()),
            Self::List(items) => items.iter().any(Self::reads_body),
            Self::Default(both) => both.0.reads_body() || both.1.reads_body(),
            Self::Translate(translation) => translation.from.reads_body() || translation.otherwise.as_ref().is_some_and(Self::reads_body),
            Self::Each(each) => each.0.reads_body() || each.2.reads_body(),
            Self::When(when) => when.0.reads("body") || when.1.reads_body() || when.2.as_ref().is_some_and(Self::reads_body),
        }
    }

    /// Whether it uses all messages of a stream.
    pub fn gathers(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Error(_) => false,
            Self::Path(source, _) => source.gathers(),
            Self::Expression(expression, _) => expression.reads("replies"),
            Self::Object(members) => members.iter().any(|(_, template)| template.gathers()),
            Self::List(items) => items.iter().any(Self::gathers),
            Self::Default(both) => both.0.gathers() || both.1.gathers(),
            Self::Translate(translation) => translation.from.gathers() || translation.otherwise.as_ref().is_some_and(Self::gathers),
            Self::Each(each) => each.0.gathers() || each.2.gathers(),
            Self::When(when) => when.0.reads("replies") || when.1.gathers() || when.2.as_ref().is_some_and(Self::gathers),
        }
    }
}

impl Translation {
    fn value(&self, scope: &CallScope<'_>) -> Result<Option<Value>, Error> {
        let Some(found) = self.from.value(scope)? else { return Ok(None) };
        let text = value::to_text(&found).unwrap_or_default();
        if let Some((_, value)) = self.entries.iter().find(|(known, _)| *known == text) {
            return Ok(Some(value.clone()));
        }
        if let Some(otherwise) = &self.otherwise {
            return otherwise.value(scope);
        }
        let known: Vec<&str> = self.entries.iter().map(|(known, _)| known.as_str()).collect();
        Err(Error::invalid(self.from.to_string(), format!("must be one of {}, not {text:?}", known.join(", "))))
    }
}

impl ValueSource {
    /// Returns the value, or `None` if it is absent.
    pub fn value(&self, scope: &CallScope<'_>) -> Result<Option<Value>, Error> {
        Ok(match self {
            Self::Parameter(place) => parameter(scope, *place),
            Self::Body(names) => match scope.received.map(|received| &received.payload) {
                Some(payload) if names.is_empty() => payload.value(),
                Some(payload) => payload.tree().and_then(|tree| value::walk(tree, names)),
                None => None,
            },
            Self::Reply(target) => field_value(scope.types, target, scope.reply.map(|(_, bytes)| bytes))?,
            Self::Item(target) => field_value(scope.types, target, item(scope).map(|(_, bytes)| bytes))?,
            Self::Message => scope.variable("item")?,
            Self::Messages(target, _) => field_value(scope.types, target, scope.reply.map(|(_, bytes)| bytes))?,
            Self::Replies => scope.variable("replies")?,
            Self::List(expression) => Some(evaluate(expression, "", scope)?),
            Self::Variable(name, names) => scope.variable(name)?.and_then(|value| value::walk(&value, names)),
        })
    }

    fn json<'t, 'b>(
        &'t self,
        scope: &CallScope<'b>,
        style: JsonStyle,
        opened: &mut MessageCache<'t, 'b>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let field = match self {
            Self::Reply(target) => scope.reply.map(|(_, bytes)| (target, bytes)),
            Self::Item(target) => item(scope).map(|(_, bytes)| (target, bytes)),
            Self::Message => {
                if let Some((id, bytes)) = item(scope) {
                    json::encode_value_as(scope.types, id, bytes, style, out)?;
                    return Ok(true);
                }
                None
            }
            Self::Variable(name, names) if names.is_empty() && name == "reply" => {
                if let Some((id, bytes)) = scope.reply {
                    json::encode_value_as(scope.types, id, bytes, style, out)?;
                    return Ok(true);
                }
                None
            }
            _ => None,
        };
        if let Some((target, bytes)) = field {
            let Some(last) = target.steps.last() else { return Ok(false) };
            let field = last.field(scope.types);
            match opened.find(scope.types, target, bytes).map_err(broken)? {
                FieldValue::Absent => return Ok(false),
                FieldValue::Scalar(value) => json::encode_scalar(scope.types, field.kind, value, style, out).map_err(broken)?,
                FieldValue::Within(inside) => json::encode_field_as(scope.types, last.message, field, inside, style, out)?,
            }
            return Ok(true);
        }
        let value = self.value(scope)?;
        if let Some(value) = &value {
            expression::value::to_json(value, out);
        }
        Ok(value.is_some())
    }

    /// Calls a function for each item of a list.
    pub fn each<'a>(&self, scope: &CallScope<'a>, run: &mut dyn FnMut(CallScope<'_>) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Replies => {
                let Some((id, replies)) = scope.replies else { return Ok(()) };
                replies.iter().enumerate().try_for_each(|(index, bytes)| run(scope.with_item(ListItem::Message(id, bytes), index)))
            }
            Self::Messages(target, id) => {
                let Some((_, bytes)) = scope.reply else { return Ok(()) };
                let Some((_, field, bytes)) = locate(scope.types, target, bytes)? else { return Ok(()) };
                let (mut fields, mut index) = (Fields::of(bytes), 0);
                while let Some((number, value)) = fields.field().map_err(broken)? {
                    if let (true, WireValue::Bytes(message)) = (number == field.number, value) {
                        run(scope.with_item(ListItem::Message(*id, message), index))?;
                        index += 1;
                    }
                }
                Ok(())
            }
            _ => match self.value(scope)? {
                Some(Value::List(items)) => {
                    items.iter().enumerate().try_for_each(|(index, item)| run(scope.with_item(ListItem::Value(item), index)))
                }
                None | Some(Value::Null) => Ok(()),
                Some(_) => Err(Error::invalid(self.name(), "must be a list")),
            },
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Body(names) => names.join("."),
            Self::Variable(name, names) => std::iter::once(name).chain(names).cloned().collect::<Vec<_>>().join("."),
            _ => String::new(),
        }
    }

    /// Whether it uses the body of the request.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Body(_) => true,
            Self::List(expression) => expression.reads("body"),
            _ => false,
        }
    }

    fn gathers(&self) -> bool {
        match self {
            Self::Replies => true,
            Self::List(expression) => expression.reads("replies"),
            Self::Variable(name, _) => name == "replies",
            _ => false,
        }
    }
}

/// Evaluates an expression. The error contains its text, because either the request or the definition must be corrected.
pub fn evaluate(expression: &Expression, text: &str, scope: &CallScope<'_>) -> Result<Value, Error> {
    // An error in a named value is reported as such, not as a missing value.
    if let Some(named) = scope.named {
        for name in named.names().filter(|name| expression.reads(name)) {
            scope.variable(name)?;
        }
    }
    expression.evaluate(scope).map_err(|problem| {
        if scope.reply.is_some() || scope.replies.is_some() || scope.error.is_some() {
            Error::internal(format!("the response can't be made: `{text}`: {problem}"))
        } else {
            Error::invalid("", format!("the request can't be understood: {problem}"))
        }
    })
}

/// Evaluates a condition.
pub fn holds(condition: &Expression, scope: &CallScope<'_>) -> Result<bool, Error> {
    Ok(evaluate(condition, "when", scope)? == Value::Bool(true))
}

fn parameter(scope: &CallScope<'_>, place: usize) -> Option<Value> {
    let parameter = scope.parameters.list.get(place)?;
    match scope.received?.given.get(place)? {
        // It was checked when the request was read.
        Some(given) => value::of_parameter(parameter, given).ok(),
        None => parameter.default.as_ref().map(value::from_json),
    }
}

pub fn item<'a>(scope: &CallScope<'a>) -> Option<(MessageId, &'a [u8])> {
    match scope.item? {
        (ListItem::Message(id, bytes), _) => Some((id, bytes)),
        (ListItem::Value(_), _) => None,
    }
}

/// The type of the message that contains a field, the field, and the message.
pub type Located<'s, 'b> = (MessageId, &'s Field, &'b [u8]);

/// Finds the message that contains a field. Returns `None` if a message on the path is not set.
pub fn locate<'s, 'b>(types: &'s MessageTypes, target: &FieldPath, bytes: &'b [u8]) -> Result<Option<Located<'s, 'b>>, Error> {
    let mut inside = bytes;
    let Some((last, outer)) = target.steps.split_last() else { return Ok(None) };
    for step in outer {
        match wire::last(inside, step.field(types).number).map_err(broken)? {
            Some(WireValue::Bytes(bytes)) => inside = bytes,
            _ => return Ok(None),
        }
    }
    let field = last.field(types);
    if field.shape == (FieldShape::Singular { presence: true }) && wire::last(inside, field.number).map_err(broken)?.is_none() {
        return Ok(None);
    }
    Ok(Some((last.message, field, inside)))
}

fn field_value(types: &'static MessageTypes, target: &FieldPath, bytes: Option<&[u8]>) -> Result<Option<Value>, Error> {
    let Some(bytes) = bytes else { return Ok(None) };
    let Some((parent, field, bytes)) = locate(types, target, bytes)? else { return Ok(None) };
    expression::value::from_field(types, parent, field, bytes).map_err(broken)
}

pub fn broken(_: Malformed) -> Error {
    Error::internal("the reply is not a message of its type")
}

fn is_zero(json: &[u8]) -> bool {
    matches!(json, b"0" | b"0.0" | b"\"\"" | b"false" | b"[]" | b"\"0\"")
}

fn list(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    out.push(b'[');
    write(out)?;
    out.push(b']');
    Ok(())
}

/// Appends an item, with a comma before it if needed. Appends nothing if it is absent.
fn separated(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<bool, Error>) -> Result<(), Error> {
    let before = out.len();
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
    if !write(out)? {
        out.truncate(before);
    }
    Ok(())
}
