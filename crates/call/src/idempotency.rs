//! Calls that are executed once although they are repeated (draft-ietf-httpapi-idempotency-key-header).
//!
//! The caller identifies a call by a key. The first call with the key claims it, runs, and stores its outcome. Every later call
//! gets the same outcome, from any gateway. [`ReplyStore`] stores the outcomes.
//!
//! The work continues when the caller leaves, so that its outcome is always recorded. A gateway that crashes in the middle leaves a
//! claim that expires a little after the deadline of the call. What it had done by then is unknown, and the next call with the key
//! runs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Code, Context, EncodedMessage, Error, Input, Method, Namespace, Output, Reply};

/// The HTTP header or gRPC metadata with the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a reply as the reply of an earlier call.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Maximum length of a key.
const MAX_KEY_BYTES: usize = 255;
/// How long a claim outlives the deadline of its call. Longer than [`STORE_TIMEOUT`], so that the claim is still held when the outcome is stored.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// How long storing the outcome may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// When to retry while a call with the same key is in flight.
const RETRY_IN_FLIGHT: Duration = Duration::from_secs(1);

/// How a namespace handles keys.
#[derive(Default)]
pub enum Idempotency {
    /// The handler gets them with the other metadata. Another Prism behind it may evaluate them.
    #[default]
    Forwarded,
    /// Calls with a key are refused, because the backend lacks an interface.
    Unavailable {
        /// Name of the backend.
        backend: String,
        /// The interface.
        interface: &'static str,
    },
    /// Calls with the same key are executed once.
    Stored {
        /// Stores their outcomes.
        store: Arc<dyn ReplyStore>,
        /// Whether calls that write are refused without a key.
        required: bool,
    },
}

/// Stores the outcomes of calls by their keys, shared by all gateways of a namespace.
#[async_trait]
pub trait ReplyStore: Send + Sync + 'static {
    /// Claims a key for a call, or returns the outcome of the earlier call with that key.
    ///
    /// # Behavior
    /// - Of any number of calls with one key, on any number of gateways, one gets the claim.
    /// - The claim expires after `lease`.
    /// - `ABORTED IDEMPOTENCY_KEY_IN_FLIGHT`: another call holds the claim. `FAILED_PRECONDITION IDEMPOTENCY_KEY_REUSED`: the key
    ///   was used for another request. `ALREADY_EXISTS IDEMPOTENCY_REPLY_NOT_KEPT`: the call was executed, and its reply is not stored.
    async fn claim(&self, context: &Context, call: &KeyedCall, lease: Duration) -> Result<ClaimResult, Error>;

    /// Stores the outcome of the call. Does nothing if the claim has expired in the meantime.
    async fn store_outcome(&self, context: &Context, claim: &Claim, outcome: Outcome<'_>) -> Result<(), Error>;

    /// Releases the key, because the call has no definite outcome. The next call with the key runs.
    async fn release(&self, context: &Context, claim: &Claim) -> Result<(), Error>;
}

/// A call with a key.
#[derive(Clone, Debug)]
pub struct KeyedCall {
    /// The caller's key, 1 to 255 visible ASCII characters.
    pub key: String,
    /// The RPC.
    pub method: Arc<Method>,
    /// The request message.
    pub message: Bytes,
}

/// The exclusive right to execute a call.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Key of the record.
    pub record: Bytes,
    /// Fingerprint of the request.
    pub fingerprint: Bytes,
    /// Revision of the record at the time of the claim. If it has changed, the claim is lost.
    pub revision: u64,
}

