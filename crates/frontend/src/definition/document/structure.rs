//! The structure of OpenAPI documents: which objects there are, and what their members are.

use http::Method;

use crate::mapping::subschemas::{self, Applicator};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The whole document.
    Document,
    /// `info`, a tag, and others that contain only texts.
    Texts,
    /// `paths`.
    Paths,
    /// One path.
    PathItem,
    /// One method of a path.
    Operation,
    /// A parameter.
    Parameter,
    /// The body of a request.
    RequestBody,
    /// One media type of a body.
    MediaType,
    /// How one member of a form is written.
    Encoding,
    /// `responses`.
    Responses,
    /// One response.
    Response,
    /// A header of a response.
    Header,
    /// A link.
    Link,
    /// A callback.
    Callback,
    /// An example.
    Example,
    /// A security scheme.
    SecurityScheme,
    /// `components`.
    Components,
    /// A schema.
    Schema,
}

/// What a member contains.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Data, which may look like anything.
    Data,
    /// A text. Some documents keep it in another file.
    Text,
    /// An object.
    One(Kind),
    /// Objects by name.
    Named(Kind),
    /// A list of objects.
    List(Kind),
}

use Content::{Data, List, Named, One, Text};

/// Returns the method of an operation by its key in the path, or `None` if the key is none.
pub fn method(key: &str) -> Option<Method> {
    Some(match key {
        "get" => Method::GET,
        "put" => Method::PUT,
        "post" => Method::POST,
        "delete" => Method::DELETE,
        "options" => Method::OPTIONS,
        "head" => Method::HEAD,
        "patch" => Method::PATCH,
        "trace" => Method::TRACE,
        _ => return None,
    })
}

/// Whether a key of a path item is a method.
pub fn is_method(key: &str) -> bool {
    method(key).is_some()
}

/// The members of parameters and headers.
const PARAMETER: &[(&str, Content)] = &[
    ("name", Data),
    ("in", Data),
    ("description", Text),
    ("required", Data),
    ("deprecated", Data),
    ("allowEmptyValue", Data),
    ("style", Data),
    ("explode", Data),
    ("allowReserved", Data),
    ("schema", One(Kind::Schema)),
    ("example", Data),
    ("examples", Named(Kind::Example)),
    ("content", Named(Kind::MediaType)),
];

