//! Values of a definition, compiled: what they are in a request's message and in a response's body.

use std::fmt;

use super::{
    error::Told,
    opened::{Found, Opened},
    scope::{Item, Scope},
    value,
};
use crate::{
    bind::Target,
    expression::{self, Expression, Value},
    json::{self, Style, Zeros, put_string},
    schema::{Field, MessageId, Schema, Shape},
    wire::{self, Fields, Malformed, Value as Wire},
};
use prism_call::Error;

/// A value, compiled.
#[derive(Debug)]
pub enum Template {
    /// It is known already.
    Constant(Value),
    /// A path of names.
    Path(Source, String),
    /// An expression.
    Expression(Box<Expression>, String),
    /// Members by name.
    Object(Vec<(Name, Self)>),
    /// Items.
    List(Vec<Self>),
    /// The first, or the second if the first is absent.
    Default(Box<(Self, Self)>),
    /// A translation of texts.
    Translate(Box<Translation>),
    /// One item for each of a list.
    Each(Box<(Source, String, Self)>),
    /// One of two.
    When(Box<(Expression, Self, Option<Self>)>),
    /// An error that the reply tells of.
    Error(Told),
}

/// The name of a member.
#[derive(Debug)]
pub struct Name {
    text: String,
    /// As it stands in JSON, with the colon.
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
    /// What is translated.
    pub from: Template,
    /// Texts and what they become.
    pub entries: Vec<(String, Value)>,
    /// What all others become; without it they are refused.
    pub otherwise: Option<Template>,
}

/// Where a path of names leads, as far as that is known without a request.
#[derive(Debug)]
pub enum Source {
    /// A parameter by its place, whole.
    Parameter(usize),
    /// The body, or a part of it.
    Body(Vec<String>),
    /// A field of the reply.
    Reply(Target),
    /// A field of an item that is a message.
    Item(Target),
    /// An item that is a message, whole.
    Message,
    /// Messages in a repeated field of the reply; only in `$each`.
    Messages(Target, MessageId),
    /// All messages of a stream; only in `$each`.
    Replies,
    /// An expression's list; only in `$each`.
    List(Box<Expression>),
    /// A variable by its name, and a path into it.
    Variable(String, Vec<String>),
}

impl Template {
    /// The value; none if it is absent.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, Error> {
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

    /// Appends the value as JSON; `false`: it is absent, and nothing was appended.
    pub fn json(&self, scope: &Scope<'_>, style: Style, out: &mut Vec<u8>) -> Result<bool, Error> {
        self.json_in(scope, style, &mut Opened::default(), out)
    }

