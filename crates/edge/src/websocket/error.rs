//! Errors and metadata in frames.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::metadata;
use prism_call::{
    Error, RequestId,
    proto::websocket::v1::{self, End, FieldViolation, ServerFrame},
};

/// Returns the last frame of a call.
pub fn end(id: u32, request_id: &RequestId, error: Option<&Error>, trailers: Option<&HeaderMap>) -> ServerFrame {
    let trailers = error.map(|error| error.headers_and_trailers().1).or(trailers);
    let end = End {
        error: error.map(from_error),
        metadata: trailers.map(|trailers| from_headers(trailers.clone())).unwrap_or_default(),
        request_id: request_id.to_string(),
    };
    ServerFrame { id, end: Some(end), ..ServerFrame::default() }
}

fn from_error(error: &Error) -> v1::Error {
    let violations = error.violations().iter();
    v1::Error {
        code: error.code().name().to_owned(),
        reason: error.reason().to_owned(),
        message: error.message().to_owned(),
        metadata: error.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        violations: violations
            .map(|violation| FieldViolation { field: violation.field.clone(), description: violation.description.clone() })
            .collect(),
        retry_after_ms: error.retry_after().map_or(0, |delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)),
    }
}

/// Returns metadata of a reply. Several values of a name form one list.
pub fn from_headers(headers: HeaderMap) -> BTreeMap<String, String> {
    let mut allowed = HeaderMap::new();
    metadata::append(&mut allowed, headers);
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &allowed {
        let value = String::from_utf8_lossy(value.as_bytes());
        out.entry(name.as_str().to_owned())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    out
}
