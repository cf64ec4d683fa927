//! The pages that a listener shows in a browser: what it serves, and what one can do with it. `web-demo/` has their source; the built files are
//! in the repository, so that nobody needs Node.js to build the gateway.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header, request::Parts};
use serde::Serialize;

use super::{
    Body,
    coding::Negotiated,
    documents::entity_tag,
    request::{Response, Serving},
};
use prism_call::ListenerTarget;
use prism_frontend::precondition::EntityTags;

/// The path of each file, its media type and its content.
const FILES: [(&str, &str, &[u8]); 3] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../../../web-demo/dist/index.html")),
    ("/_demo/app.js", "text/javascript; charset=utf-8", include_bytes!("../../../web-demo/dist/app.js")),
    ("/_demo/app.css", "text/css; charset=utf-8", include_bytes!("../../../web-demo/dist/app.css")),
];

/// The path of the list of namespaces.
const NAMESPACES: &str = "/_demo/namespaces.json";

/// The pages load nothing from elsewhere, and no other page may show them in a frame.
const POLICY: &str =
    "default-src 'self'; img-src data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A namespace as the pages list it.
#[derive(Serialize)]
pub struct DemoNamespace {
    /// Its name.
    pub name: String,
    /// The name of its pattern.
    pub pattern: String,
    /// Its frontends on this listener.
    pub frontends: Vec<DemoFrontend>,
}

/// A frontend of a namespace.
#[derive(Serialize)]
pub struct DemoFrontend {
    /// Its name, as `rest`.
    pub name: String,
    /// Its base path.
    pub path: String,
}

/// The pages of a listener.
pub struct Demo {
    /// As JSON.
    namespaces: Bytes,
}

impl Demo {
    /// Creates the pages of a listener with these namespaces.
    pub fn new(namespaces: &[DemoNamespace]) -> Self {
        // Strings can always be written.
        Self { namespaces: serde_json::to_vec(namespaces).unwrap_or_default().into() }
    }

    /// Answers a request for one of the pages. Returns `None` for all other requests.
    pub fn answer(&self, serving: Serving<'_>, parts: &mut Parts) -> Option<Response> {
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        let (media_type, content) = self.find(parts.uri.path()).filter(|_| is_read)?;
        let request = serving.answer_as(ListenerTarget::Demo, parts);
        let negotiated = Negotiated::of(&parts.method, &mut parts.headers);
        let response = respond(&parts.headers, media_type, content);
        Some(request.finish(None, negotiated.encode(response)))
    }

    fn find(&self, path: &str) -> Option<(&'static str, Bytes)> {
        if path == NAMESPACES {
            return Some(("application/json", self.namespaces.clone()));
        }
        let (_, media_type, content) = FILES.iter().find(|(known, ..)| *known == path)?;
        Some((media_type, Bytes::from_static(content)))
    }
}

/// The files have no version in their names, so browsers ask each time, and compare tags.
fn respond(headers: &HeaderMap, media_type: &'static str, content: Bytes) -> HttpResponse<Body> {
    let tag = entity_tag(&content);
    let is_known = EntityTags::known(headers, &tag);
    let mut response = HttpResponse::new(Body::Empty);
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    own.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    own.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    own.insert(header::ETAG, tag);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::full(content);
    }
    response
}
