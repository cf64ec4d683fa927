//! What a call carries beside its messages.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Protocol, TraceContext};

/// Facts about a call that patterns and drivers may need. They see no protocol in it beyond its name.
#[derive(Clone, Debug)]
pub struct Context {
    /// Namespace that the call was routed to.
    pub namespace: Arc<str>,
    /// Names this call in logs and in the answer (`x-request-id`).
    pub request_id: RequestId,
    /// Who calls.
    pub principal: Arc<Principal>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// W3C trace context of this call's span.
    pub trace: TraceContext,
    /// Where it came in.
    pub protocol: Protocol,
    /// Metadata of the caller, lower-case names; `-bin` values are base64 as on the wire.
    pub metadata: HeaderMap,
}

impl Context {
    /// A call of Prism itself, such as a health check or a background task.
    pub fn internal(namespace: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            request_id: RequestId::new(),
            principal: Principal::anonymous(),
            deadline: None,
            trace: TraceContext::new(),
            protocol: Protocol::Internal,
            metadata: HeaderMap::new(),
        }
    }

    /// The same with a deadline from now.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// The same without the caller's metadata, for what outlives the call.
    #[must_use]
    pub fn without_metadata(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            request_id: self.request_id.clone(),
            principal: self.principal.clone(),
            deadline: self.deadline,
            trace: self.trace.clone(),
            protocol: self.protocol,
            metadata: HeaderMap::new(),
        }
    }

    /// Time that is left; `None` if there is no deadline, zero if it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Who calls, as authentication has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Stable name, as `user:ada` or `anonymous`.
    pub subject: Arc<str>,
    /// How it was found out.
    pub method: AuthenticationMethod,
}

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// It was not: the namespace asks for none.
    None,
}

impl Principal {
    /// The caller of a namespace that asks for no authentication.
    pub fn anonymous() -> Arc<Self> {
        static ANONYMOUS: LazyLock<Arc<Principal>> =
            LazyLock::new(|| Arc::new(Principal { subject: "anonymous".into(), method: AuthenticationMethod::None }));
        ANONYMOUS.clone()
    }
}

/// Names a call, in requests and in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a call. Taken from the caller's `x-request-id` where that is fit for a log, else made.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// The caller's: at most 128 visible ASCII characters.
    Given(HeaderValue),
    /// Ours: 128 random bits, shown in hexadecimal.
    Made(u128),
}

impl RequestId {
    /// A new one.
    pub fn new() -> Self {
        Self::Made(rand::random())
    }

    /// The caller's, if it is fit.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get(REQUEST_ID) {
            Some(given) if fit(given.as_bytes()) => Self::Given(given.clone()),
            _ => Self::new(),
        }
    }

    /// As a header's value.
    pub fn to_header(&self) -> HeaderValue {
        match self {
            Self::Given(given) => given.clone(),
            Self::Made(bits) => HeaderValue::from_bytes(&hexadecimal(*bits)).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }
}

/// 32 digits, as `{:032x}` writes them.
pub fn hexadecimal(bits: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    let mut rest = bits;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    digits
}

fn fit(value: &[u8]) -> bool {
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
            Self::Given(given) => f.write_str(given.to_str().unwrap_or_default()),
            Self::Made(bits) => write!(f, "{bits:032x}"),
        }
    }
}
