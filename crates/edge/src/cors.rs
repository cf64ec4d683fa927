//! Cross-origin requests (Fetch standard, "CORS protocol"): which web pages may call, and which response headers they may read.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
    request::Parts,
};

use super::body::Body;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// The request headers of gRPC-Web, Connect and REST clients. Other headers that a preflight request names are allowed too.
const HEADERS: &str = "content-type, x-grpc-web, x-user-agent, grpc-timeout, authorization, accept, if-match, if-none-match, \
     x-prism-namespace, x-request-id, x-request-timeout, connect-protocol-version, connect-timeout-ms, connect-content-encoding, \
     connect-accept-encoding, content-encoding, traceparent, tracestate";
/// The response headers that scripts may read. Headers of the call itself are added.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding, etag, location, retry-after, ratelimit, ratelimit-policy, www-authenticate, x-request-id";

/// Decides whether a page of this origin may call.
pub type AllowsOrigin = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// The CORS policy of a listener.
pub struct Cors {
    allows: AllowsOrigin,
    max_age: HeaderValue,
}

impl Cors {
    /// Creates a policy. `allows` gets the value of an `Origin` header. Browsers may cache its decision for `max_age_seconds`.
    pub fn new(allows: AllowsOrigin, max_age_seconds: u64) -> Self {
        Self { allows, max_age: HeaderValue::from(max_age_seconds) }
    }

    /// Returns the response to a preflight request, or `None` if it is not one. A page that may not call gets no CORS headers, so its
    /// browser reports an error.
    pub(super) fn preflight(&self, request: &Parts) -> Option<Response<Body>> {
        let headers = &request.headers;
        if request.method != Method::OPTIONS || !headers.contains_key(ORIGIN) || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let out = response.headers_mut();
        out.append(VARY, HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"));
        if let Some(origin) = self.allowed(headers) {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            out.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            out.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            out.append(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                out.append(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        Some(response)
    }

    /// Returns the origin of a request if it may call.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        (self.allows)(origin.to_str().ok()?).then(|| origin.clone())
    }

    /// Lets the page read the response and all headers that the call itself set.
    pub(super) fn expose(origin: HeaderValue, headers: &mut HeaderMap) {
        let own = headers.keys().filter(|name| is_own(name)).map(HeaderName::as_str);
        let exposed = std::iter::once(EXPOSED).chain(own).collect::<Vec<_>>().join(", ");
        if let Ok(exposed) = HeaderValue::from_str(&exposed) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

fn is_own(name: &HeaderName) -> bool {
    !EXPOSED.contains(name.as_str()) && !matches!(name.as_str(), "content-type" | "content-length" | "vary" | "date")
}
