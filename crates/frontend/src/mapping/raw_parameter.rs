//! The value of a parameter as the request has it, before it is converted to the parameter's type.

use std::borrow::Cow;

use http::HeaderValue;

/// The value of one parameter, as text.
#[derive(Clone, Debug)]
pub enum RawParameter<'a> {
    /// One text.
    Text(Cow<'a, str>),
    /// A header's value.
    Header(HeaderValue),
    /// Several texts.
    List(Vec<Cow<'a, str>>),
    /// Texts by name.
    Members(Vec<(Cow<'a, str>, Cow<'a, str>)>),
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
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Text(text) => RawParameter::Text(own(text)),
            Self::Header(value) => RawParameter::Header(value),
            Self::List(texts) => RawParameter::List(texts.into_iter().map(own).collect()),
            Self::Members(members) => RawParameter::Members(members.into_iter().map(|(name, text)| (own(name), own(text))).collect()),
            Self::Empty => RawParameter::Empty,
        }
    }
}
