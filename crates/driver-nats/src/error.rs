//! Maps errors of NATS and JetStream to [`Error`]. Nothing else in this driver does.

use std::time::Duration;

use async_nats::{
    PublishError, RequestError,
    client::{PublishErrorKind, RequestErrorKind},
};
use serde::Deserialize;

use prism_call::{Code, Error};

/// An error in a response of the JetStream API.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ApiError {
    /// Like a status of HTTP.
    #[serde(default)]
    pub code: u16,
    /// What happened, exactly.
    #[serde(default)]
    pub err_code: u32,
    #[serde(default)]
    pub description: String,
}

/// Another write came first.
pub const WRONG_LAST_SEQUENCE: [u32; 2] = [10_071, 10_164];
/// No message has the sequence or the subject.
pub const NO_MESSAGE: u32 = 10_037;
/// The message can't be deleted, because it does not exist any more.
pub const MESSAGE_NOT_DELETED: [u32; 2] = [10_043, 10_057];
/// The stream does not exist.
pub const NO_STREAM: u32 = 10_059;
/// The stream exists with another configuration.
pub const STREAM_EXISTS: u32 = 10_058;

const SUBJECTS_OVERLAP: u32 = 10_065;
const JETSTREAM_OFF: [u32; 2] = [10_039, 10_076];
const TOO_FEW_REPLICAS: [u32; 2] = [10_005, 10_074];
const FULL: [u32; 7] = [10_002, 10_023, 10_027, 10_028, 10_047, 10_077, 10_122];

/// How long callers should wait after a temporary error of JetStream.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Maps an error of the JetStream API.
pub fn map_api_error(error: &ApiError) -> Error {
    let ApiError { code, err_code, description } = error;
    let mapped = match *err_code {
        code if FULL.contains(&code) => full(description),
        SUBJECTS_OVERLAP | STREAM_EXISTS => failed_precondition(
            "BACKEND_KEY_CONFLICT",
            format!("another stream uses the subjects or the name that Prism needs ({description}); use another subject_prefix"),
        ),
        code if JETSTREAM_OFF.contains(&code) => failed_precondition(
            "BACKEND_UNSUPPORTED",
            "JetStream is not enabled on the server or for the account; enable it with `jetstream {}`".to_owned(),
        ),
        code if TOO_FEW_REPLICAS.contains(&code) => failed_precondition(
            "BACKEND_MISCONFIGURED",
            format!("the cluster can't keep as many copies as the setting replicas asks for: {description}"),
        ),
        _ if *code == 503 || *code == 408 => unavailable("JetStream is not available for the moment", RETRY_AFTER),
        _ => Error::internal(format!("JetStream refused a request of Prism: {err_code} {description}")),
    };
    mapped.with_source(format!("{code} {err_code} {description}"))
}

/// Maps an error of a request that was not sent or has no response.
pub fn map_request_error(error: &RequestError, max_value_bytes: u64, retry_after: Duration) -> Error {
    match error.kind() {
        RequestErrorKind::MaxPayloadExceeded => too_large(max_value_bytes),
        RequestErrorKind::InvalidSubject => Error::internal("a subject of Prism is invalid"),
        _ => unavailable("the connection to NATS broke; a write may or may not have happened", retry_after),
    }
    .with_source(error.to_string())
}

/// Maps an error of a message that was not sent.
pub fn map_publish_error(error: &PublishError, max_value_bytes: u64, retry_after: Duration) -> Error {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large(max_value_bytes),
        PublishErrorKind::InvalidSubject => Error::internal("a subject of Prism is invalid"),
        PublishErrorKind::Send => unavailable("the connection to NATS broke", retry_after),
    }
    .with_source(error.to_string())
}

/// Maps the text of the last failed attempt to connect.
pub fn map_connect_error(text: &str, retry_after: Duration) -> Error {
    let lower = text.to_lowercase();
    let mapped = if lower.contains("authorization violation") || lower.contains("authentication") || lower.contains("signing nonce") {
        failed_precondition(
            "BACKEND_AUTHENTICATION",
            "NATS refused the login of Prism; check the settings username, password, token, nkey_seed or credentials (or url)".to_owned(),
        )
    } else if lower.contains("certificate") {
        failed_precondition(
            "BACKEND_CERTIFICATE",
            "the certificate of NATS or of Prism is not trusted; check the settings of tls, and that url has the host name in the certificate"
                .to_owned(),
        )
    } else {
        unavailable("NATS can't be reached", retry_after)
    };
    mapped.with_source(text.to_owned())
}