    fn json_in<'t, 'b>(&'t self, scope: &Scope<'b>, style: Style, opened: &mut Opened<'t, 'b>, out: &mut Vec<u8>) -> Result<bool, Error> {
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
                    if !there || template.omits_zeros(style) && is_zero(&out[at..]) && !template.is_text_zero(&out[at..]) {
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

    /// Whether, as a member of an object, it is left out if it is zero.
    fn omits_zeros(&self, style: Style) -> bool {
        match style.zeros {
            Zeros::Keep => false,
            Zeros::Omit => true,
            Zeros::OmitCopied => self.is_copy(),
        }
    }

    /// Whether it copies something; what is constant or computed is written as it is.
    fn is_copy(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Expression(..) | Self::Translate(_) | Self::Error(_) => false,
            Self::Default(both) => both.0.is_copy() && both.1.is_copy(),
            Self::When(when) => when.1.is_copy() && when.2.as_ref().is_none_or(Self::is_copy),
            // An empty one is there because the definition wants it to be.
            Self::Object(members) => !members.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Path(..) | Self::Each(_) => true,
        }
    }

    /// `"0"` is a zero if a 64-bit integer is written as a string, and not if it is a text.
    fn is_text_zero(&self, written: &[u8]) -> bool {
        written == b"\"0\"" && !matches!(self, Self::Path(Source::Reply(_) | Source::Item(_), _))
    }

    /// Whether it needs the body of the request.
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

    /// Whether it speaks of all messages of a stream.
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
    fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, Error> {
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

impl Source {
    /// The value that is there; none if it is absent.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, Error> {
        Ok(match self {
            Self::Parameter(place) => parameter(scope, *place),
            Self::Body(names) => match scope.received.map(|received| &received.payload) {
                Some(payload) if names.is_empty() => payload.value(),
                Some(payload) => payload.tree().and_then(|tree| value::walk(tree, names)),
                None => None,
            },
            Self::Reply(target) => field_value(scope.schema, target, scope.reply.map(|(_, bytes)| bytes))?,
            Self::Item(target) => field_value(scope.schema, target, item(scope).map(|(_, bytes)| bytes))?,
            Self::Message => scope.variable("item")?,
            Self::Messages(target, _) => field_value(scope.schema, target, scope.reply.map(|(_, bytes)| bytes))?,
            Self::Replies => scope.variable("replies")?,
            Self::List(expression) => Some(evaluate(expression, "", scope)?),
            Self::Variable(name, names) => scope.variable(name)?.and_then(|value| value::walk(&value, names)),
        })
    }

    fn json<'t, 'b>(&'t self, scope: &Scope<'b>, style: Style, opened: &mut Opened<'t, 'b>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let field = match self {
            Self::Reply(target) => scope.reply.map(|(_, bytes)| (target, bytes)),
            Self::Item(target) => item(scope).map(|(_, bytes)| (target, bytes)),
            Self::Message => {
                if let Some((id, bytes)) = item(scope) {
                    json::encode_value_as(scope.schema, id, bytes, style, out)?;
                    return Ok(true);
                }
                None
            }
            Self::Variable(name, names) if names.is_empty() && name == "reply" => {
                if let Some((id, bytes)) = scope.reply {
                    json::encode_value_as(scope.schema, id, bytes, style, out)?;
                    return Ok(true);
                }
                None
            }
            _ => None,
        };
        if let Some((target, bytes)) = field {
            let Some(last) = target.steps.last() else { return Ok(false) };
            let field = last.field(scope.schema);
            match opened.find(scope.schema, target, bytes).map_err(broken)? {
                Found::Absent => return Ok(false),
                Found::Scalar(value) => json::encode_scalar(scope.schema, field.kind, value, style, out).map_err(broken)?,
                Found::Within(inside) => json::encode_field_as(scope.schema, last.message, field, inside, style, out)?,
            }
            return Ok(true);
        }
        let value = self.value(scope)?;
        if let Some(value) = &value {
            expression::value::to_json(value, out);
        }
        Ok(value.is_some())
    }

    /// Runs over the items of a list.
    pub fn each<'a>(&self, scope: &Scope<'a>, run: &mut dyn FnMut(Scope<'_>) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Replies => {
                let Some((id, replies)) = scope.replies else { return Ok(()) };
                replies.iter().enumerate().try_for_each(|(index, bytes)| run(scope.with_item(Item::Message(id, bytes), index)))
            }
            Self::Messages(target, id) => {
                let Some((_, bytes)) = scope.reply else { return Ok(()) };
                let Some((_, field, bytes)) = locate(scope.schema, target, bytes)? else { return Ok(()) };
                let (mut fields, mut index) = (Fields::of(bytes), 0);
                while let Some((number, value)) = fields.field().map_err(broken)? {
                    if let (true, Wire::Bytes(message)) = (number == field.number, value) {
                        run(scope.with_item(Item::Message(*id, message), index))?;
                        index += 1;
                    }
                }
                Ok(())
            }
            _ => match self.value(scope)? {
                Some(Value::List(items)) => {
                    items.iter().enumerate().try_for_each(|(index, item)| run(scope.with_item(Item::Value(item), index)))
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

    fn reads_body(&self) -> bool {
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

/// The result of an expression; the refusal names it, since somebody has to mend either the request or the definition.
pub fn evaluate(expression: &Expression, text: &str, scope: &Scope<'_>) -> Result<Value, Error> {
    // What is wrong with a named value is told as such, and not as its absence.
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

/// Whether a condition holds.
pub fn holds(condition: &Expression, scope: &Scope<'_>) -> Result<bool, Error> {
    Ok(evaluate(condition, "when", scope)? == Value::Bool(true))
}

fn parameter(scope: &Scope<'_>, place: usize) -> Option<Value> {
    let parameter = scope.parameters.list.get(place)?;
    match scope.received?.given.get(place)? {
        // It was checked when the request was read.
        Some(given) => value::of_parameter(parameter, given).ok(),
        None => parameter.default.as_ref().map(value::from_json),
    }
}

pub fn item<'a>(scope: &Scope<'a>) -> Option<(MessageId, &'a [u8])> {
    match scope.item? {
        (Item::Message(id, bytes), _) => Some((id, bytes)),
        (Item::Value(_), _) => None,
    }
}

/// The type of the message that a field is in, the field, and the message.
pub type Located<'s, 'b> = (MessageId, &'s Field, &'b [u8]);

/// The message that a field is in, unless the field, or a message on the way, is not set.
pub fn locate<'s, 'b>(schema: &'s Schema, target: &Target, bytes: &'b [u8]) -> Result<Option<Located<'s, 'b>>, Error> {
    let mut inside = bytes;
    let Some((last, outer)) = target.steps.split_last() else { return Ok(None) };
    for step in outer {
        match wire::last(inside, step.field(schema).number).map_err(broken)? {
            Some(Wire::Bytes(bytes)) => inside = bytes,
            _ => return Ok(None),
        }
    }
    let field = last.field(schema);
    if field.shape == (Shape::Singular { presence: true }) && wire::last(inside, field.number).map_err(broken)?.is_none() {
        return Ok(None);
    }
    Ok(Some((last.message, field, inside)))
}

fn field_value(schema: &'static Schema, target: &Target, bytes: Option<&[u8]>) -> Result<Option<Value>, Error> {
    let Some(bytes) = bytes else { return Ok(None) };
    let Some((parent, field, bytes)) = locate(schema, target, bytes)? else { return Ok(None) };
    expression::value::from_field(schema, parent, field, bytes).map_err(broken)
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

/// Appends an item with the comma that it needs before it, or nothing if it is absent.
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
