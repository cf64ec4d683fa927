//! Renders errors in the form that an API defines.

use std::{collections::HashMap, sync::LazyLock};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message as _;

use super::{
    rendered::{Rendered, Status, is_json, put_headers},
    scope::CallScope,
    template::{ValueTemplate, broken, item, locate},
    value,
};
use crate::{
    bind::FieldPath,
    expression::{self, Value},
    json::{JsonStyle, put_string},
    problem::{self, ProblemDocument},
    wire::{self, WireValue},
};
use prism_call::{Error, proto::google::rpc};

/// How an API renders errors.
#[derive(Debug, Default)]
pub struct Errors {
    /// The form of all errors.
    pub form: ErrorForm,
    /// Special cases.
    pub cases: ErrorCases,
}

impl Errors {
    /// Returns what APIs have that do not render errors themselves.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Errors> = LazyLock::new(Errors::default);
        &NONE
    }
}

/// The form of an error response.
#[derive(Debug, Default)]
pub struct ErrorForm {
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// Its headers.
    pub headers: Vec<(http::HeaderName, ValueTemplate)>,
    /// Its body. The outer `None`: the body of the API's form. The inner `None`: no body.
    pub body: Option<Option<ValueTemplate>>,
}

/// Special cases, by reason, code or status.
#[derive(Debug, Default)]
pub struct ErrorCases(pub HashMap<String, ErrorCase>);

/// A special case.
#[derive(Debug, Default)]
pub struct ErrorCase {
    /// The status, if it differs.
    pub status: Option<Status>,
    /// The value of `error.code`.
    pub code: Option<ValueTemplate>,
    /// The value of `error.message`.
    pub message: Option<ValueTemplate>,
    /// The form, as far as it differs.
    pub form: ErrorForm,
}

impl ErrorCases {
    /// Finds a case by reason, then by code, then by status.
    fn find(&self, error: &Error, status: StatusCode) -> Option<&ErrorCase> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(error.reason()).or_else(|| self.0.get(error.code().name())).or_else(|| self.0.get(status.as_str()))
    }
}

impl Errors {
    /// Whether all errors are rendered as problem documents (RFC 9457).
    pub fn are_problems(&self) -> bool {
        self.form.body.is_none() && self.cases.0.is_empty()
    }

    /// Renders an error. `own` contains the special cases of the route.
    pub fn render(&self, error: &Error, own: Option<&ErrorCases>, scope: &CallScope<'_>) -> Rendered {
        self.render_as(problem::status(error), error, own, scope)
    }

    /// Renders an error that has this status unless a case says otherwise.
    pub fn render_as(&self, status: StatusCode, error: &Error, own: Option<&ErrorCases>, scope: &CallScope<'_>) -> Rendered {
        let case = own.and_then(|own| own.find(error, status)).or_else(|| self.cases.find(error, status));
        match self.try_render(error, status, case, scope) {
            Ok(rendered) => rendered,
            // An expression of the definition failed. The original error must not be lost.
            Err(_) => problem_document(error),
        }
    }

