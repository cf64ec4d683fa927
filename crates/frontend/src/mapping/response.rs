//! Maps a reply to a response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    rendered::{Rendered, Status, is_json, put_headers},
    scope::CallScope,
    template::{ValueSource, ValueTemplate, holds, locate},
    value,
};
use crate::{
    expression::{Expression, Value},
    json::JsonStyle,
    message_types::{FieldKind, FieldShape},
    render::Accept,
    wire::{self, WireValue},
};
use prism_call::{Code, Error};

/// The mapping of a reply.
#[derive(Debug)]
pub struct ResponsePlan {
    /// The cases. The first one whose condition holds is used.
    pub cases: Vec<ResponseCase>,
}

/// A case of the mapping.
#[derive(Debug)]
pub struct ResponseCase {
    /// The condition; `None`: always.
    pub when: Option<Expression>,
    /// The result.
    pub outcome: Outcome,
}

/// The result of mapping a reply.
#[derive(Debug)]
pub enum Outcome {
    /// A response.
    Answer(Answer),
    /// An error.
    Error(Refusal),
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// Its headers.
    pub headers: Vec<(HeaderName, ValueTemplate)>,
    /// Its possible content types, the preferred one first; empty: it has no body.
    pub content_types: Vec<HeaderValue>,
    /// Its body, if it has one.
    pub body: Option<ValueTemplate>,
}

/// An error that a definition raises.
#[derive(Debug)]
pub struct Refusal {
    /// Its code.
    pub code: Code,
    /// Its reason.
    pub reason: String,
    /// Its message; `None`: the reason.
    pub message: Option<ValueTemplate>,
}

impl Refusal {
    /// Creates the error.
    pub fn error(&self, scope: &CallScope<'_>) -> Error {
        let told = self.message.as_ref().and_then(|template| template.value(scope).ok().flatten());
        let message = told.and_then(|value| value::to_text(&value)).unwrap_or_else(|| self.reason.clone());
        Error::new(self.code, self.reason.clone(), message)
    }
}

impl ResponsePlan {
    /// Whether it uses all messages of a stream.
    pub fn gathers(&self) -> bool {
        self.uses("replies", ValueTemplate::gathers)
    }

    /// Whether it uses the body of the request.
    pub fn reads_body(&self) -> bool {
        self.uses("body", ValueTemplate::reads_body)
    }

    /// Whether an expression reads a variable, or a value uses it.
    fn uses(&self, variable: &str, value_uses: fn(&ValueTemplate) -> bool) -> bool {
        self.cases.iter().any(|case| {
            case.when.as_ref().is_some_and(|when| when.reads(variable))
                || match &case.outcome {
                    Outcome::Answer(answer) => {
                        answer.body.as_ref().is_some_and(value_uses)
                            || answer.headers.iter().any(|(_, template)| value_uses(template))
                            || matches!(&answer.status, Status::Expression(expression, _) if expression.reads(variable))
                    }
                    Outcome::Error(refusal) => refusal.message.as_ref().is_some_and(value_uses),
                }
        })
    }

    /// Refuses a request whose `Accept` allows no possible response. Runs before the call, so that a refused request changes nothing.
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
        let message = format!("this operation responds with {}; `Accept` allows none of them", types.join(" or "));
        Err(Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message))
    }

    /// Chooses the case for a reply.
    pub fn choose(&self, scope: &CallScope<'_>) -> Result<&Outcome, Error> {
        for case in &self.cases {
            if case.when.as_ref().map_or(Ok(true), |when| holds(when, scope))? {
                return Ok(&case.outcome);
            }
        }
        Err(Error::internal("no response in the definition matches this reply"))
    }
}

impl Answer {
    /// Returns the content type that the client prefers.
    fn choose(&self, accept: &Accept<'_>) -> Option<&HeaderValue> {
        if let ([only], true) = (self.content_types.as_slice(), accept.any()) {
            return Some(only);
        }
        let essence = |value: &HeaderValue| value.to_str().ok().map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let names: Vec<String> = self.content_types.iter().filter_map(essence).collect();
        let offers: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        accept.best(offers.iter().map(<[&str; 1]>::as_slice)).and_then(|place| self.content_types.get(place))
    }

    /// Renders the response.
    pub fn render(&self, scope: &CallScope<'_>, accept: &Accept<'_>, style: JsonStyle) -> Result<Rendered, Error> {
        let status = self.status.of(scope)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 4);
        put_headers(&self.headers, scope, &mut headers)?;
        let (Some(template), Some(preferred)) = (&self.body, self.content_types.first()) else {
            return Ok(Rendered { status, headers, body: Bytes::new() });
        };
        let content_type = if accept.any() { preferred } else { self.choose(accept).unwrap_or(preferred) };
        let json = is_json(content_type);
        let body = if json {
            // An estimate, with names and escapes.
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
            // Clients control stored bytes, so a browser must not interpret them as a page or a script.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        Ok(Rendered { status, headers, body })
    }
}

/// Renders bytes or text without encoding. Does not copy a `bytes` field of a reply.
fn plain(template: &ValueTemplate, scope: &CallScope<'_>) -> Result<Bytes, Error> {
    if let ValueTemplate::Path(ValueSource::Reply(target), _) = template
        && let Some((_, reply)) = scope.reply
    {
        let Some((_, field, inside)) = locate(scope.types, target, reply)? else { return Ok(Bytes::new()) };
        if let (FieldShape::Singular { .. }, FieldKind::Bytes | FieldKind::String) = (field.shape, field.kind) {
            let found = wire::last(inside, field.number).map_err(|_| Error::internal("the reply is not a message of its type"))?;
            return Ok(match (found, scope.shared) {
                (Some(WireValue::Bytes(bytes)), Some(whole)) => whole.slice_ref(bytes),
                (Some(WireValue::Bytes(bytes)), None) => Bytes::copy_from_slice(bytes),
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
