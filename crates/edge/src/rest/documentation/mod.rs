//! Serves the documentation of an API below its base path: `openapi.json`, `openapi.yaml`, and `docs`, a page to read and try the API.
//!
//! If a route of the API has one of these paths, the route takes precedence.

mod page;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header};

use super::response;
use crate::{
    Body,
    documents::{self, Document, Documentation},
    request::{ClientRequest, Response, Serving},
    routing::{HttpBinding, HttpTable},
    timeout,
};
use prism_call::{Admitted, Arrival, Error, Protocol, Target};
use prism_frontend::{openapi, precondition::EntityTags, problem};

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

/// Answers a request that no route takes, or returns it if the documentation does not have the path either. If several APIs share a base
/// path, this serves the first one that has documentation.
pub async fn answer(table: &HttpTable, serving: Serving<'_>, request: ClientRequest) -> Result<Response, ClientRequest> {
    let parts = &request.parts;
    let mut candidates = table.candidates(&parts.uri, &parts.headers);
    let found = candidates.find_map(|(binding, path)| Some((binding, binding.documentation.as_ref()?, Page::of(path)?)));
    drop(candidates);
    let Some((binding, documentation, page)) = found else { return Err(request) };
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace: &binding.namespace,
        protocol: Protocol::Rest,
        target: Target::Page(prism_call::Page::Document),
        headers: &parts.headers,
        timeout: timeout::http(&parts.headers),
        origin: serving.origin,
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = response::failed(refused.request_id(), refused.error());
            return Ok(refused.finish(response));
        }
    };
    if parts.method == Method::OPTIONS {
        return Ok(admitted.finish(None, response::options(&METHODS)));
    }
    let result = if METHODS.contains(&parts.method) {
        let head = parts.method == Method::HEAD;
        match page {
            Page::Docs => Ok(moved()),
            Page::File(name) => page::file(name, &parts.headers)
                .map(|file| file.respond(&parts.headers, head))
                .ok_or_else(|| problem::unknown_route(&parts.method, parts.uri.path())),
            Page::Json | Page::Yaml => documents(&mut admitted, documentation, binding).await.map(|documents| {
                let document = if page == Page::Json { &documents.json } else { &documents.yaml };
                send(document, &parts.headers, head)
            }),
        }
    } else {
        Err(problem::method_not_allowed(&parts.method, parts.uri.path(), &METHODS))
    };
    Ok(match result {
        Ok(response) => admitted.finish(None, response),
        Err(error) => {
            let mut response = response::failed(admitted.request_id(), &error);
            if !METHODS.contains(&parts.method) {
                response::allow(response.headers_mut(), &METHODS);
            }
            admitted.finish(Some(&error), response)
        }
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

fn send(document: &Document, headers: &HeaderMap, head: bool) -> HttpResponse<Body> {
    let mut response = cached(headers, &document.tag);
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(header::CONTENT_TYPE, document.content_type.clone());
        fill(&mut response, document.body.clone(), head);
    }
    response
}

/// Returns a response without a body: 200, or 304 if the client has the current version.
fn cached(headers: &HeaderMap, tag: &HeaderValue) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::Empty);
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

fn fill(response: &mut HttpResponse<Body>, body: Bytes, head: bool) {
    if head {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    } else {
        *response.body_mut() = Body::full(body);
    }
}

/// Redirects `docs` to `docs/`. The location is relative, so it is also correct behind a proxy that adds a path prefix.
fn moved() -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs/"));
    response
}

/// Returns the documents for the capabilities that the namespace reports to this caller, without what the caller may not call.
async fn documents(
    admitted: &mut Admitted<'_>,
    documentation: &Documentation,
    binding: &HttpBinding,
) -> Result<std::sync::Arc<crate::documents::Documents>, Error> {
    let served_at = openapi::ServedAt { base_path: &binding.base_path, namespace: &binding.namespace.name };
    let capabilities = documents::capabilities(admitted).await?;
    documentation.documents(documents::hide_rpcs(&capabilities, &documents::hidden_rpcs(admitted))?, served_at)
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
