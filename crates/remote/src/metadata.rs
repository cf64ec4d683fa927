//! Which metadata goes to a remote, and which comes back.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use prism_call::{Context, REQUEST_ID};

const NAMESPACE: HeaderName = HeaderName::from_static("x-prism-namespace");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The headers of a call to a remote: the caller's metadata, and what Prism says about the call.
///
/// `authorization` goes along, so that the remote can tell who calls; what belongs to the caller's own connection, protocol
/// or browser does not.
pub fn outgoing(context: &Context, namespace: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(context.metadata.len() + 4);
    for (name, value) in &context.metadata {
        if !stays_here(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(NAMESPACE, namespace.clone());
    headers.insert(REQUEST_ID, context.request_id.to_header());
    context.trace.inject(&mut headers);
    if let Some(remaining) = context.remaining() {
        headers.insert(TIMEOUT, timeout(remaining));
    }
    headers
}

/// The metadata of a remote, without what belongs to its connection or to its own call.
pub fn incoming(mut headers: HeaderMap) -> HeaderMap {
    let ours: Vec<_> = headers.keys().filter(|name| stays_there(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    headers
}

fn stays_here(name: &HeaderName) -> bool {
    const BEGINNINGS: [&str; 9] = ["grpc-", "connect-", "content-", "accept", "access-control-", "sec-", "if-", "proxy-", "x-grpc-"];
    let name = name.as_str();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || is_of_connection(name)
        || matches!(
            name,
            "host" | "user-agent" | "x-user-agent" | "cookie" | "origin" | "referer" | "cache-control" | "pragma" | "expect" | "range" | "dnt"
                // Written by `outgoing` itself.
                | "x-prism-namespace" | "x-request-id" | "traceparent" | "tracestate"
        )
}

fn stays_there(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("grpc-")
        || name.starts_with("access-control-")
        || is_of_connection(name)
        || matches!(name, "content-type" | "content-length" | "date" | "server" | "vary" | "x-request-id" | "prism-remote-details")
}

/// RFC 9110, section 7.6.1.
fn is_of_connection(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "http2-settings")
}

/// "gRPC over HTTP2", Timeout: at most eight digits and a unit.
fn timeout(remaining: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let text = match (remaining.as_micros(), remaining.as_millis()) {
        (micros, _) if micros <= MOST => format!("{micros}u"),
        (_, millis) if millis <= MOST => format!("{millis}m"),
        _ => format!("{}S", u128::from(remaining.as_secs()).min(MOST)),
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_eight_digits() {
        for (millis, expected) in
            [(0, "0u"), (1500, "1500000u"), (100_000, "100000m"), (99_999_999_000, "99999999S"), (u64::MAX, "99999999S")]
        {
            assert_eq!(timeout(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn metadata_goes_through_and_the_rest_does_not() {
        let mut context = Context::internal("here");
        for (name, value) in [
            ("a", "1"),
            ("a", "2"),
            ("b-bin", "AAE"),
            ("authorization", "Bearer x"),
            ("te", "trailers"),
            ("host", "example"),
            ("content-type", "application/json"),
            ("grpc-timeout", "1S"),
            ("accept-encoding", "gzip"),
            ("x-prism-namespace", "here"),
        ] {
            context.metadata.append(name, HeaderValue::from_static(value));
        }
        let headers = outgoing(&context, &HeaderValue::from_static("there"));
        let mut names: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.retain(|header| !header.starts_with("x-request-id=") && !header.starts_with("traceparent=00-"));
        assert_eq!(names, ["a=1", "a=2", "b-bin=AAE", "authorization=Bearer x", "x-prism-namespace=there"]);
        assert_eq!(headers.len(), 7);
    }
}
