//! A case: a request, the correct response, and the reason why it is correct.

use bytes::Bytes;

use crate::right::Right;

/// The topics that transcoders get wrong. Each topic has cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    EncodedSlash,
    PathAndBody,
    UnknownParameter,
    MalformedJson,
    WrongMethod,
    UnknownRoute,
    Query,
    ClientStream,
    ServerStream,
    MidStream,
    Details,
    Codes,
    Deadlines,
    Patch,
    Trailers,
    OnePort,
}

impl Row {
    /// All rows, in the order of the page.
    pub const ALL: [Self; 16] = [
        Self::EncodedSlash,
        Self::PathAndBody,
        Self::UnknownParameter,
        Self::MalformedJson,
        Self::WrongMethod,
        Self::UnknownRoute,
        Self::Query,
        Self::ClientStream,
        Self::ServerStream,
        Self::MidStream,
        Self::Details,
        Self::Codes,
        Self::Deadlines,
        Self::Patch,
        Self::Trailers,
        Self::OnePort,
    ];

    /// The heading of the row.
    pub const fn title(self) -> &'static str {
        match self {
            Self::EncodedSlash => "An encoded slash in a path",
            Self::PathAndBody => "A field that path and body both set",
            Self::UnknownParameter => "An unknown query parameter",
            Self::MalformedJson => "Malformed JSON",
            Self::WrongMethod => "A wrong method",
            Self::UnknownRoute => "An unknown route",
            Self::Query => "Query parameters",
            Self::ClientStream => "A stream of requests in one body",
            Self::ServerStream => "A stream of replies",
            Self::MidStream => "An error in mid-stream",
            Self::Details => "Details of an error",
            Self::Codes => "Codes and preconditions",
            Self::Deadlines => "Deadlines",
            Self::Patch => "The mask of a PATCH",
            Self::Trailers => "Trailing metadata",
            Self::OnePort => "REST and gRPC-Web on one port",
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    /// The path with the query, exactly as it is sent.
    pub path: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Bytes,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub row: Row,
    /// A unique name.
    pub name: String,
    pub request: Request,
    pub right: Right,
    /// The reason why this response is correct.
    pub why: &'static str,
    /// Whether the other transcoders have the feature that the request needs.
    pub for_peers: bool,
}

impl Case {
    /// Creates a case. `request` is a method and a path.
    pub fn new(row: Row, name: impl Into<String>, request: &str, right: Right, why: &'static str) -> Self {
        let (method, path) = request.split_once(' ').unwrap();
        const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"];
        let method = METHODS.into_iter().find(|known| *known == method).unwrap();
        let request = Request { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() };
        Self { row, name: name.into(), request, right, why, for_peers: true }
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.request.headers.push((name, value));
        self
    }

    /// Adds a body with this content type.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self.header("content-type", content_type)
    }

    pub fn json(self, body: &'static str) -> Self {
        self.body("application/json", body)
    }

    /// Marks a case about a feature that only Prism has.
    pub fn only_prism(mut self) -> Self {
        self.for_peers = false;
        self
    }
}
