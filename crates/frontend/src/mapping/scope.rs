//! The scope in which the values of a call are evaluated.

use std::sync::OnceLock;

use bytes::Bytes;

use super::{
    error::{ErrorCases, Errors},
    parameter::ParameterLocation,
    request::{Parameters, ReceivedRequest},
    template::ValueTemplate,
    value,
};
use crate::{
    expression::{self, SharedValue, Value, Variables},
    message_types::{MessageId, MessageTypes},
};
use prism_call::{Error, Proof, RequestId};

/// The variables of one call, and what is needed to evaluate them.
#[derive(Clone, Copy)]
pub struct CallScope<'a> {
    /// Proves that the request is observed.
    pub proof: Proof,
    /// All message types.
    pub types: &'static MessageTypes,
    /// The parameters of the operation.
    pub parameters: &'a Parameters,
    /// The request.
    pub received: Option<&'a ReceivedRequest<'a>>,
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Id of the call, once it has one.
    pub request_id: Option<&'a RequestId>,
    /// The settings of the binding.
    pub settings: &'a Value,
    /// The reply, or one message of its stream.
    pub reply: Option<(MessageId, &'a [u8])>,
    /// The reply, if its bytes can be shared instead of copied.
    pub shared: Option<&'a Bytes>,
    /// All replies of a stream.
    pub replies: Option<(MessageId, &'a [Bytes])>,
    /// The current item of `$each`, with its index.
    pub item: Option<(ListItem<'a>, usize)>,
    /// The value of `error`, if an error is rendered.
    pub error: Option<&'a Value>,
    /// How errors are rendered: the API's rules, and the special cases of the route.
    pub errors: (&'a Errors, Option<&'a ErrorCases>),
    /// Named values (`let`).
    pub named: Option<&'a NamedValues<'a>>,
    /// The results of the steps so far (`first`).
    pub results: Option<&'a [(String, SharedValue)]>,
}

/// The named values (`let`) of a case. Each is evaluated once, when it is first used.
#[derive(Debug)]
pub struct NamedValues<'a> {
    list: &'a [(String, ValueTemplate)],
    made: Vec<OnceLock<Option<SharedValue>>>,
}

impl<'a> NamedValues<'a> {
    /// Creates the values of a case.
    pub fn new(list: &'a [(String, ValueTemplate)]) -> Self {
        Self { list, made: list.iter().map(|_| OnceLock::new()).collect() }
    }

    fn get(&self, name: &str, scope: &CallScope<'_>) -> Result<Option<&SharedValue>, Error> {
        let Some(place) = self.list.iter().position(|(known, _)| known == name) else { return Ok(None) };
        if let Some(made) = self.made[place].get() {
            return Ok(made.as_ref());
        }
        // A value can use those before it, but not itself.
        let value = self.list[place].1.value(&CallScope { item: None, ..*scope })?;
        Ok(self.made[place].get_or_init(|| value.map(SharedValue::new)).as_ref())
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(name, _)| name.as_str())
    }
}