impl Kind {
    /// Returns the known members.
    pub const fn members(self) -> &'static [(&'static str, Content)] {
        match self {
            Self::Document => &[
                ("openapi", Data),
                ("info", One(Self::Texts)),
                ("jsonSchemaDialect", Data),
                ("servers", Data),
                ("paths", One(Self::Paths)),
                ("webhooks", Named(Self::PathItem)),
                ("components", One(Self::Components)),
                ("security", Data),
                ("tags", List(Self::Texts)),
                ("externalDocs", Data),
            ],
            Self::PathItem => &[
                ("summary", Text),
                ("description", Text),
                ("servers", Data),
                ("parameters", List(Self::Parameter)),
                ("get", One(Self::Operation)),
                ("put", One(Self::Operation)),
                ("post", One(Self::Operation)),
                ("delete", One(Self::Operation)),
                ("options", One(Self::Operation)),
                ("head", One(Self::Operation)),
                ("patch", One(Self::Operation)),
                ("trace", One(Self::Operation)),
            ],
            Self::Operation => &[
                ("tags", Data),
                ("summary", Text),
                ("description", Text),
                ("externalDocs", Data),
                ("operationId", Data),
                ("parameters", List(Self::Parameter)),
                ("requestBody", One(Self::RequestBody)),
                ("responses", One(Self::Responses)),
                ("callbacks", Named(Self::Callback)),
                ("deprecated", Data),
                ("security", Data),
                ("servers", Data),
            ],
            Self::Parameter | Self::Header => PARAMETER,
            Self::RequestBody => &[("description", Text), ("content", Named(Self::MediaType)), ("required", Data)],
            Self::MediaType => &[
                ("schema", One(Self::Schema)),
                ("itemSchema", One(Self::Schema)),
                ("example", Data),
                ("examples", Named(Self::Example)),
                ("encoding", Named(Self::Encoding)),
            ],
            Self::Encoding => {
                &[("contentType", Data), ("headers", Named(Self::Header)), ("style", Data), ("explode", Data), ("allowReserved", Data)]
            }
            Self::Response => &[
                ("description", Text),
                ("headers", Named(Self::Header)),
                ("content", Named(Self::MediaType)),
                ("links", Named(Self::Link)),
            ],
            Self::Link => &[
                ("operationRef", Data),
                ("operationId", Data),
                ("parameters", Data),
                ("requestBody", Data),
                ("description", Text),
                ("server", Data),
            ],
            Self::Example => &[("summary", Text), ("description", Text), ("value", Data), ("externalValue", Data)],
            Self::Components => &[
                ("schemas", Named(Self::Schema)),
                ("responses", Named(Self::Response)),
                ("parameters", Named(Self::Parameter)),
                ("examples", Named(Self::Example)),
                ("requestBodies", Named(Self::RequestBody)),
                ("headers", Named(Self::Header)),
                ("securitySchemes", Named(Self::SecurityScheme)),
                ("links", Named(Self::Link)),
                ("callbacks", Named(Self::Callback)),
                ("pathItems", Named(Self::PathItem)),
            ],
            Self::Texts | Self::SecurityScheme | Self::Paths | Self::Responses | Self::Callback | Self::Schema => &[],
        }
    }

    /// Returns what members with other names contain; `None`: there are no others.
    pub const fn others(self) -> Option<Content> {
        match self {
            Self::Paths | Self::Callback => Some(One(Self::PathItem)),
            Self::Responses => Some(One(Self::Response)),
            Self::Texts | Self::SecurityScheme => Some(Text),
            _ => None,
        }
    }

    /// Returns the section of `components` for objects of this kind.
    pub const fn section(self) -> Option<&'static str> {
        Some(match self {
            Self::Schema => "schemas",
            Self::Response => "responses",
            Self::Parameter => "parameters",
            Self::Example => "examples",
            Self::RequestBody => "requestBodies",
            Self::Header => "headers",
            Self::SecurityScheme => "securitySchemes",
            Self::Link => "links",
            Self::Callback => "callbacks",
            _ => return None,
        })
    }

    /// Returns the kind with an article, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "the document",
            Self::Texts => "this object",
            Self::Paths => "`paths`",
            Self::PathItem => "a path",
            Self::Operation => "an operation",
            Self::Parameter => "a parameter",
            Self::RequestBody => "a request body",
            Self::MediaType => "a media type",
            Self::Encoding => "an encoding",
            Self::Responses => "`responses`",
            Self::Response => "a response",
            Self::Header => "a header",
            Self::Link => "a link",
            Self::Callback => "a callback",
            Self::Example => "an example",
            Self::SecurityScheme => "a security scheme",
            Self::Components => "`components`",
            Self::Schema => "a schema",
        }
    }
}

/// Returns what a keyword of a schema contains, if it contains schemas.
pub fn schemas_in(keyword: &str) -> Option<Content> {
    subschemas::applicator(keyword).map(|applicator| match applicator {
        Applicator::One => One(Kind::Schema),
        Applicator::List => List(Kind::Schema),
        Applicator::Named => Named(Kind::Schema),
    })
}

/// Whether the value of a keyword is data, in which nothing has a meaning.
pub fn is_data(keyword: &str) -> bool {
    matches!(keyword, "example" | "examples" | "default" | "enum" | "const" | "value") || keyword.starts_with("x-")
}

/// Whether a value in the `mapping` of a discriminator is a reference, and not the name of a schema.
pub fn refers(value: &str) -> bool {
    value.contains(['#', '/', '.'])
}

/// Whether the keys of the value of this keyword are names.
pub fn has_names(keyword: &str) -> bool {
    const KEYWORDS: [&str; 16] = [
        "properties",
        "patternProperties",
        "dependentSchemas",
        "$defs",
        "definitions",
        "schemas",
        "responses",
        "parameters",
        "examples",
        "requestBodies",
        "headers",
        "links",
        "callbacks",
        "pathItems",
        "paths",
        "encoding",
    ];
    KEYWORDS.contains(&keyword)
}

/// The other keywords of schemas that have a meaning, or describe something.
pub const KEYWORDS: [&str; 43] = [
    "$ref",
    "$comment",
    "$id",
    "$anchor",
    "$schema",
    "$vocabulary",
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "format",
    "contentEncoding",
    "contentMediaType",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "example",
    "examples",
    "discriminator",
    "xml",
    "externalDocs",
    "nullable",
    "$dynamicRef",
    "$dynamicAnchor",
];
