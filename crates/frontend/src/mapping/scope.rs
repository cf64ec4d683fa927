//! What a mapping sees while it runs.

use std::sync::OnceLock;

use bytes::Bytes;

use super::{
    error::{Cases, Errors},
    request::{Parameters, Received},
    template::Template,
    value,
};
use crate::{
    definition::Location,
    expression::{self, Value, Variables},
    schema::{MessageId, Schema},
};
use prism_call::{Error, RequestId};

/// What every mapping of one call sees.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// All message types.
    pub schema: &'static Schema,
    /// The request's parameters, as the document describes them.
    pub parameters: &'a Parameters,
    /// The request.
    pub received: Option<&'a Received<'a>>,
    /// Name of the namespace.
    pub namespace: &'a str,
    /// What the call is named by, once it is.
    pub request_id: Option<&'a RequestId>,
    /// What the binding decided.
    pub settings: &'a Value,
    /// The reply, or one of its stream.
    pub reply: Option<(MessageId, &'a [u8])>,
    /// The reply, where it may be shared instead of copied.
    pub shared: Option<&'a Bytes>,
    /// All replies of a stream.
    pub replies: Option<(MessageId, &'a [Bytes])>,
    /// What `$item` is about.
    pub item: Option<(Item<'a>, usize)>,
    /// The error that is told.
    pub error: Option<&'a Value>,
    /// How errors are told, and what is different for those of the route.
    pub errors: (&'a Errors, Option<&'a Cases>),
    /// Values with names of their own.
    pub named: Option<&'a Named<'a>>,
}

/// Values that a case names (`let`), each made once, when something asks for it.
#[derive(Debug)]
pub struct Named<'a> {
    list: &'a [(String, Template)],
    made: Vec<OnceLock<Option<Value>>>,
}

impl<'a> Named<'a> {
    /// Of a case.
    pub fn new(list: &'a [(String, Template)]) -> Self {
        Self { list, made: list.iter().map(|_| OnceLock::new()).collect() }
    }

    fn get(&self, name: &str, scope: &Scope<'_>) -> Result<Option<Value>, Error> {
        let Some(place) = self.list.iter().position(|(known, _)| known == name) else { return Ok(None) };
        if let Some(made) = self.made[place].get() {
            return Ok(made.clone());
        }
        // A name sees those before it, and never itself.
        let value = self.list[place].1.value(&Scope { item: None, ..*scope })?;
        Ok(self.made[place].get_or_init(|| value).clone())
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(name, _)| name.as_str())
    }
}

/// One of a list.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A message, not yet looked into.
    Message(MessageId, &'a [u8]),
    /// A value.
    Value(&'a Value),
}

impl<'a> Scope<'a> {
    /// The same for one item of a list.
    #[must_use]
    pub const fn with_item(mut self, item: Item<'a>, index: usize) -> Self {
        self.item = Some((item, index));
        self
    }

    /// The value of a variable; none if it isn't there.
    pub fn variable(&self, name: &str) -> Result<Option<Value>, Error> {
        let message = |id, bytes| {
            expression::value::from_message(self.schema, id, bytes)
                .map_err(|_| Error::internal(format!("the reply is not a message of its type {}", self.schema.message(id).name)))
        };
        Ok(match name {
            "path" => Some(self.given(Location::Path, None)),
            "query" => Some(self.given(Location::Query, None)),
            "header" => Some(self.given(Location::Header, None)),
            "cookie" => Some(self.given(Location::Cookie, None)),
            // A body that isn't there has no members, so that `has(body.x)` can be asked.
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
                Some((Item::Message(id, bytes), _)) => Some(message(id, bytes)?),
                Some((Item::Value(value), _)) => Some(value.clone()),
                None => None,
            },
            "index" => self.item.map(|(_, index)| Value::Int(i64::try_from(index).unwrap_or(i64::MAX))),
            "error" => self.error.cloned(),
            _ => match self.named {
                Some(named) => named.get(name, self)?,
                None => None,
            },
        })
    }

    fn request(&self) -> Value {
        let text = |name: &str, text: &str| (name.to_owned(), Value::String(text.to_owned().into()));
        let method = self.received.map_or("", |received| received.method.as_str());
        let path = self.received.map_or("", |received| &received.path);
        let id = self.request_id.map(ToString::to_string).unwrap_or_default();
        value::map([text("method", method), text("path", path), text("id", &id), text("namespace", self.namespace)])
    }

    /// The parameters of one place that the request gives, or that have a default.
    fn given(&self, location: Location, only: Option<&[String]>) -> Value {
        let Some(received) = self.received else { return value::map([]) };
        let listed = self.parameters.list.iter().zip(&received.given).filter(|(parameter, _)| parameter.location == location);
        let entries = listed.flat_map(|(parameter, given)| {
            let found = match given {
                // They were checked when the request was read.
                Some(given) => value::of_parameter(parameter, given).ok(),
                None => parameter.default.as_ref().map(value::from_json),
            };
            let underscored = (location == Location::Header && parameter.name.contains('-')).then(|| parameter.name.replace('-', "_"));
            let names = [Some(parameter.name.clone()), underscored];
            let wanted = move |name: &String| only.is_none_or(|only| only.contains(name));
            let names: Vec<String> = names.into_iter().flatten().filter(wanted).collect();
            found.into_iter().flat_map(move |found| names.clone().into_iter().map(move |name| (name, found.clone())))
        });
        value::map(entries)
    }
}

impl Scope<'_> {
    /// Only these fields of a message: large ones that nobody asks for are not even copied.
    fn fields(&self, id: MessageId, bytes: &[u8], names: &[String]) -> Option<Value> {
        let message = self.schema.message(id);
        if message.special.is_some() {
            return None;
        }
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let Some(field) = message.fields.iter().find(|field| field.name == *name) else { continue };
            if let Some(value) = expression::value::from_field(self.schema, id, field, bytes).ok()? {
                entries.push((name.clone(), value));
            }
        }
        Some(value::map(entries))
    }
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        // What can't be read is told where the body is read; here it would come a second time.
        self.variable(name).ok().flatten()
    }

    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        let made = match (name, self.reply, self.item) {
            ("reply", Some((id, bytes)), _) | ("item", _, Some((Item::Message(id, bytes), _))) => self.fields(id, bytes, members),
            ("path", ..) => Some(self.given(Location::Path, Some(members))),
            ("query", ..) => Some(self.given(Location::Query, Some(members))),
            ("header", ..) => Some(self.given(Location::Header, Some(members))),
            ("cookie", ..) => Some(self.given(Location::Cookie, Some(members))),
            _ => None,
        };
        made.or_else(|| self.get(name))
    }
}