/// An item of a list.
#[derive(Clone, Copy, Debug)]
pub enum ListItem<'a> {
    /// An encoded message.
    Message(MessageId, &'a [u8]),
    /// A value.
    Value(&'a Value),
}

impl<'a> CallScope<'a> {
    /// Returns the scope for one item of a list.
    #[must_use]
    pub const fn with_item(mut self, item: ListItem<'a>, index: usize) -> Self {
        self.item = Some((item, index));
        self
    }

    /// Returns the value of a variable, or `None` if it is not set.
    pub fn variable(&self, name: &str) -> Result<Option<Value>, Error> {
        let message = |id, bytes| {
            expression::value::from_message(self.types, id, bytes)
                .map_err(|_| Error::internal(format!("the reply is not a message of its type {}", self.types.message(id).name)))
        };
        Ok(match name {
            "path" => Some(self.given(ParameterLocation::Path, None)),
            "query" => Some(self.given(ParameterLocation::Query, None)),
            "header" => Some(self.given(ParameterLocation::Header, None)),
            "cookie" => Some(self.given(ParameterLocation::Cookie, None)),
            // A missing body is an empty object, so that `has(body.x)` works.
            "body" => self.received.map(|received| received.payload.value().unwrap_or_else(|| value::map([]))),
            "settings" => Some(self.settings.clone()),
            "request" => Some(self.request()),
            "reply" => self.reply.map(|(id, bytes)| message(id, bytes)).transpose()?,
            "replies" => match self.replies {
                Some((id, replies)) => {
                    let values: Result<Vec<_>, _> = replies.iter().map(|bytes| message(id, bytes)).collect();
                    Some(Value::List(values?.into()))
                }
                None => None,
            },
            "item" => match self.item {
                Some((ListItem::Message(id, bytes), _)) => Some(message(id, bytes)?),
                Some((ListItem::Value(value), _)) => Some(value.clone()),
                None => None,
            },
            "index" => self.item.map(|(_, index)| Value::Int(i64::try_from(index).unwrap_or(i64::MAX))),
            "error" => self.error.cloned(),
            _ => match (self.results.and_then(|results| results.iter().find(|(known, _)| known == name)), self.named) {
                (Some((_, result)), _) => Some(result.value().clone()),
                (None, Some(named)) => named.get(name, self)?.map(|made| made.value().clone()),
                (None, None) => None,
            },
        })
    }

    fn request(&self) -> Value {
        let text = |name: &str, text: &str| (name.to_owned(), Value::String(text.to_owned().into()));
        let method = self.received.map_or("", |received| received.method.as_str());
        let path = self.received.map_or("", |received| &received.path);
        let id = self.request_id.map(ToString::to_string).unwrap_or_default();
        let content_type = self.received.map_or("", |received| &received.content_type);
        let known = [text("method", method), text("path", path), text("id", &id), text("namespace", self.namespace)];
        value::map(known.into_iter().chain([text("content_type", content_type)]))
    }

    /// Returns the parameters of one location that are set or have a default.
    fn given(&self, location: ParameterLocation, only: Option<&[String]>) -> Value {
        let Some(received) = self.received else { return value::map([]) };
        let listed = self.parameters.list.iter().zip(&received.given).filter(|(parameter, _)| parameter.location == location);
        let entries = listed.flat_map(|(parameter, given)| {
            let found = match given {
                // It was checked when the request was read.
                Some(given) => value::of_parameter(parameter, given).ok(),
                None => parameter.default.as_ref().map(value::from_json),
            };
            let underscored =
                (location == ParameterLocation::Header && parameter.name.contains('-')).then(|| parameter.name.replace('-', "_"));
            let names = [Some(parameter.name.clone()), underscored];
            let wanted = move |name: &String| only.is_none_or(|only| only.contains(name));
            let names: Vec<String> = names.into_iter().flatten().filter(wanted).collect();
            found.into_iter().flat_map(move |found| names.clone().into_iter().map(move |name| (name, found.clone())))
        });
        value::map(entries)
    }
}

impl CallScope<'_> {
    /// Returns only these fields of a message, so that large unused fields are not copied.
    fn fields(&self, id: MessageId, bytes: &[u8], names: &[String]) -> Option<Value> {
        let message = self.types.message(id);
        if message.special.is_some() {
            return None;
        }
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let Some(field) = message.fields.iter().find(|field| field.name == *name) else { continue };
            if let Some(value) = expression::value::from_field(self.types, id, field, bytes).ok()? {
                entries.push((name.clone(), value));
            }
        }
        Some(value::map(entries))
    }
}

impl Variables for CallScope<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        // Errors are reported where the body is read.
        self.variable(name).ok().flatten()
    }

    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        let made = match (name, self.reply, self.item) {
            ("reply", Some((id, bytes)), _) | ("item", _, Some((ListItem::Message(id, bytes), _))) => self.fields(id, bytes, members),
            ("path", ..) => Some(self.given(ParameterLocation::Path, Some(members))),
            ("query", ..) => Some(self.given(ParameterLocation::Query, Some(members))),
            ("header", ..) => Some(self.given(ParameterLocation::Header, Some(members))),
            ("cookie", ..) => Some(self.given(ParameterLocation::Cookie, Some(members))),
            _ => None,
        };
        made.or_else(|| self.get(name))
    }

    fn shared(&self, name: &str) -> Option<&SharedValue> {
        if let Some((_, result)) = self.results.and_then(|results| results.iter().find(|(known, _)| known == name)) {
            return Some(result);
        }
        // As in `get`, an error is reported where the value is read.
        self.named?.get(name, self).ok().flatten()
    }
}
