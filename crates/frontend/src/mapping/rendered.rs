//! Rendered responses, and the status and headers of answers and errors.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    scope::CallScope,
    template::{ValueTemplate, evaluate},
    value,
};
use crate::expression::{Expression, Value};
use prism_call::Error;

/// A rendered response.
#[derive(Debug)]
pub struct Rendered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, including the content type.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A status: fixed, or computed by an expression.
#[derive(Debug)]
pub enum Status {
    /// Fixed.
    Fixed(StatusCode),
    /// Computed by an expression.
    Expression(Box<Expression>, String),
}

impl Status {
    /// Evaluates the status.
    pub fn of(&self, scope: &CallScope<'_>) -> Result<StatusCode, Error> {
        let (expression, text) = match self {
            Self::Fixed(status) => return Ok(*status),
            Self::Expression(expression, text) => (expression, text),
        };
        let number = match evaluate(expression, text, scope)? {
            Value::Int(number) => u16::try_from(number).ok(),
            Value::UInt(number) => u16::try_from(number).ok(),
            _ => None,
        };
        let status = number.and_then(|number| StatusCode::from_u16(number).ok()).filter(|status| status.as_u16() >= 200);
        status.ok_or_else(|| Error::internal(format!("the response can't be made: the status `{text}` is not a number from 200 to 599")))
    }
}

/// Sets headers. Omits those that are absent, and those whose value is invalid in a header.
pub fn put_headers(list: &[(HeaderName, ValueTemplate)], scope: &CallScope<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
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

/// Whether a content type is JSON.
pub fn is_json(content_type: &HeaderValue) -> bool {
    content_type.to_str().is_ok_and(|text| crate::bind::ContentType::of(text).is_json())
}
