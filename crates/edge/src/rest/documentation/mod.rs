//! Documentation of an API below its base path: `openapi.json`, `openapi.yaml`, and `docs`, a page to read and try the API.
//!
//! If a route of the API has one of these paths, the route takes precedence. The document depends on the capabilities of the
//! namespace. It is built at the first request, because most gateways are never asked for it. It is then kept, because the
//! capabilities do not change.

mod page;

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use prost::Message as _;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::response;
use crate::{Body, Edge, routing::RestBinding};
use prism_call::{Error, Incoming, Input, Namespace, Output, Protocol, proto::patterns::slots::v1::Capabilities};
use prism_frontend::{openapi, precondition::EntityTags, problem, wire};

/// Builds the part of an API's document that is the same for all namespaces.
pub type Source = Box<dyn Fn() -> Result<Value, Error> + Send + Sync>;

/// The documentation of one API of one namespace at one base path.
pub struct Documentation {
    source: Source,
    documents: OnceCell<Documents>,
}

struct Documents {
    json: Document,
    yaml: Document,
}

/// A document that is ready to be sent.
struct Document {
    content_type: HeaderValue,
    body: Bytes,
    tag: HeaderValue,
}

/// The target of a path below the base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page<'a> {
    Json,
    Yaml,
    /// `docs` without the slash. It is redirected to `docs/`, so that relative links to the files work.
    Docs,
    /// A file of the page. The empty name is the page itself.
    File(&'a str),
}

const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

impl Documentation {
    /// Creates the documentation of an API from the source of its document.
    pub fn new(source: impl Fn() -> Result<Value, Error> + Send + Sync + 'static) -> Self {
        Self { source: Box::new(source), documents: OnceCell::new() }
    }

    /// Returns the documents, which the first call builds. If the namespace cannot report its capabilities, the next call
    /// tries again.
    async fn documents(&self, edge: &Edge, binding: &RestBinding) -> Result<&Documents, Error> {
        let make = || async {
            let capabilities = capabilities(edge, &binding.namespace).await?;
            let served_at = openapi::ServedAt { base_path: &binding.base_path, namespace: &binding.namespace.name };
            let document = openapi::tailor((self.source)()?, &capabilities, served_at);
            let unwritable = |error: &dyn std::fmt::Display| Error::internal(format!("the document can't be written: {error}"));
            let json = serde_json::to_vec_pretty(&document).map_err(|error| unwritable(&error))?;
            let yaml = serde_saphyr::to_string(&document).map_err(|error| unwritable(&error))?;
            Ok(Documents { json: Document::new("application/json", json), yaml: Document::new("application/yaml", yaml) })
        };
        self.documents.get_or_try_init(make).await
    }
}

/// Answers a request that no route takes, or returns `None` if the documentation does not have the path either. If several
/// APIs share a base path, this serves the first one that has documentation.
pub async fn answer(edge: &Edge, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response<Body>> {
    let mut candidates = edge.bindings.rest(uri, headers);
    let (binding, documentation, page) =
        candidates.find_map(|(binding, path)| Some((binding, binding.documentation.as_ref()?, Page::of(path)?)))?;
    if *method == Method::OPTIONS {
        return Some(response::options(&METHODS));
    }
    if !METHODS.contains(method) {
        let mut refused = response::refused(headers, &problem::method_not_allowed(method, uri.path(), &METHODS));
        response::allow(refused.headers_mut(), &METHODS);
        return Some(refused);
    }
    let head = *method == Method::HEAD;
    Some(match page {
        Page::Docs => moved(),
        Page::File(name) => match page::file(name, headers) {
            Some(file) => file.respond(headers, head),
            None => response::refused(headers, &problem::unknown_route(method, uri.path())),
        },
        Page::Json | Page::Yaml => match documentation.documents(edge, binding).await {
            Ok(documents) if page == Page::Json => documents.json.respond(headers, head),
            Ok(documents) => documents.yaml.respond(headers, head),
            Err(error) => response::refused(headers, &error),
        },
    })
}

impl<'a> Page<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/openapi.json" => Some(Self::Json),
            "/openapi.yaml" => Some(Self::Yaml),
            "/docs" => Some(Self::Docs),
            _ => path.strip_prefix("/docs/").map(Self::File),
        }
    }
}

impl Document {
    fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { content_type: HeaderValue::from_static(content_type), tag: tag(&body), body }
    }

    fn respond(&self, headers: &HeaderMap, head: bool) -> Response<Body> {
        let mut response = cached(headers, &self.tag);
        if response.status() == StatusCode::OK {
            response.headers_mut().insert(header::CONTENT_TYPE, self.content_type.clone());
            fill(&mut response, self.body.clone(), head);
        }
        response
    }
}

/// Returns a response without a body: 200, or 304 if the client has the current version.
fn cached(headers: &HeaderMap, tag: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    if EntityTags::known(headers, tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::ETAG, tag.clone());
    // Clients must revalidate each time, which the tag makes cheap. A restarted gateway may have a different document.
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn fill(response: &mut Response<Body>, body: Bytes, head: bool) {
    if head {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    } else {
        *response.body_mut() = Body::full(body);
    }
}

/// Returns an `ETag` from the FNV-1a hash. Equal bytes have equal tags in every gateway of the same build.
fn tag(body: &[u8]) -> HeaderValue {
    let sum = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    HeaderValue::try_from(format!("\"{sum:016x}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Redirects `docs` to `docs/`. The location is relative, so it is also correct behind a proxy that adds a path prefix.
fn moved() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs/"));
    response
}

/// Asks the namespace for its capabilities. This also works if another process serves the namespace.
async fn capabilities(edge: &Edge, namespace: &Arc<Namespace>) -> Result<Capabilities, Error> {
    const NAME: &str = "prism.patterns.slots.v1.Capabilities";
    let Some(method) = namespace.methods.iter().find(|method| method.name == "GetCapabilities") else { return Ok(Capabilities::default()) };
    let holds = |field: &prost_reflect::FieldDescriptor| field.kind().as_message().is_some_and(|message| message.full_name() == NAME);
    let Some(field) = method.descriptor.output().fields().find(holds) else { return Ok(Capabilities::default()) };
    let incoming = Incoming { protocol: Protocol::Internal, method: method.clone(), headers: HeaderMap::new(), timeout: Ok(None) };
    let read = pin!(async { Ok(Input::One(Bytes::new())) });
    let reply = edge.pipeline.call(namespace, incoming, read).await.result?;
    let broken = || Error::internal("the namespace answered GetCapabilities with something else");
    let Output::One(message) = reply.output else { return Err(broken()) };
    match wire::last(&message, field.number()) {
        Ok(Some(wire::WireValue::Bytes(bytes))) => Capabilities::decode(bytes).map_err(|error| broken().with_source(error)),
        _ => Err(broken()),
    }
}

/// Content security policy that lets the page load only resources of this server.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_select_documents_and_files() {
        assert_eq!(Page::of("/openapi.json"), Some(Page::Json));
        assert_eq!(Page::of("/docs"), Some(Page::Docs));
        assert_eq!(Page::of("/docs/"), Some(Page::File("")));
        assert_eq!(Page::of("/docs/swagger-ui.css"), Some(Page::File("swagger-ui.css")));
        assert_eq!(Page::of("/docsx"), None);
    }
}
