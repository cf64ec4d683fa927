//! Metadata of calls in headers and trailers.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use prism_call::{IDEMPOTENCY_KEY, REQUEST_ID};

/// Appends metadata of a reply. Headers of HTTP, of the protocols and of the response itself are left out.
pub fn append(headers: &mut HeaderMap, metadata: HeaderMap) {
    let mut current = None;
    for (name, value) in metadata {
        if name.is_some() {
            current = name.filter(|name| !is_reserved(name));
        }
        if let Some(name) = &current {
            headers.append(name, value);
        }
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    let framing = [
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        REQUEST_ID,
    ];
    framing.contains(name) || ["grpc-", "connect-"].iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// Returns the metadata of one of several calls of a request. Its idempotency key is that of the request, and a name of the call.
pub fn with_derived_key(headers: &HeaderMap, call: &str) -> HeaderMap {
    let mut headers = headers.clone();
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).map(|key| match key.strip_suffix('"') {
        Some(opened) => format!("{opened}:{call}\""),
        None => format!("{key}:{call}"),
    });
    if let Some(key) = key.and_then(|key| HeaderValue::try_from(key).ok()) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    headers
}

/// Removes headers of the connection and of the body's framing, which are not metadata of the call.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 12] = [
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    // Most requests have at most two of them, so this is faster than a lookup for each name.
    loop {
        let found = headers.keys().find(|name| NAMES.contains(name)).cloned();
        let Some(name) = found else { return };
        headers.remove(name);
    }
}
