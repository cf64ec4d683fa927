//! The request body of an operation, as its OpenAPI document describes it.

use std::sync::Arc;

use super::form::FormFields;
use crate::expression::Type;

/// A request body.
#[derive(Clone, Debug)]
pub struct RequestBody {
    /// Whether a request without a body is refused.
    pub required: bool,
    /// Its media types.
    pub contents: Vec<BodyContent>,
    /// Which content types it may have.
    pub types: BodyTypes,
    /// Whether members of objects that are `null` count as absent.
    pub drop_nulls: bool,
}

/// The content types that bodies may have.
#[derive(Clone, Debug, Default)]
pub enum BodyTypes {
    /// Those in the document.
    #[default]
    Documented,
    /// Any. The body is read as the first one in the document.
    Any,
    /// These, and none at all. The body is read as the first one in the document.
    Listed(Arc<[String]>),
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
    /// The fields, if the body is a form.
    pub form: Option<Arc<FormFields>>,
}
