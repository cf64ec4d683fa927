//! From a reply to a response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    error::Status,
    scope::Scope,
    template::{Source, Template, holds, locate},
    value,
};
use crate::{
    expression::{Expression, Value},
    json::Style,
    render::Accept,
    schema::{Kind, Shape},
    wire::{self, Value as Wire},
};
use prism_call::{Code, Error};

/// A response, ready to be sent.
#[derive(Debug)]
pub struct Rendered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, the content type among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What a reply becomes.
#[derive(Debug)]
pub struct ResponsePlan {
    /// The first whose condition holds is taken.
    pub cases: Vec<ResponseCase>,
}

/// What a reply becomes if a condition holds.
#[derive(Debug)]
pub struct ResponseCase {
    /// The condition; none: always.
    pub when: Option<Expression>,
    /// What is told.
    pub outcome: Outcome,
}

/// What a reply comes to.
#[derive(Debug)]
pub enum Outcome {
    /// A response.
    Answer(Answer),
    /// An error after all.
    Error(Refusal),
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// Its headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// The content types that it may have, the preferred one first; none: it has no body.
    pub content_types: Vec<HeaderValue>,
    /// Its body; none: it has none.
    pub body: Option<Template>,
}

/// An error that a definition raises.
#[derive(Debug)]
pub struct Refusal {
    /// Its code.
    pub code: Code,
    /// Its reason.
    pub reason: String,
    /// What it says.
    pub message: Option<Template>,
}

impl Refusal {
    /// The error.
    pub fn error(&self, scope: &Scope<'_>) -> Error {
        let told = self.message.as_ref().and_then(|template| template.value(scope).ok().flatten());
        let message = told.and_then(|value| value::to_text(&value)).unwrap_or_else(|| self.reason.clone());
        Error::new(self.code, self.reason.clone(), message)
    }
}

impl ResponsePlan {
    /// Whether it speaks of all messages of a stream.
    pub fn gathers(&self) -> bool {
        self.cases.iter().any(|case| {
            case.when.as_ref().is_some_and(|when| when.reads("replies"))
                || match &case.outcome {
                    Outcome::Answer(answer) => {
                        answer.body.as_ref().is_some_and(Template::gathers)
                            || answer.headers.iter().any(|(_, template)| template.gathers())
                            || matches!(&answer.status, Status::Expression(expression, _) if expression.reads("replies"))
                    }
                    Outcome::Error(refusal) => refusal.message.as_ref().is_some_and(Template::gathers),
                }
        })
    }

    /// Refuses a request of which no answer could be sent. This comes before the call, so that nothing is changed for
    /// nothing.
    pub fn acceptable(&self, accept: &Accept<'_>) -> Result<(), Error> {
        if accept.any() {
            return Ok(());
        }
        let mut types = Vec::new();
        for case in &self.cases {
            let Outcome::Answer(answer) = &case.outcome else { continue };
            if answer.content_types.is_empty() || answer.choose(accept).is_some() {
                return Ok(());
            }
            types.extend(answer.content_types.iter().filter_map(|value| value.to_str().ok()));
        }
        types.dedup();
        if types.is_empty() {
            return Ok(());
        }
        let message = format!("this operation answers with {}; `Accept` allows none of it", types.join(" or "));
        Err(Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message))
    }

    /// The case that a reply falls under.
    pub fn choose(&self, scope: &Scope<'_>) -> Result<&Outcome, Error> {
        for case in &self.cases {
            if case.when.as_ref().map_or(Ok(true), |when| holds(when, scope))? {
                return Ok(&case.outcome);
            }
        }
        Err(Error::internal("the definition has no response for this reply"))
    }
}

impl Answer {
    /// The content type that a client takes best.
    fn choose(&self, accept: &Accept<'_>) -> Option<&HeaderValue> {
        if let ([only], true) = (self.content_types.as_slice(), accept.any()) {
            return Some(only);
        }
        let essence = |value: &HeaderValue| value.to_str().ok().map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let names: Vec<String> = self.content_types.iter().filter_map(essence).collect();
        let offers: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        accept.best(offers.iter().map(<[&str; 1]>::as_slice)).and_then(|place| self.content_types.get(place))
    }

    /// The response.
    pub fn render(&self, scope: &Scope<'_>, accept: &Accept<'_>, style: Style) -> Result<Rendered, Error> {
        let status = self.status.of(scope)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 4);
        put_headers(&self.headers, scope, &mut headers)?;
        let (Some(template), Some(preferred)) = (&self.body, self.content_types.first()) else {
            return Ok(Rendered { status, headers, body: Bytes::new() });
        };
        let content_type = if accept.any() { preferred } else { self.choose(accept).unwrap_or(preferred) };
        let json = is_json(content_type);
        let body = if json {
            // About what it will have, with names and escapes.
            let mut out = Vec::with_capacity(scope.reply.map_or(0, |(_, reply)| reply.len() / 4 * 5) + 128);
            if !template.json(scope, style, &mut out)? {
                out.extend_from_slice(b"null");
            }
            Bytes::from(out)
        } else {
            plain(template, scope)?
        };
        headers.entry(header::CONTENT_TYPE).or_insert_with(|| content_type.clone());
        if !json {
            // Stored bytes are not ours; a browser must not take them for a page or a script.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        Ok(Rendered { status, headers, body })
    }
}

/// Bytes and texts as they are. A `bytes` field of a reply is not even copied.
fn plain(template: &Template, scope: &Scope<'_>) -> Result<Bytes, Error> {
    if let Template::Path(Source::Reply(target), _) = template
        && let Some((_, reply)) = scope.reply
    {
        let Some((_, field, inside)) = locate(scope.schema, target, reply)? else { return Ok(Bytes::new()) };
        if let (Shape::Singular { .. }, Kind::Bytes | Kind::String) = (field.shape, field.kind) {
            let found = wire::last(inside, field.number).map_err(|_| Error::internal("the reply is not a message of its type"))?;
            return Ok(match (found, scope.shared) {
                (Some(Wire::Bytes(bytes)), Some(whole)) => whole.slice_ref(bytes),
                (Some(Wire::Bytes(bytes)), None) => Bytes::copy_from_slice(bytes),
                _ => Bytes::new(),
            });
        }
    }
    Ok(match template.value(scope)? {
        Some(Value::Bytes(bytes)) => Bytes::from(bytes.to_vec()),
        Some(value) => value::to_text(&value).unwrap_or_default().into(),
        None => Bytes::new(),
    })
}

/// Adds headers. One that is absent, or whose value no header may have, is left out.
pub fn put_headers(list: &[(HeaderName, Template)], scope: &Scope<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
    for (name, template) in list {
        let made = match template.value(scope)? {
            None | Some(Value::Null) => None,
            Some(Value::UInt(number)) => Some(HeaderValue::from(number)),
            Some(Value::Int(number)) => Some(HeaderValue::from(number)),
            Some(value) => value::to_text(&value).and_then(|text| HeaderValue::try_from(text).ok()),
        };
        if let Some(value) = made {
            headers.insert(name.clone(), value);
        }
    }
    Ok(())
}

/// Whether bodies of this type are JSON.
pub fn is_json(content_type: &HeaderValue) -> bool {
    content_type.to_str().is_ok_and(|text| crate::bind::ContentType::of(text).is_json())
}
