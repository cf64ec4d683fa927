//! The value of a parameter as the request has it.

use std::borrow::Cow;

use http::HeaderValue;

use crate::expression::Value;

/// The value of one parameter.
#[derive(Clone, Debug)]
pub enum RawParameter<'a> {
    /// One text. It is converted to the parameter's type where it is used.
    Text(Cow<'a, str>),
    /// A header's value.
    Header(HeaderValue),
    /// A value of the parameter's type, for parameters that are more than one text.
    Value(Value),
    /// The parameter is there without a value.
    Empty,
}

impl RawParameter<'_> {
    /// Returns the text, if the value is a single one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Header(value) => value.to_str().ok(),
            _ => None,
        }
    }

    /// Copies what is borrowed from the request.
    pub fn into_owned(self) -> RawParameter<'static> {
        match self {
            Self::Text(text) => RawParameter::Text(Cow::Owned(text.into_owned())),
            Self::Header(value) => RawParameter::Header(value),
            Self::Value(value) => RawParameter::Value(value),
            Self::Empty => RawParameter::Empty,
        }
    }
}