/// The result of claiming a key.
pub enum ClaimResult {
    /// The call may run.
    Granted(Claim),
    /// An earlier call has run, with this outcome.
    Completed(Result<Reply, Error>),
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// A reply.
    Reply {
        /// Metadata before the message.
        headers: &'a HeaderMap,
        /// The message.
        message: &'a EncodedMessage,
        /// Metadata after the message.
        trailers: Option<&'a HeaderMap>,
    },
    /// An error that every repetition would get too.
    Error(&'a Error),
}

/// The store of the namespace, and the key of the call.
pub(super) type Key = (Arc<dyn ReplyStore>, String);

/// Returns the key of a call that must be executed once. Refuses the call if the key is missing, malformed or not supported.
pub(super) fn key(namespace: &Namespace, method: &Method, metadata: &HeaderMap) -> Result<Option<Key>, Error> {
    if method.read_only {
        return Ok(None);
    }
    let given = metadata.get(IDEMPOTENCY_KEY);
    let streams = method.client_streaming || method.server_streaming;
    match (&namespace.idempotency, given) {
        (Idempotency::Forwarded, _) | (Idempotency::Unavailable { .. } | Idempotency::Stored { required: false, .. }, None) => Ok(None),
        (_, None) if streams => Ok(None),
        (_, None) => Err(required(namespace)),
        (_, Some(_)) if streams => Err(malformed("IDEMPOTENCY_KEY_UNSUPPORTED", "can't be sent with a stream; leave it out")),
        (Idempotency::Unavailable { backend, interface }, Some(_)) => {
            Err(Error::capability_unavailable("Idempotency-Key", interface, backend))
        }
        (Idempotency::Stored { store, .. }, Some(_)) => {
            let mut lines = metadata.get_all(IDEMPOTENCY_KEY).iter();
            let key = lines.next().and_then(|value| parse(value.as_bytes())).filter(|_| lines.next().is_none());
            let rule = "must be one string of 1 to 255 visible ASCII characters, as \"8e03978e-40d5-43dd-bc93-6894a57f9324\"";
            key.map(|key| Some((store.clone(), key))).ok_or_else(|| malformed("INVALID_IDEMPOTENCY_KEY", rule))
        }
    }
}

/// Parses a string of structured fields (RFC 8941, section 3.3.3) as in the draft, or the same without quotes, as many clients send it.
fn parse(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        None => value.to_vec(),
        Some(quoted) => {
            let (mut key, mut rest) = (Vec::with_capacity(quoted.len()), quoted.strip_suffix(b"\"")?.iter());
            while let Some(&byte) = rest.next() {
                key.push(match byte {
                    b'\\' => *rest.next().filter(|escaped| matches!(escaped, b'"' | b'\\'))?,
                    b'"' => return None,
                    other => other,
                });
            }
            key
        }
    };
    // Without quotes, a comma would begin a second value, and a semicolon a parameter.
    let bare = key.len() == value.len();
    let fit = |byte: &u8| byte.is_ascii_graphic() && !(bare && matches!(byte, b'"' | b',' | b';'));
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(fit);
    fits.then(|| String::from_utf8(key).ok()).flatten()
}

/// A call that is executed once.
pub(super) struct OnceCall {
    pub store: Arc<dyn ReplyStore>,
    pub namespace: Arc<Namespace>,
    pub context: Context,
    pub call: KeyedCall,
}

impl OnceCall {
    /// Runs the call, or returns the outcome of the earlier one.
    pub async fn run(self) -> Result<Reply, Error> {
        let lease = self.context.remaining().unwrap_or(self.namespace.limits.timeout).saturating_add(LEASE_MARGIN);
        let claim = match self.store.claim(&self.context, &self.call, lease).await? {
            ClaimResult::Completed(outcome) => return replayed(outcome),
            ClaimResult::Granted(claim) => claim,
        };
        let result = self.handle().await;
        // The deadline of the call may have passed; storing its outcome has a separate timeout.
        let context = self.context.without_metadata().with_timeout(STORE_TIMEOUT);
        let written = match Outcome::from_result(&result) {
            Some(outcome) => self.store.store_outcome(&context, &claim, outcome).await,
            None => self.store.release(&context, &claim).await,
        };
        if let Err(error) = written {
            let namespace = &*self.namespace.name;
            tracing::warn!(namespace, %error, "the outcome of a call with an idempotency key could not be stored; calls with the key are refused until its claim expires");
        }
        result
    }

    async fn handle(&self) -> Result<Reply, Error> {
        let input = Input::One(self.call.message.clone());
        let work = self.namespace.handler.handle(&self.context, &self.call.method, input);
        match self.context.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(Error::deadline_exceeded())),
            None => work.await,
        }
    }
}

