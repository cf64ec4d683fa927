//! GraphiQL, a page to explore a schema and to try requests. Its files are part of the program, compressed; `scripts/vendor-graphiql` writes
//! them. The page is at the endpoint itself, and its files are below it.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    Body,
    coding::{self, Coding},
    documents::entity_tag,
};
use prism_frontend::precondition::EntityTags;

/// A file of the page.
struct PageFile {
    name: &'static str,
    content_type: &'static str,
    content: Content,
}

enum Content {
    Text(&'static str),
    /// Compressed with gzip.
    Compressed(&'static [u8]),
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page itself.
const PAGE: PageFile =
    PageFile { name: "", content_type: "text/html; charset=utf-8", content: Content::Text(include_str!("graphiql/page.html")) };

const FILES: [PageFile; 6] = [
    PageFile { name: "start.js", content_type: SCRIPT, content: Content::Text(include_str!("graphiql/start.js")) },
    PageFile { name: "graphiql.js", content_type: SCRIPT, content: Content::Compressed(include_bytes!("graphiql/graphiql.js.gz")) },
    PageFile { name: "graphql-ws.js", content_type: SCRIPT, content: Content::Compressed(include_bytes!("graphiql/graphql-ws.js.gz")) },
    PageFile { name: "react.js", content_type: SCRIPT, content: Content::Compressed(include_bytes!("graphiql/react.js.gz")) },
    PageFile { name: "react-dom.js", content_type: SCRIPT, content: Content::Compressed(include_bytes!("graphiql/react-dom.js.gz")) },
    PageFile {
        name: "graphiql.css",
        content_type: "text/css; charset=utf-8",
        content: Content::Compressed(include_bytes!("graphiql/graphiql.css.gz")),
    },
];

/// Lets the page load only resources of this server.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
);

/// Returns the page.
pub fn page(headers: &HeaderMap) -> Response<Body> {
    PAGE.respond(headers)
}

/// Returns a file of the page.
pub fn file(name: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    FILES.iter().find(|file| file.name == name).map(|file| file.respond(headers))
}

impl PageFile {
    fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let (body, is_compressed) = match self.content {
            Content::Text(text) => (Bytes::from_static(text.as_bytes()), false),
            Content::Compressed(bytes) if coding::accepts(headers, Coding::Gzip) => (Bytes::from_static(bytes), true),
            Content::Compressed(bytes) => {
                let mut plain = Vec::with_capacity(bytes.len() * 4);
                // It decompresses what this build contains.
                let _ = GzDecoder::new(bytes).read_to_end(&mut plain);
                (plain.into(), false)
            }
        };
        let tag = entity_tag(&body);
        let mut response = Response::new(Body::Empty);
        if EntityTags::known(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::full(body);
        }
        let (policy, value) = POLICY;
        let out = response.headers_mut();
        out.insert(policy, value);
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        out.insert(header::ETAG, tag);
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        out.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_compressed {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_refers_to_files_that_are_there() {
        let Content::Text(page) = PAGE.content else { panic!("a text") };
        let names: Vec<&str> = page.split("\"graphql/graphiql/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(names.len(), FILES.len());
        for name in names {
            let response = file(name, &HeaderMap::new()).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        }
        assert!(!page.contains("//"), "nothing is loaded from elsewhere");
    }
}
