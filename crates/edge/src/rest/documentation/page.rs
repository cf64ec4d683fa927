//! The page, which is Swagger UI. Its compressed files are part of the binary.

use std::{
    io::Read as _,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use utoipa_swagger_ui::{Config, serve};

use super::{POLICY, cached, fill};
use crate::{
    Body,
    coding::{self, Coding},
    documents::entity_tag,
};

/// Configuration of the page. The document's URL is relative to `docs/`, and no external validator is called.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("../openapi.json").use_base_layout().validator_url("none").deep_linking(true).display_operation_id(true);
    Arc::new(config)
});

/// A file of the page.
pub struct File {
    content_type: HeaderValue,
    body: Bytes,
    compressed: bool,
}

/// Returns the file with this name in an encoding that the client accepts, or `None` if there is no such file.
pub fn file(name: &str, headers: &HeaderMap) -> Option<File> {
    let found = serve(name, CONFIG.clone()).ok().flatten()?;
    let body = match found.bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => bytes.into(),
    };
    let compressed = found.gzpipped && coding::accepts(headers, Coding::Gzip);
    let body = if found.gzpipped && !compressed { plain(&body)? } else { body };
    Some(File { content_type: HeaderValue::try_from(found.content_type).ok()?, body, compressed })
}

fn plain(compressed: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(compressed.len() * 4);
    GzDecoder::new(compressed).read_to_end(&mut out).ok()?;
    Some(out.into())
}

impl File {
    /// Returns the response with this file.
    pub fn respond(self, headers: &HeaderMap, head: bool) -> Response<Body> {
        let mut response = cached(headers, &entity_tag(&self.body));
        let (name, policy) = POLICY;
        response.headers_mut().insert(name, policy);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if response.status() == StatusCode::OK {
            response.headers_mut().insert(header::CONTENT_TYPE, self.content_type);
            if self.compressed {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            fill(&mut response, self.body, head);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))])
    }

    #[test]
    fn files_are_decompressed_for_clients_without_gzip() {
        let small = file("swagger-ui.css", &headers("gzip")).unwrap();
        let large = file("swagger-ui.css", &HeaderMap::new()).unwrap();
        assert!(small.compressed && !large.compressed && large.body.len() > 2 * small.body.len());
        assert_eq!(large.content_type, "text/css");
        assert!(file("nothing.js", &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_page_uses_the_relative_url_of_its_document() {
        let script = file("swagger-initializer.js", &HeaderMap::new()).unwrap();
        let text = std::str::from_utf8(&script.body).unwrap();
        assert!(text.contains("\"../openapi.json\"") && text.contains("\"validatorUrl\": \"none\""), "{text}");
        assert!(!text.contains("petstore"), "{text}");
    }
}