    fn try_render(&self, error: &Error, status: StatusCode, case: Option<&ErrorCase>, scope: &CallScope<'_>) -> Result<Rendered, Error> {
        let facts = ErrorFacts { error, status, code: None, message: None };
        let facts = match case {
            None => facts,
            Some(case) => {
                let plain = facts.value();
                let inner = CallScope { error: Some(&plain), ..*scope };
                let status = case.status.as_ref().map_or(Ok(status), |status| status.of(&inner))?;
                let plain = ErrorFacts { error, status, code: None, message: None }.value();
                let inner = CallScope { error: Some(&plain), ..*scope };
                let value = |template: &Option<ValueTemplate>| template.as_ref().map_or(Ok(None), |template| template.value(&inner));
                ErrorFacts { error, status, code: value(&case.code)?, message: value(&case.message)? }
            }
        };
        let form = |pick: fn(&ErrorForm) -> bool| match case {
            Some(case) if pick(&case.form) => &case.form,
            _ => &self.form,
        };
        let body = form(|form| form.body.is_some());
        let told = facts.value();
        let scope = CallScope { error: Some(&told), ..*scope };
        let mut headers = HeaderMap::new();
        ProblemDocument::with_status(error, facts.status).headers(&mut headers);
        let mut out = Vec::new();
        match &body.body {
            None => ProblemDocument::with_status(error, facts.status).write(&mut out),
            Some(None) => drop(headers.remove(header::CONTENT_TYPE)),
            Some(Some(template)) => {
                let typed = form(|form| form.content_type.is_some()).content_type.clone();
                let content_type = typed.unwrap_or(HeaderValue::from_static("application/json"));
                let json = is_json(&content_type);
                headers.insert(header::CONTENT_TYPE, content_type);
                if json {
                    template.json(&scope, JsonStyle { numbers: true, ..JsonStyle::default() }, &mut out)?;
                } else if let Some(text) = template.value(&scope)?.and_then(|value| value::to_text(&value)) {
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        // Headers of the case replace those of the API with the same name.
        put_headers(&self.form.headers, &scope, &mut headers)?;
        if let Some(case) = case {
            put_headers(&case.form.headers, &scope, &mut headers)?;
        }
        Ok(Rendered { status: facts.status, headers, body: out.into() })
    }
}

/// An error in a reply, such as the error of one item of a batch. It is rendered like the error of a call.
#[derive(Debug)]
pub struct EmbeddedError {
    /// The location of the `google.rpc.Status`.
    pub place: ErrorLocation,
    /// The path in the definition.
    pub text: String,
}

/// The location of an error in a reply.
#[derive(Debug)]
pub enum ErrorLocation {
    /// A field of the reply.
    Reply(FieldPath),
    /// A field of the item.
    Item(FieldPath),
    /// The item itself.
    Whole,
}

impl EmbeddedError {
    /// Returns the error, or `None` if it is not set.
    fn error(&self, scope: &CallScope<'_>) -> Result<Option<Error>, Error> {
        let item = item(scope).map(|(_, bytes)| bytes);
        let (target, bytes) = match &self.place {
            ErrorLocation::Reply(target) => (Some(target), scope.reply.map(|(_, bytes)| bytes)),
            ErrorLocation::Item(target) => (Some(target), item),
            ErrorLocation::Whole => (None, item),
        };
        let Some(mut found) = bytes else { return Ok(None) };
        if let Some(target) = target {
            let Some((_, field, inside)) = locate(scope.types, target, found)? else { return Ok(None) };
            let Some(WireValue::Bytes(inner)) = wire::last(inside, field.number).map_err(broken)? else { return Ok(None) };
            found = inner;
        }
        let status = rpc::Status::decode(found).map_err(|_| Error::internal("the reply contains a malformed error"))?;
        Ok(Some(Error::from_status(status)))
    }

    /// Appends the body of the error's response. Returns `false` if there is no error.
    pub fn json(&self, scope: &CallScope<'_>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let Some(error) = self.error(scope)? else { return Ok(false) };
        let (errors, own) = scope.errors;
        let Rendered { headers, body, .. } = errors.render(&error, own, scope);
        if headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
            out.extend_from_slice(&body);
        } else {
            put_string(&String::from_utf8_lossy(&body), out);
        }
        Ok(true)
    }

    /// Returns the body of the error's response as a value.
    pub fn value(&self, scope: &CallScope<'_>) -> Result<Option<Value>, Error> {
        let mut out = Vec::new();
        if !self.json(scope, &mut out)? {
            return Ok(None);
        }
        let json = serde_json::from_slice(&out).map_err(|_| Error::internal("the body of an error is not JSON"))?;
        Ok(Some(expression::value::from_json(&json)))
    }
}

fn problem_document(error: &Error) -> Rendered {
    let problem = ProblemDocument::of(error);
    let mut headers = HeaderMap::new();
    problem.headers(&mut headers);
    Rendered { status: problem.status(), headers, body: problem.body().into() }
}

/// The value of `error` in expressions.
struct ErrorFacts<'e> {
    error: &'e Error,
    status: StatusCode,
    code: Option<Value>,
    message: Option<Value>,
}

impl ErrorFacts<'_> {
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
