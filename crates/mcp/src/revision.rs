//! The revision of the protocol that a request uses.
//!
//! Up to 2025-11-25, `initialize` negotiates a revision, and the header `mcp-protocol-version` of later requests names it. Since 2026-07-28,
//! there is no `initialize`: each request has its revision and the client's capabilities in `_meta`, and headers repeat what proxies need.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use rmcp::model::{ErrorCode, ErrorData, ProtocolVersion};
use serde_json::Value;

use crate::McpRequest;

/// All revisions that Prism serves, oldest first.
pub const SUPPORTED: &[ProtocolVersion] = ProtocolVersion::KNOWN_VERSIONS;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The names of headers.
pub struct HeaderNames;

impl HeaderNames {
    /// The revision.
    pub const VERSION: &'static str = "mcp-protocol-version";
    /// The method of the request in the body.
    pub const METHOD: &'static str = "mcp-method";
    /// The name of its tool, or the URI of its resource.
    pub const NAME: &'static str = "mcp-name";
}

/// The revision of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRevision {
    /// Up to 2025-11-25.
    Negotiated,
    /// Since 2026-07-28.
    PerRequest,
}

/// Returns the revision that `initialize` negotiates: the one that the client asks for, if Prism has it, or the last one with `initialize`.
pub fn initialize_revision(request: &McpRequest) -> Result<ProtocolVersion, ErrorData> {
    let requested = request.text("protocolVersion")?;
    let known = SUPPORTED.iter().find(|version| version.as_str() == requested && version.has_initialize());
    Ok(known.cloned().unwrap_or(ProtocolVersion::LATEST_WITH_INITIALIZE))
}

/// Checks the header with the revision, for messages that are no requests.
pub fn check_headers(headers: &HeaderMap) -> Result<(), ErrorData> {
    match header(headers, HeaderNames::VERSION)? {
        Some(version) if !is_supported(version) => Err(unsupported(version)),
        _ => Ok(()),
    }
}

/// Returns the revision of a request, and checks that its headers say the same as its body.
pub fn check_revision(request: &McpRequest, headers: &HeaderMap) -> Result<RequestRevision, ErrorData> {
    let in_header = header(headers, HeaderNames::VERSION)?;
    if request.method == "initialize" && request.meta(VERSION).is_none() {
        let in_body = request.params.get("protocolVersion").and_then(Value::as_str);
        return match in_header {
            Some(version) if in_body.is_some_and(|in_body| in_body != version) => Err(mismatch(HeaderNames::VERSION, "protocolVersion")),
            _ => Ok(RequestRevision::Negotiated),
        };
    }
    let Some(in_body) = request.meta(VERSION) else {
        let is_new = |version: &str| version >= ProtocolVersion::NO_INITIALIZE.as_str();
        return match in_header {
            Some(version) if !is_supported(version) => Err(unsupported(version)),
            Some(version) if is_new(version) => Err(missing(VERSION)),
            _ if request.method == "server/discover" => Err(missing(VERSION)),
            _ => Ok(RequestRevision::Negotiated),
        };
    };
    let Some(in_body) = in_body.as_str() else { return Err(missing(VERSION)) };
    match in_header {
        None => return Err(mismatch_error(format!("the header {} is missing", HeaderNames::VERSION))),
        Some(version) if version != in_body => return Err(mismatch(HeaderNames::VERSION, VERSION)),
        Some(_) => {}
    }
    if !is_supported(in_body) {
        return Err(unsupported(in_body));
    }
    if SUPPORTED.iter().any(|version| version.as_str() == in_body && version.has_initialize()) {
        return Ok(RequestRevision::Negotiated);
    }
    if !request.meta(CAPABILITIES).is_some_and(Value::is_object) {
        return Err(missing(CAPABILITIES));
    }
    check_repeated(headers, HeaderNames::METHOD, Some(&request.method))?;
    let name = match request.method.as_str() {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    };
    if let Some(name) = name {
        check_repeated(headers, HeaderNames::NAME, request.params.get(name).and_then(Value::as_str))?;
    }
    Ok(RequestRevision::PerRequest)
}

fn is_supported(version: &str) -> bool {
    SUPPORTED.iter().any(|known| known.as_str() == version)
}

/// Checks that a header repeats what the body says.
fn check_repeated(headers: &HeaderMap, name: &str, in_body: Option<&str>) -> Result<(), ErrorData> {
    let Some(in_body) = in_body else { return Ok(()) };
    match header(headers, name)? {
        None => Err(mismatch_error(format!("the header {name} is missing"))),
        Some(value) if decode(value).is_some_and(|value| value == in_body) => Ok(()),
        Some(_) => Err(mismatch(name, in_body)),
    }
}

/// Decodes a value of a header. What can't be in a header is `=?base64?…?=`.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Returns the only value of a header.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ErrorData> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.trim())).ok_or_else(|| mismatch_error(format!("the header {name} must be there once, as ASCII text")))
}

fn missing(name: &str) -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_PARAMS, format!("`params._meta` must have `{name}`"), None)
}

fn mismatch(name: &str, in_body: &str) -> ErrorData {
    mismatch_error(format!("the header {name} differs from the body, which has `{in_body}`"))
}

fn mismatch_error(message: String) -> ErrorData {
    ErrorData::new(ErrorCode::HEADER_MISMATCH, message, None)
}

fn unsupported(version: &str) -> ErrorData {
    let supported: Vec<&str> = SUPPORTED.iter().map(ProtocolVersion::as_str).collect();
    let message = format!("the revision {version} is not supported; there are: {}", supported.join(", "));
    let data = serde_json::json!({"requested": version, "supported": supported});
    ErrorData::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, message, Some(data))
}