/// `FAILED_PRECONDITION BACKEND_PERMISSION`; `violation` is the message of the server.
pub fn permission_missing(violation: &str) -> Error {
    failed_precondition(
        "BACKEND_PERMISSION",
        format!("NATS does not allow this user a subject that Prism needs ({violation}); docs/backends/nats.md lists them"),
    )
}

/// `FAILED_PRECONDITION BACKEND_UNSUPPORTED`: the server is too old.
pub fn unsupported_server(version: &str) -> Error {
    failed_precondition(
        "BACKEND_UNSUPPORTED",
        format!("the server has version {version}; NATS Server 2.12 or later with JetStream is required"),
    )
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`
pub fn unavailable(message: &'static str, retry_after: Duration) -> Error {
    // An immediate retry would fail again.
    Error::backend_unavailable(message, retry_after.max(Duration::from_millis(10)))
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: nobody serves the API of JetStream or the stream.
pub fn jetstream_unavailable() -> Error {
    unavailable("JetStream does not respond; it is starting, has no leader, or is not enabled (`jetstream {}`)", RETRY_AFTER)
}

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend was closed.
pub fn backend_closed() -> Error {
    unavailable("the NATS backend is closed because the gateway is stopping", Duration::from_secs(1))
}

/// A stored message that Prism did not write.
pub fn foreign_message() -> Error {
    failed_precondition(
        "BACKEND_KEY_CONFLICT",
        "a JetStream stream of Prism holds a message that Prism did not write; use another subject_prefix".to_owned(),
    )
}

/// A response in a form that this driver does not expect from any version of NATS.
pub fn unexpected_response() -> Error {
    Error::internal("NATS sent a response in a form that Prism does not know")
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
fn full(description: &str) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "BACKEND_FULL",
        format!("JetStream is full: {description}; remove data or raise the limits of the server, the account or the stream"),
    )
}

/// `INVALID_ARGUMENT VALUE_TOO_LARGE`
fn too_large(limit: u64) -> Error {
    Error::new(
        Code::InvalidArgument,
        "VALUE_TOO_LARGE",
        format!("the value is larger than the server accepts; at most {limit} bytes are allowed (max_payload less 128 KiB)"),
    )
    .with("limit", limit.to_string())
}

fn failed_precondition(reason: &'static str, message: String) -> Error {
    Error::new(Code::FailedPrecondition, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(code: u16, err_code: u32) -> (Code, String) {
        let error = map_api_error(&ApiError { code, err_code, description: "why".to_owned() });
        (error.code(), error.reason().to_owned())
    }

    #[test]
    fn errors_of_jetstream_have_a_meaning() {
        assert_eq!(mapped(503, 10_008), (Code::Unavailable, "BACKEND_UNAVAILABLE".to_owned()));
        assert_eq!(mapped(503, 10_077), (Code::ResourceExhausted, "BACKEND_FULL".to_owned()));
        assert_eq!(mapped(503, 10_039), (Code::FailedPrecondition, "BACKEND_UNSUPPORTED".to_owned()));
        assert_eq!(mapped(400, 10_065), (Code::FailedPrecondition, "BACKEND_KEY_CONFLICT".to_owned()));
        assert_eq!(mapped(400, 10_003).0, Code::Internal);
    }

    #[test]
    fn failed_attempts_to_connect_have_a_meaning() {
        for (text, reason) in [
            ("authorization violation: nats: authorization violation", "BACKEND_AUTHENTICATION"),
            ("IO error: invalid peer certificate: UnknownIssuer", "BACKEND_CERTIFICATE"),
            ("IO error: Connection refused (os error 111)", "BACKEND_UNAVAILABLE"),
            ("timed out", "BACKEND_UNAVAILABLE"),
        ] {
            assert_eq!(map_connect_error(text, Duration::ZERO).reason(), reason, "{text}");
        }
    }
}
