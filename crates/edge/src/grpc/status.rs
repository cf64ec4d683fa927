//! Status and trailers ("gRPC over HTTP2", Responses), and metadata in both directions.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use prost::Message as _;

use crate::body::BoxError;
use prism_call::{Code, Error};

pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The characters that are percent-encoded in `grpc-message`: everything except printable ASCII, and the percent sign.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Returns the trailers of a successful call.
pub fn ok(mut metadata: HeaderMap) -> HeaderMap {
    metadata.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    metadata
}

/// Returns the trailers of a failed call, with details.
pub fn failed(error: &Error) -> HeaderMap {
    let status = error.to_status();
    let mut trailers = error.headers_and_trailers().1.clone();
    trailers.insert(GRPC_STATUS, HeaderValue::from(status.code));
    let message = percent_encode(status.message.as_bytes(), MESSAGE).to_string();
    if let Ok(message) = HeaderValue::from_str(&message)
        && !message.is_empty()
    {
        trailers.insert(GRPC_MESSAGE, message);
    }
    if !status.details.is_empty()
        && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.encode_to_vec()))
    {
        trailers.insert(GRPC_STATUS_DETAILS, details);
    }
    trailers
}

/// Appends metadata, without the names that the protocol itself uses.
pub fn append_metadata(headers: &mut HeaderMap, metadata: HeaderMap) {
    let mut last = None;
    for (name, value) in metadata {
        // `HeaderMap` yields a repeated name as `None`.
        if name.is_some() {
            last = name;
        }
        if let Some(name) = last.as_ref().filter(|name| !is_reserved(name)) {
            headers.append(name.clone(), value);
        }
    }
}

/// Tells whether a name belongs to the protocol and not to the application.
pub fn is_reserved(name: &HeaderName) -> bool {
    name.as_str().starts_with("grpc-")
        || matches!(name.as_str(), "content-type" | "content-length" | "te" | "trailer" | "transfer-encoding" | "connection")
}

/// Returns the error of an incomplete request body: the client left, or the connection was lost.
pub fn broken_request(error: BoxError) -> Error {
    Error::wire(Code::Cancelled, "REQUEST_BROKEN_OFF", "the request ended before it was complete").with_source(error)
}
