//! The parameters of an operation, as its OpenAPI document describes them.

use std::sync::Arc;

use super::{
    styled::{ParameterStyle, StyledFormat},
    text_type::{TextObject, TextType},
};
use crate::expression::Type;
use prism_call::Error;

/// The part of a request that contains a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterLocation {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
    /// In a form, which is the body.
    Form,
}

impl ParameterLocation {
    /// Returns the value of `in` in the document, which is also the name of the variable in expressions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Form => "body",
        }
    }
}

/// How the text of a parameter is read.
#[derive(Clone, Debug)]
pub enum ParameterFormat {
    /// It is one value. Most parameters are.
    Text(TextType),
    /// It is JSON.
    Json,
    /// It has several values.
    Styled(Box<StyledFormat>),
    /// It is a list of the segments of a path that `**` matches. The type is that of an item.
    Segments(TextType),
}

impl ParameterFormat {
    /// Whether pairs have the name of the parameter. The members of an exploded object are written without it.
    pub fn has_own_name(&self) -> bool {
        self.free_members().is_none()
            || matches!(self, Self::Styled(format) if format.kind.list().is_some() || format.kind.single().is_some())
    }

    /// Returns the members of an object whose members are pairs of their own.
    pub fn free_members(&self) -> Option<&Arc<TextObject>> {
        match self {
            Self::Styled(format) if format.explode && format.style != ParameterStyle::Deep => format.kind.object(),
            _ => None,
        }
    }

    /// Whether the names of pairs have the path of a member in brackets.
    pub fn is_deep(&self) -> bool {
        matches!(self, Self::Styled(format) if format.style == ParameterStyle::Deep)
    }
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name; in lower case if it is a header.
    pub name: String,
    /// The part of the request that contains it.
    pub location: ParameterLocation,
    /// Whether a request without it is refused.
    pub required: bool,
    /// The type of its value.
    pub value: Type,
    /// How its text is read.
    pub format: ParameterFormat,
    /// The value if it is missing.
    pub default: Option<serde_json::Value>,
    /// Whether it may be empty.
    pub allow_empty: bool,
    /// Its schema as JSON, if the type alone does not express it.
    pub schema: Option<Arc<str>>,
}

impl Parameter {
    /// Creates a parameter of the path `also_under`. It is missing if a request uses the path without that prefix.
    pub fn of_prefix(name: String) -> Self {
        let (location, value, format) = (ParameterLocation::Path, Type::String, ParameterFormat::Text(TextType::Text));
        Self { name, location, required: false, value, format, default: None, allow_empty: false, schema: None }
    }
}

/// Returns `INVALID_ARGUMENT INVALID_FIELD` for a part of the request.
pub fn invalid(place: &'static str, name: &str, refusal: &str) -> Error {
    Error::invalid(name, refusal.to_owned()).with("in", place).with("parameter", name)
}
