//! The error type of all layers and all protocols.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use http::HeaderMap;
use prost::Message as _;
use prost_types::Any;

use super::Code;
use crate::proto::google::rpc;

type Text = Cow<'static, str>;

/// The domain of the reasons that Prism itself defines.
pub const DOMAIN: &str = "prism";

/// An error: a code, a message for people, a stable reason for programs, and metadata.
///
/// The content is boxed, so that a `Result` stays small.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: Text,
    reason: Text,
    domain: Text,
    metadata: Vec<(Text, String)>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    /// Details from a remote service, forwarded unchanged.
    foreign: Vec<Any>,
    /// Whether it is a violation of the wire protocol. Its status is sent without details, as clients expect.
    wire: bool,
    /// Whether the client caused it, whatever the code says.
    by_client: bool,
    headers: HeaderMap,
    trailers: HeaderMap,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, for example `items[0].key`.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub description: String,
}

impl Error {
    /// Creates an error with a code, a stable reason in upper snake case, and a message that says what to do.
    pub fn new(code: Code, reason: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            reason: reason.into(),
            domain: Cow::Borrowed(DOMAIN),
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
            foreign: Vec::new(),
            wire: false,
            by_client: false,
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
            source: None,
        }))
    }

    /// `INVALID_ARGUMENT INVALID_FIELD`: one field of the request is invalid.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        let message = if field.is_empty() { description.clone() } else { format!("{field}: {description}") };
        Self::new(Code::InvalidArgument, "INVALID_FIELD", message).with_violation(field, description)
    }

    /// `UNAVAILABLE BACKEND_UNAVAILABLE`: the backend can't be reached; retry after the given time.
    pub fn backend_unavailable(message: impl Into<Text>, retry_after: Duration) -> Self {
        Self::new(Code::Unavailable, "BACKEND_UNAVAILABLE", message).with_retry_after(retry_after)
    }

    /// `UNIMPLEMENTED CAPABILITY_UNAVAILABLE`: the driver in a slot lacks an interface.
    pub fn capability_unavailable(rpc: &str, interface: &str, backend: &str) -> Self {
        Self::new(
            Code::Unimplemented,
            "CAPABILITY_UNAVAILABLE",
            format!("{rpc} needs the interface {interface}, which the backend {backend} does not implement; GetCapabilities lists what it can do"),
        )
        .with("interface", interface)
        .with("backend", backend)
    }

    /// Creates an error for a violation of the wire protocol. gRPC implementations send these without details.
    pub fn wire(code: Code, reason: &'static str, message: impl Into<Text>) -> Self {
        let mut error = Self::new(code, reason, message);
        error.0.wire = true;
        error
    }

    /// `UNIMPLEMENTED UNKNOWN_RPC`.
    pub fn unknown_rpc(service: &str, rpc: &str) -> Self {
        Self::wire(Code::Unimplemented, "UNKNOWN_RPC", format!("{service} has no RPC {rpc}"))
    }

    /// `INTERNAL INTERNAL`: a defect of Prism, or an invalid response of a backend.
    pub fn internal(message: impl Into<Text>) -> Self {
        Self::new(Code::Internal, "INTERNAL", message)
    }

    /// `DEADLINE_EXCEEDED DEADLINE_EXCEEDED`.
    pub fn deadline_exceeded() -> Self {
        Self::wire(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before there was an answer")
    }

    /// `UNAVAILABLE SHUTTING_DOWN`
    pub fn shutting_down() -> Self {
        Self::new(Code::Unavailable, "SHUTTING_DOWN", "this gateway is shutting down; retry at once, on another gateway")
            .with_retry_after(Duration::from_millis(100))
    }

    /// `UNAVAILABLE NAMESPACE_CHANGED`
    pub fn namespace_changed() -> Self {
        let message = "the configuration of this namespace was changed or removed, which ends its streams; open the stream again with its last cursor";
        Self::new(Code::Unavailable, "NAMESPACE_CHANGED", message).with_retry_after(Duration::from_millis(100))
    }

    /// `UNAUTHENTICATED UNAUTHENTICATED`. It does not say what is wrong, so that nobody can guess credentials part by part.
    pub fn unauthenticated() -> Self {
        let message = "credentials are required, and those of this request are missing or not valid";
        Self::new(Code::Unauthenticated, "UNAUTHENTICATED", message)
    }

    /// `UNAUTHENTICATED CREDENTIALS_EXPIRED`: the credentials of an open stream are no longer valid.
    pub fn credentials_expired() -> Self {
        let message = "the credentials with which this stream was opened are no longer valid; open it again with new ones";
        Self::new(Code::Unauthenticated, "CREDENTIALS_EXPIRED", message)
    }

    /// `DEADLINE_EXCEEDED REQUEST_TIMEOUT`: the client did not send its request in time.
    pub fn request_timeout() -> Self {
        Self::wire(Code::DeadlineExceeded, "REQUEST_TIMEOUT", "the deadline passed before the request was complete; send it faster")
            .caused_by_client()
    }

    /// Marks an error that the client caused, although its code is one of server errors. It is not logged as a fault of Prism.
    #[must_use]
    pub fn caused_by_client(mut self) -> Self {
        self.0.by_client = true;
        self
    }

    /// Adds metadata, such as the current revision. The first value of a key stays.
    #[must_use]
    pub fn with(mut self, key: impl Into<Text>, value: impl Into<String>) -> Self {
        let key = key.into();
        if !self.0.metadata.iter().any(|(known, _)| *known == key) {
            self.0.metadata.push((key, value.into()));
        }
        self
    }

    /// Adds an invalid field.
    #[must_use]
    pub fn with_violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.violations.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// Sets the time after which the caller may retry.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// Replaces the reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Text>) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// Sets the cause. It is logged, and not sent to clients.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the headers and trailers that are sent with the error.
    #[must_use]
    pub fn with_headers_and_trailers(mut self, headers: HeaderMap, trailers: HeaderMap) -> Self {
        self.0.headers = headers;
        self.0.trailers = trailers;
        self
    }

    /// Copies what clients are told. The copy has no source, which is only logged.
    #[must_use]
    pub fn for_client(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner {
            code: inner.code,
            message: inner.message.clone(),
            reason: inner.reason.clone(),
            domain: inner.domain.clone(),
            metadata: inner.metadata.clone(),
            violations: inner.violations.clone(),
            retry_after: inner.retry_after,
            foreign: inner.foreign.clone(),
            wire: inner.wire,
            by_client: inner.by_client,
            headers: inner.headers.clone(),
            trailers: inner.trailers.clone(),
            source: None,
        }))
    }

    /// Returns the code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the stable reason. It is empty for an error of a remote service without a reason.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns the domain that defines the reason.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// Tells whether the client caused it, although its code is one of server errors.
    pub fn is_caused_by_client(&self) -> bool {
        self.0.by_client
    }

    /// Returns the metadata, in the order in which it was added.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.metadata.iter().map(|(key, value)| (key.as_ref(), value.as_str()))
    }

    /// Returns the metadata value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Returns the invalid fields.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// Returns the time after which the caller may retry.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the headers and trailers that are sent with the error.
    pub fn headers_and_trailers(&self) -> (&HeaderMap, &HeaderMap) {
        (&self.0.headers, &self.0.trailers)
    }

    /// Returns the details from a remote service, unchanged.
    pub fn foreign_details(&self) -> &[Any] {
        &self.0.foreign
    }

    /// Converts the error to `google.rpc.Status`, with `ErrorInfo`, `BadRequest` and `RetryInfo` if they have content.
    pub fn to_status(&self) -> rpc::Status {
        let inner = &*self.0;
        if inner.wire {
            return rpc::Status { code: inner.code.number(), message: inner.message.to_string(), details: Vec::new() };
        }
        let mut details = Vec::new();
        if !inner.reason.is_empty() {
            details.push(any(&rpc::ErrorInfo {
                reason: inner.reason.to_string(),
                domain: inner.domain.to_string(),
                metadata: inner.metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            }));
        }
        if !inner.violations.is_empty() {
            let field_violations = inner
                .violations
                .iter()
                .map(|violation| rpc::bad_request::FieldViolation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                    reason: String::new(),
                })
                .collect();
            details.push(any(&rpc::BadRequest { field_violations }));
        }
        if let Some(delay) = inner.retry_after {
            details.push(any(&rpc::RetryInfo { retry_delay: prost_types::Duration::try_from(delay).ok() }));
        }
        details.extend(inner.foreign.iter().cloned());
        rpc::Status { code: inner.code.number(), message: inner.message.to_string(), details }
    }

    /// Converts the status of another service. Known details are parsed; all others are forwarded unchanged.
    pub fn from_status(status: rpc::Status) -> Self {
        let mut error = Self::new(Code::from_number(status.code), "", status.message);
        error.0.domain = Cow::Borrowed("");
        for detail in status.details {
            let kind = detail.type_url.rsplit('/').next().unwrap_or_default();
            let read = match kind {
                "google.rpc.ErrorInfo" => rpc::ErrorInfo::decode(detail.value.as_slice()).is_ok_and(|info| error.read_info(info)),
                "google.rpc.BadRequest" => rpc::BadRequest::decode(detail.value.as_slice()).is_ok_and(|bad| error.read_violations(bad)),
                "google.rpc.RetryInfo" => rpc::RetryInfo::decode(detail.value.as_slice()).is_ok_and(|retry| error.read_retry(&retry)),
                _ => false,
            };
            if !read {
                error.0.foreign.push(detail);
            }
        }
        error
    }

    fn read_info(&mut self, info: rpc::ErrorInfo) -> bool {
        if !self.0.reason.is_empty() {
            return false;
        }
        self.0.reason = info.reason.into();
        self.0.domain = info.domain.into();
        self.0.metadata = info.metadata.into_iter().map(|(key, value)| (key.into(), value)).collect();
        true
    }

    fn read_violations(&mut self, bad: rpc::BadRequest) -> bool {
        // `to_status` would lose the reason of a violation and a second list, so these stay unparsed.
        if !self.0.violations.is_empty() || bad.field_violations.iter().any(|violation| !violation.reason.is_empty()) {
            return false;
        }
        self.0.violations = bad
            .field_violations
            .into_iter()
            .map(|violation| FieldViolation { field: violation.field, description: violation.description })
            .collect();
        true
    }

    fn read_retry(&mut self, retry: &rpc::RetryInfo) -> bool {
        let delay = retry.retry_delay.and_then(|delay| Duration::try_from(delay).ok());
        if self.0.retry_after.is_some() || delay.is_none() {
            return false;
        }
        self.0.retry_after = delay;
        true
    }
}

fn any<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.code.name(), self.0.reason, self.0.message)?;
        for (key, value) in self.metadata() {
            write!(f, " {key}={value}")?;
        }
        match &self.0.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<prost::DecodeError> for Error {
    fn from(error: prost::DecodeError) -> Self {
        Self::wire(Code::InvalidArgument, "MALFORMED_MESSAGE", format!("the request is not a message of its type: {error}"))
    }
}