impl<'a> Outcome<'a> {
    /// Returns the outcome, or `None` if it is not definite and the call may run again.
    fn from_result(result: &'a Result<Reply, Error>) -> Option<Self> {
        match result {
            Ok(Reply { headers, output: Output::One(message), trailers }) => {
                Some(Self::Reply { headers, message, trailers: trailers.get() })
            }
            // Only unary calls have keys.
            Ok(_) => None,
            Err(error) => is_definite(error).then_some(Self::Error(error)),
        }
    }
}

/// Tells whether a repetition would get the same error.
fn is_definite(error: &Error) -> bool {
    let is_transient = matches!(
        error.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::DataLoss
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
    );
    // Nothing was executed: the caller corrects the request, or the operator the namespace, and the call is repeated.
    let is_correctable = matches!(error.code(), Code::InvalidArgument | Code::Unimplemented);
    !is_transient && !is_correctable && error.retry_after().is_none()
}

fn replayed(outcome: Result<Reply, Error>) -> Result<Reply, Error> {
    let mark = |headers: &mut HeaderMap| headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    match outcome {
        Ok(mut reply) => {
            mark(&mut reply.headers);
            Ok(reply)
        }
        Err(error) => {
            let (mut headers, trailers) = (error.headers_and_trailers().0.clone(), error.headers_and_trailers().1.clone());
            mark(&mut headers);
            Err(error.with_headers_and_trailers(headers, trailers))
        }
    }
}

/// `INVALID_ARGUMENT`: something about the header.
fn malformed(reason: &'static str, rule: &str) -> Error {
    Error::new(Code::InvalidArgument, reason, format!("the header Idempotency-Key {rule}"))
        .with_violation("Idempotency-Key", rule)
        .with("in", "header")
        .with("parameter", "Idempotency-Key")
}

fn required(namespace: &Namespace) -> Error {
    let rule = format!("is required for calls that write to the namespace {}; send a new key with each, as a UUID", namespace.name);
    malformed("IDEMPOTENCY_KEY_REQUIRED", &rule)
}

/// `ABORTED IDEMPOTENCY_KEY_IN_FLIGHT`
pub fn in_flight() -> Error {
    let message = "a call with this Idempotency-Key is in flight; retry to get its reply";
    Error::new(Code::Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT", message).with_retry_after(RETRY_IN_FLIGHT)
}

/// `FAILED_PRECONDITION IDEMPOTENCY_KEY_REUSED`
pub fn reused() -> Error {
    let message = "this Idempotency-Key was used for another request; send a new key with a new request";
    Error::new(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", message)
}

/// `ALREADY_EXISTS IDEMPOTENCY_REPLY_NOT_KEPT`
pub fn reply_not_kept() -> Error {
    let message =
        "the call with this Idempotency-Key was executed, but its reply was too large to be stored; read the data that it changed";
    Error::new(Code::AlreadyExists, "IDEMPOTENCY_REPLY_NOT_KEPT", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_may_be_quoted_or_not() {
        let long = "x".repeat(255);
        for (value, wanted) in [
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("\"8e03978e\"", "8e03978e"),
            (" abc/+==:~ ", "abc/+==:~"),
            (r#""a\"b\\c,;""#, "a\"b\\c,;"),
            (long.as_str(), long.as_str()),
        ] {
            assert_eq!(parse(value.as_bytes()).as_deref(), Some(wanted), "{value}");
        }
        let longer = "x".repeat(256);
        for value in [
            "",
            " ",
            "\"\"",
            "\"",
            "a b",
            "\"a b\"",
            "\"a",
            "a\"",
            "\"a\"b\"",
            r#""a\x""#,
            r#""a\""#,
            "\"a\";p=1",
            "a,b",
            "a;b",
            "\u{e4}",
            longer.as_str(),
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(value: Vec<u8>) {
            if let Some(key) = parse(&value) {
                prop_assert!((1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }

    #[test]
    fn only_errors_that_a_repetition_would_get_are_definite() {
        for code in Code::ALL {
            let definite = matches!(
                code,
                Code::NotFound
                    | Code::AlreadyExists
                    | Code::PermissionDenied
                    | Code::FailedPrecondition
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unauthenticated
                    | Code::Ok
            );
            assert_eq!(is_definite(&Error::new(code, "A", "a")), definite, "{code:?}");
        }
        assert!(!is_definite(&in_flight()), "an error with a retry time is not definite");
    }
}
