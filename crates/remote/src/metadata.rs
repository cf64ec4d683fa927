//! Selects the metadata that is forwarded to a remote, and the metadata that is returned from it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use prism_call::{Context, REQUEST_ID};

const NAMESPACE: HeaderName = HeaderName::from_static("x-prism-namespace");
/// The address of the caller. A remote that trusts this gateway limits the caller by it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How many gateways a call has passed.
const HOPS: HeaderName = HeaderName::from_static("x-prism-hops");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns how many gateways the call has passed with this one. A client that sends another number only shortens its own way.
pub fn hops(context: &Context) -> u32 {
    let before = context.metadata.get(HOPS).and_then(|value| value.to_str().ok()?.parse().ok());
    before.unwrap_or(0_u32).saturating_add(1)
}

/// Returns the headers of a call to a remote: the caller's metadata, and the headers that Prism sets.
///
/// The caller's credentials are forwarded only if `with_credentials` is set. Headers of the caller's connection, protocol or browser are not
/// forwarded.
pub fn request_headers(context: &Context, namespace: &HeaderValue, with_credentials: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(context.metadata.len() + 4);
    for (name, value) in &context.metadata {
        if !is_dropped_from_requests(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if with_credentials {
        context.credentials.inject(&mut headers);
    }
    if let Some(address) = context.peer.address.and_then(|address| HeaderValue::try_from(address.ip().to_canonical().to_string()).ok()) {
        headers.insert(FORWARDED_FOR, address);
    }
    headers.insert(NAMESPACE, namespace.clone());
    headers.insert(REQUEST_ID, context.request_id.to_header());
    headers.insert(HOPS, hops(context).into());
    context.trace.inject(&mut headers);
    if let Some(remaining) = context.remaining() {
        headers.insert(TIMEOUT, format_timeout(remaining));
    }
    headers
}

/// Returns the metadata of a reply without the headers of the connection and of the remote call.
pub fn reply_metadata(mut headers: HeaderMap) -> HeaderMap {
    let removed: Vec<_> = headers.keys().filter(|name| is_dropped_from_replies(name)).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
    headers
}

fn is_dropped_from_requests(name: &HeaderName) -> bool {
    const PREFIXES: [&str; 9] = ["grpc-", "connect-", "content-", "accept", "access-control-", "sec-", "if-", "proxy-", "x-grpc-"];
    let name = name.as_str();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || is_hop_by_hop(name)
        || matches!(
            name,
            "host" | "user-agent" | "x-user-agent" | "cookie" | "origin" | "referer" | "cache-control" | "pragma" | "expect" | "range" | "dnt"
                // What proxies say about their clients; the remote may trust this gateway.
                | "forwarded" | "x-forwarded-for" | "x-forwarded-client-cert"
                // Set by `request_headers`.
                | "x-prism-namespace" | "x-prism-hops" | "x-request-id" | "traceparent" | "tracestate"
        )
}

fn is_dropped_from_replies(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("grpc-")
        || name.starts_with("access-control-")
        || is_hop_by_hop(name)
        || matches!(name, "content-type" | "content-length" | "date" | "server" | "vary" | "x-request-id" | "prism-remote-details")
}

/// RFC 9110, section 7.6.1.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "http2-settings")
}

/// Formats a timeout with at most eight digits and a unit ("gRPC over HTTP2", Timeout).
fn format_timeout(remaining: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let text = match (remaining.as_micros(), remaining.as_millis()) {
        (micros, _) if micros <= MAX => format!("{micros}u"),
        (_, millis) if millis <= MAX => format!("{millis}m"),
        _ => format!("{}S", u128::from(remaining.as_secs()).min(MAX)),
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        for (millis, expected) in
            [(0, "0u"), (1500, "1500000u"), (100_000, "100000m"), (99_999_999_000, "99999999S"), (u64::MAX, "99999999S")]
        {
            assert_eq!(format_timeout(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn metadata_is_forwarded_without_headers_of_the_connection() {
        let mut context = Context::internal("here");
        for (name, value) in [
            ("a", "1"),
            ("a", "2"),
            ("b-bin", "AAE"),
            ("te", "trailers"),
            ("host", "example"),
            ("content-type", "application/json"),
            ("grpc-timeout", "1S"),
            ("accept-encoding", "gzip"),
            ("x-prism-namespace", "here"),
            ("x-prism-hops", "2"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-client-cert", "URI=spiffe://example.org/admin"),
        ] {
            context.metadata.append(name, HeaderValue::from_static(value));
        }
        context.credentials.authorization = Some(HeaderValue::from_static("Bearer x"));
        let namespace = HeaderValue::from_static("there");
        assert!(!request_headers(&context, &namespace, false).contains_key("authorization"));
        let headers = request_headers(&context, &namespace, true);
        let mut names: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.retain(|header| !header.starts_with("x-request-id=") && !header.starts_with("traceparent=00-"));
        assert_eq!(names, ["a=1", "a=2", "b-bin=AAE", "authorization=Bearer x", "x-prism-namespace=there", "x-prism-hops=3"]);
        assert_eq!(headers.len(), 8);
    }
}
