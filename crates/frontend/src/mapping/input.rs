//! What an operation takes, as its OpenAPI document describes it: parameters and the request body.

use std::sync::Arc;

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
}

impl ParameterLocation {
    /// Returns the value of `in` in the document, which is also the name of the variable in expressions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How a parameter is serialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterStyle {
    /// One value.
    Plain,
    /// `a=1&a=2`
    Repeated,
    /// `a=1,2`
    Commas,
    /// `a[key]=1`
    Deep,
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
    /// How it is serialized.
    pub style: ParameterStyle,
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
        let (location, value, style) = (ParameterLocation::Path, Type::String, ParameterStyle::Plain);
        Self { name, location, required: false, value, style, default: None, allow_empty: false, schema: None }
    }
}

/// A request body.
#[derive(Clone, Debug)]
pub struct RequestBody {
    /// Whether a request without a body is refused.
    pub required: bool,
    /// Its media types.
    pub contents: Vec<BodyContent>,
    /// Whether it is always read as the first media type, whatever its `Content-Type` is.
    pub any_type: bool,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// As JSON.
    Json,
    /// As a list of JSON texts, one on each line.
    Lines,
    /// As fields of a form.
    Form,
    /// As text in UTF-8.
    Text,
    /// As bytes.
    Bytes,
}

/// A media type of a body.
#[derive(Clone, Debug)]
pub struct BodyContent {
    /// Such as `application/json`, or a range such as `text/*`.
    pub media: String,
    /// How it is read.
    pub reading: BodyFormat,
    /// The type of the body.
    pub value: Type,
    /// Its schema, if the body is JSON or a form.
    pub schema: Option<Arc<str>>,
    /// The schema of each item, if the body is a list.
    pub item_schema: Option<Arc<str>>,
}

/// Returns `INVALID_ARGUMENT INVALID_FIELD` for a part of the request.
pub fn invalid(place: &'static str, name: &str, refusal: &str) -> Error {
    Error::invalid(name, refusal.to_owned()).with("in", place).with("parameter", name)
}
