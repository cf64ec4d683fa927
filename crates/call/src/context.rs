//! The context of a call: everything except its messages.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Credentials, Peer, Principal, Protocol, TraceContext};

/// The context of a call, for patterns and drivers. It contains nothing specific to a protocol except its name.
#[derive(Clone, Debug)]
pub struct Context {
    /// Namespace that the call was routed to.
    pub namespace: Arc<str>,
    /// Identifies the call in logs and in the response (`x-request-id`).
    pub request_id: RequestId,
    /// The remote end of the connection.
    pub peer: Arc<Peer>,
    /// What the request presented to prove the caller's identity.
    pub credentials: Credentials,
    /// The caller.
    pub principal: Arc<Principal>,
    /// The time at which the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The W3C trace context of this call's span.
    pub trace: TraceContext,
    /// The wire protocol of the call.
    pub protocol: Protocol,
    /// The caller's metadata without its credentials, with lower-case names; `-bin` values are base64 as on the wire.
    pub metadata: HeaderMap,
}

impl Context {
    /// Creates the context of a call of Prism itself, such as a health check or a background task.
    pub fn internal(namespace: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            request_id: RequestId::new(),
            peer: Peer::internal(),
            credentials: Credentials::default(),
            principal: Principal::anonymous(),
            deadline: None,
            trace: TraceContext::new(),
            protocol: Protocol::Internal,
            metadata: HeaderMap::new(),
        }
    }

    /// Sets the deadline, counted from now.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// Copies the context without the caller's metadata, for work that outlives the call.
    #[must_use]
    pub fn without_metadata(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            request_id: self.request_id.clone(),
            peer: self.peer.clone(),
            credentials: self.credentials.clone(),
            principal: self.principal.clone(),
            deadline: self.deadline,
            trace: self.trace.clone(),
            protocol: self.protocol,
            metadata: HeaderMap::new(),
        }
    }

    /// Returns the time until the deadline: `None` without a deadline, zero if it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// The header of the request id, in requests and in responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Identifies a call: the caller's `x-request-id` if it can be logged, else a random one.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// From the caller: at most 128 visible ASCII characters.
    FromCaller(HeaderValue),
    /// Random: 128 bits, shown in hexadecimal.
    Generated(u128),
}

impl RequestId {
    /// Generates a random id.
    pub fn new() -> Self {
        Self::Generated(rand::random())
    }

    /// Returns the caller's id, or a random one if it is missing or can't be logged.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get(REQUEST_ID) {
            Some(given) if is_loggable(given.as_bytes()) => Self::FromCaller(given.clone()),
            _ => Self::new(),
        }
    }

    /// Returns the id as the value of a header.
    pub fn to_header(&self) -> HeaderValue {
        match self {
            Self::FromCaller(given) => given.clone(),
            Self::Generated(bits) => HeaderValue::from_bytes(&hexadecimal(*bits)).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }
}

/// Formats a number as 32 hexadecimal digits, like `{:032x}`.
pub fn hexadecimal(bits: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    let mut rest = bits;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    digits
}

fn is_loggable(value: &[u8]) -> bool {
    (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromCaller(given) => f.write_str(given.to_str().unwrap_or_default()),
            Self::Generated(bits) => write!(f, "{bits:032x}"),
        }
    }
}
