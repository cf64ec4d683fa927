//! From an error to a response, as an API tells its errors.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message as _;

use super::{
    response::{Rendered, put_headers},
    scope::Scope,
    template::{Template, broken, item, locate},
    value,
};
use crate::{
    bind::Target,
    expression::{self, Expression, Value},
    json::{Style, put_string},
    problem::{self, Problem},
    wire::{self, Value as Wire},
};
use prism_call::{Error, proto::google::rpc};

/// How an API tells its errors.
#[derive(Debug, Default)]
pub struct Errors {
    /// Of every error.
    pub form: Form,
    /// What is different for some.
    pub cases: Cases,
}

/// What an error's response looks like.
#[derive(Debug, Default)]
pub struct Form {
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// Its headers.
    pub headers: Vec<(http::HeaderName, Template)>,
    /// Its body; the outer none: that of the wider form.
    pub body: Option<Option<Template>>,
}

/// What is different for errors by reason, code or status.
#[derive(Debug, Default)]
pub struct Cases(pub HashMap<String, Case>);

/// What is different for one kind of errors.
#[derive(Debug, Default)]
pub struct Case {
    /// Another status.
    pub status: Option<Status>,
    /// What `error.code` is.
    pub code: Option<Template>,
    /// What `error.message` is.
    pub message: Option<Template>,
    /// Another form.
    pub form: Form,
}

/// A status that is fixed, or told by an expression.
#[derive(Debug)]
pub enum Status {
    /// Fixed.
    Fixed(StatusCode),
    /// Told by an expression.
    Expression(Box<Expression>, String),
}

impl Status {
    /// The status in one case.
    pub fn of(&self, scope: &Scope<'_>) -> Result<StatusCode, Error> {
        let (expression, text) = match self {
            Self::Fixed(status) => return Ok(*status),
            Self::Expression(expression, text) => (expression, text),
        };
        let number = match super::template::evaluate(expression, text, scope)? {
            Value::Int(number) => u16::try_from(number).ok(),
            Value::UInt(number) => u16::try_from(number).ok(),
            _ => None,
        };
        let status = number.and_then(|number| StatusCode::from_u16(number).ok()).filter(|status| status.as_u16() >= 200);
        status.ok_or_else(|| Error::internal(format!("the response can't be made: the status `{text}` is no number from 200 to 599")))
    }
}

impl Cases {
    /// By reason, then by code, then by status.
    fn find(&self, error: &Error, status: StatusCode) -> Option<&Case> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(error.reason()).or_else(|| self.0.get(error.code().name())).or_else(|| self.0.get(status.as_str()))
    }
}

impl Errors {
    /// Whether errors are told as problem documents (RFC 9457).
    pub fn are_problems(&self) -> bool {
        self.form.body.is_none() && self.cases.0.is_empty()
    }

    /// The response that tells an error. `own` are the cases of the route that it came up in.
    pub fn render(&self, error: &Error, own: Option<&Cases>, scope: &Scope<'_>) -> Rendered {
        let status = problem::status(error);
        let case = own.and_then(|own| own.find(error, status)).or_else(|| self.cases.find(error, status));
        match self.try_render(error, status, case, scope) {
            Ok(rendered) => rendered,
            // The definition was checked, and yet an expression failed: the error itself must not be lost.
            Err(_) => problem_document(error),
        }
    }

