//! Status and trailers ("gRPC over HTTP2", Responses).

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use prost::Message as _;

use prism_call::Error;

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
