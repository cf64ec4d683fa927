//! The handshake of a WebSocket connection (RFC 6455, section 4.2; over HTTP/2: RFC 8441, section 5).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Body;
use prism_call::{Code, Error, Origin};

/// The version of RFC 6455.
const VERSION: &str = "13";
/// The prefix of a subprotocol that is a bearer token. It is never chosen, and so it is never in a response.
const BEARER: &str = "prism.bearer.";

/// A handshake that succeeded.
pub struct Accepted {
    pub subprotocol: &'static str,
    /// Becomes the connection when the response was sent.
    pub upgrade: OnUpgrade,
    pub response: http::Response<Body>,
    pub is_http1: bool,
}

/// A handshake that failed.
#[derive(Debug)]
pub struct Refusal {
    error: Error,
    status: StatusCode,
}

impl Refusal {
    fn new(status: StatusCode, code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self { error: Error::wire(code, reason, message.into()), status }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, "WEBSOCKET_HANDSHAKE", message)
    }

    /// Returns the error to tell the client.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Completes the response.
    pub fn respond(&self, mut response: http::Response<Body>) -> http::Response<Body> {
        *response.status_mut() = self.status;
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        }
        response
    }
}

/// Tells whether a request asks for a WebSocket connection.
pub fn is_handshake(request: &Parts) -> bool {
    if request.method == Method::CONNECT {
        return request.extensions.get::<hyper::ext::Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    }
    request.headers.contains_key(UPGRADE) && lists(&request.headers, &UPGRADE, "websocket")
}

/// Checks a handshake, and makes its response. Moves a token from the subprotocols to the header `authorization`.
pub fn check(parts: &mut Parts, offered: &[&'static str], origin: Origin) -> Result<Accepted, Refusal> {
    // Browsers do not apply their same-origin policy to WebSocket, so a foreign page may not even read.
    if origin == Origin::Foreign {
        let message =
            "web pages of this origin may not connect here; an operator can allow them with listeners.<name>.cors.allowed_origins";
        return Err(Refusal::new(StatusCode::FORBIDDEN, Code::PermissionDenied, "ORIGIN_NOT_ALLOWED", message));
    }
    let version = parts.headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if version != Some(VERSION.as_bytes()) {
        let message = format!("this listener speaks version {VERSION} of WebSocket; send the header sec-websocket-version: {VERSION}");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, Code::InvalidArgument, "WEBSOCKET_VERSION", message));
    }
    let is_http1 = parts.version < Version::HTTP_2;
    let mut response = http::Response::new(Body::Empty);
    if is_http1 {
        let key = check_http1(parts)?;
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(derive_accept_key(&key)).unwrap_or(HeaderValue::from_static("")));
    }
    let wanted: Vec<&str> = items(&parts.headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let chosen = wanted.iter().find_map(|name| offered.iter().find(|offered| *offered == name));
    let Some(&subprotocol) = chosen else {
        return Err(Refusal::malformed(format!("name a subprotocol in sec-websocket-protocol: {}", offered.join(" or "))));
    };
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    if let Some(token) = wanted.iter().find_map(|name| name.strip_prefix(BEARER))
        && let Ok(value) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        parts.headers.insert(AUTHORIZATION, value);
    }
    parts.headers.remove(SEC_WEBSOCKET_PROTOCOL);
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return Err(Refusal::malformed("this connection can't be upgraded"));
    };
    Ok(Accepted { subprotocol, upgrade, response, is_http1 })
}

/// Checks what only HTTP/1.1 has, and returns the key.
fn check_http1(parts: &Parts) -> Result<Vec<u8>, Refusal> {
    if parts.method != Method::GET || parts.version != Version::HTTP_11 {
        return Err(Refusal::malformed("a WebSocket handshake is a GET request of HTTP/1.1"));
    }
    if !lists(&parts.headers, &CONNECTION, "upgrade") {
        return Err(Refusal::malformed("the header connection does not list upgrade; a proxy in between may have removed it"));
    }
    let mut keys = parts.headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16) => Ok(key.as_bytes().to_vec()),
        _ => Err(Refusal::malformed("the request has no header sec-websocket-key with 16 bytes in base64")),
    }
}

/// Returns the items of a header that is a list.
fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    items(headers, name).any(|item| item.eq_ignore_ascii_case(wanted))
}