    fn try_render(&self, error: &Error, status: StatusCode, case: Option<&Case>, scope: &Scope<'_>) -> Result<Rendered, Error> {
        let facts = Facts { error, status, code: None, message: None };
        let facts = match case {
            None => facts,
            Some(case) => {
                let plain = facts.value();
                let inner = Scope { error: Some(&plain), ..*scope };
                let status = case.status.as_ref().map_or(Ok(status), |status| status.of(&inner))?;
                let plain = Facts { error, status, code: None, message: None }.value();
                let inner = Scope { error: Some(&plain), ..*scope };
                let value = |template: &Option<Template>| template.as_ref().map_or(Ok(None), |template| template.value(&inner));
                Facts { error, status, code: value(&case.code)?, message: value(&case.message)? }
            }
        };
        let form = |pick: fn(&Form) -> bool| match case {
            Some(case) if pick(&case.form) => &case.form,
            _ => &self.form,
        };
        let body = form(|form| form.body.is_some());
        let told = facts.value();
        let scope = Scope { error: Some(&told), ..*scope };
        let mut headers = HeaderMap::new();
        Problem::with_status(error, facts.status).headers(&mut headers);
        let mut out = Vec::new();
        match &body.body {
            None => Problem::with_status(error, facts.status).write(&mut out),
            Some(None) => drop(headers.remove(header::CONTENT_TYPE)),
            Some(Some(template)) => {
                let typed = form(|form| form.content_type.is_some()).content_type.clone();
                let content_type = typed.unwrap_or(HeaderValue::from_static("application/json"));
                let json = super::response::is_json(&content_type);
                headers.insert(header::CONTENT_TYPE, content_type);
                if json {
                    template.json(&scope, Style { numbers: true, ..Style::default() }, &mut out)?;
                } else if let Some(text) = template.value(&scope)?.and_then(|value| value::to_text(&value)) {
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        // Those of the case count before those of every error, name by name.
        put_headers(&self.form.headers, &scope, &mut headers)?;
        if let Some(case) = case {
            put_headers(&case.form.headers, &scope, &mut headers)?;
        }
        Ok(Rendered { status: facts.status, headers, body: out.into() })
    }
}

/// An error that is a part of a reply, as of one item among many: told by the same table as an error that is all there is.
#[derive(Debug)]
pub struct Told {
    /// Where it is, a `google.rpc.Status`.
    pub place: Place,
    /// The path as it stands in the definition.
    pub text: String,
}

/// Where an error is.
#[derive(Debug)]
pub enum Place {
    /// A field of the reply.
    Reply(Target),
    /// A field of the item.
    Item(Target),
    /// The item itself.
    Whole,
}

impl Told {
    /// The error; none if it is not set.
    fn error(&self, scope: &Scope<'_>) -> Result<Option<Error>, Error> {
        let item = item(scope).map(|(_, bytes)| bytes);
        let (target, bytes) = match &self.place {
            Place::Reply(target) => (Some(target), scope.reply.map(|(_, bytes)| bytes)),
            Place::Item(target) => (Some(target), item),
            Place::Whole => (None, item),
        };
        let Some(mut found) = bytes else { return Ok(None) };
        if let Some(target) = target {
            let Some((_, field, inside)) = locate(scope.schema, target, found)? else { return Ok(None) };
            let Some(Wire::Bytes(inner)) = wire::last(inside, field.number).map_err(broken)? else { return Ok(None) };
            found = inner;
        }
        let status = rpc::Status::decode(found).map_err(|_| Error::internal("the reply has an error that can't be read"))?;
        Ok(Some(Error::from_status(status)))
    }

    /// Appends the body that a response would have which tells the error; `false`: there is none, and nothing was appended.
    pub fn json(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let Some(error) = self.error(scope)? else { return Ok(false) };
        let (errors, own) = scope.errors;
        let Rendered { headers, body, .. } = errors.render(&error, own, scope);
        if headers.get(header::CONTENT_TYPE).is_some_and(super::response::is_json) {
            out.extend_from_slice(&body);
        } else {
            put_string(&String::from_utf8_lossy(&body), out);
        }
        Ok(true)
    }

    /// The same as a value.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, Error> {
        let mut out = Vec::new();
        if !self.json(scope, &mut out)? {
            return Ok(None);
        }
        let json = serde_json::from_slice(&out).map_err(|_| Error::internal("an error's body is no JSON"))?;
        Ok(Some(expression::value::from_json(&json)))
    }
}

fn problem_document(error: &Error) -> Rendered {
    let problem = Problem::of(error);
    let mut headers = HeaderMap::new();
    problem.headers(&mut headers);
    Rendered { status: problem.status(), headers, body: problem.body().into() }
}

/// What `error` is in expressions.
struct Facts<'e> {
    error: &'e Error,
    status: StatusCode,
    code: Option<Value>,
    message: Option<Value>,
}

impl Facts<'_> {
    fn value(&self) -> Value {
        let text = |text: &str| Value::String(text.to_owned().into());
        let metadata = self.error.metadata().map(|(key, value)| (key.to_owned(), text(value)));
        let violations = self.error.violations().iter().map(|violation| {
            value::map([("field".to_owned(), text(&violation.field)), ("description".to_owned(), text(&violation.description))])
        });
        let status = Value::Int(self.status.as_u16().into());
        let message = || text(self.error.message());
        value::map([
            ("status".to_owned(), status.clone()),
            ("code".to_owned(), self.code.clone().unwrap_or(status)),
            ("message".to_owned(), self.message.clone().unwrap_or_else(message)),
            ("reason".to_owned(), text(self.error.reason())),
            ("grpc_code".to_owned(), text(self.error.code().name())),
            ("grpc_number".to_owned(), Value::Int(self.error.code().number().into())),
            ("metadata".to_owned(), value::map(metadata)),
            ("violations".to_owned(), Value::List(violations.collect::<Vec<_>>().into())),
        ])
    }
}
