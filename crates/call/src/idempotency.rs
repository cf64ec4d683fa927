//! Calls that may be repeated without being done twice (draft-ietf-httpapi-idempotency-key-header).
//!
//! The caller names a call by a key. The first call with it claims the key, is done, and leaves what it came to; every later
//! one gets the same, from any gateway. Where that is kept is behind [`Replays`].
//!
//! The work goes on when the caller leaves, or else nobody could tell later what became of it. A gateway that dies in the
//! middle leaves a claim that ends by itself, a little after the call's deadline; what was done by then is not known, and the
//! next call with the key is done.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Code, Context, Error, Input, Method, Namespace, Output, Reply};

/// Where callers put the key: a header of HTTP, metadata of gRPC.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that a reply is that of an earlier call.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key.
const MAX_KEY_BYTES: usize = 255;
/// How long a claim outlives the deadline of its call. Longer than [`FINISH`], so that a record is never lost to the clock.
const MARGIN: Duration = Duration::from_secs(15);
/// How long the outcome may take to be written down.
const FINISH: Duration = Duration::from_secs(10);
/// When to come back to a call that is in flight.
const COME_BACK: Duration = Duration::from_secs(1);

/// What a namespace does about keys.
#[derive(Default)]
pub enum Idempotency {
    /// Nothing: the handler gets them with the other metadata, and another Prism may know what to do with them.
    #[default]
    PassedOn,
    /// They are refused, since the backend lacks an interface.
    Unavailable {
        /// Name of the backend.
        backend: String,
        /// The interface.
        interface: &'static str,
    },
    /// Calls with the same key are done once.
    Kept {
        /// Where their outcomes are.
        replays: Arc<dyn Replays>,
        /// Whether calls that write are refused without one.
        required: bool,
    },
}

/// Outcomes of calls by their keys, where all gateways of a namespace see them.
#[async_trait]
pub trait Replays: Send + Sync + 'static {
    /// Claims a key for a call, or tells what the call with that key came to.
    ///
    /// # Behavior
    /// - Of any number of calls with one key, on any number of gateways, one gets the claim.
    /// - The claim ends by itself after `lease`.
    /// - `ABORTED IDEMPOTENCY_KEY_IN_FLIGHT`: another call has the claim. `FAILED_PRECONDITION IDEMPOTENCY_KEY_REUSED`: the key
    ///   belongs to another request. `ALREADY_EXISTS IDEMPOTENCY_REPLY_NOT_KEPT`: it was done, and the reply is gone.
    async fn claim(&self, context: &Context, call: &KeyedCall, lease: Duration) -> Result<Claimed, Error>;

    /// Writes down what the call came to. A claim that has ended meanwhile is left to whoever has the key now.
    async fn keep(&self, context: &Context, claim: &Claim, outcome: Outcome<'_>) -> Result<(), Error>;

    /// Gives the key back: the call came to nothing definite, and the next one with the key is done.
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

/// The right to do a call.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Names the record.
    pub record: Bytes,
    /// Of the request.
    pub fingerprint: Bytes,
    /// Of the record as it was claimed: who finds another one has lost the claim.
    pub revision: u64,
}

/// Whether a call is to be done.
pub enum Claimed {
    /// It is.
    Now(Claim),
    /// It was, and came to this.
    Before(Result<Reply, Error>),
}

/// What a call came to.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// An answer.
    Reply {
        /// Metadata before the message.
        headers: &'a HeaderMap,
        /// The message.
        message: &'a Bytes,
        /// Metadata behind the message.
        trailers: Option<&'a HeaderMap>,
    },
    /// A refusal that is the same whenever it is asked.
    Error(&'a Error),
}

/// Where the outcomes of a call's namespace are, and the call's key.
pub(super) type Key = (Arc<dyn Replays>, String);

/// The key of a call, if it is to be done once; refuses it where a key is missing, malformed or can't be had.
pub(super) fn key(namespace: &Namespace, method: &Method, metadata: &HeaderMap) -> Result<Option<Key>, Error> {
    if method.read_only {
        return Ok(None);
    }
    let given = metadata.get(IDEMPOTENCY_KEY);
    let streams = method.client_streaming || method.server_streaming;
    match (&namespace.idempotency, given) {
        (Idempotency::PassedOn, _) | (Idempotency::Unavailable { .. } | Idempotency::Kept { required: false, .. }, None) => Ok(None),
        (_, None) if streams => Ok(None),
        (_, None) => Err(required(namespace)),
        (_, Some(_)) if streams => Err(malformed("IDEMPOTENCY_KEY_UNSUPPORTED", "can't be sent with a stream; leave it out")),
        (Idempotency::Unavailable { backend, interface }, Some(_)) => {
            Err(Error::capability_unavailable("Idempotency-Key", interface, backend))
        }
        (Idempotency::Kept { replays, .. }, Some(_)) => {
            let mut lines = metadata.get_all(IDEMPOTENCY_KEY).iter();
            let key = lines.next().and_then(|value| parse(value.as_bytes())).filter(|_| lines.next().is_none());
            let rule = "must be one string of 1 to 255 visible ASCII characters, as \"8e03978e-40d5-43dd-bc93-6894a57f9324\"";
            key.map(|key| Some((replays.clone(), key))).ok_or_else(|| malformed("INVALID_IDEMPOTENCY_KEY", rule))
        }
    }
}

/// A string of structured fields (RFC 8941, section 3.3.3) as the draft asks, or the same bare, as many clients send it.
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
    // Unquoted, a comma would be a second value, and a semicolon a parameter.
    let bare = key.len() == value.len();
    let fit = |byte: &u8| byte.is_ascii_graphic() && !(bare && matches!(byte, b'"' | b',' | b';'));
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(fit);
    fits.then(|| String::from_utf8(key).ok()).flatten()
}

/// One call that is done once.
pub(super) struct Once {
    pub replays: Arc<dyn Replays>,
    pub namespace: Arc<Namespace>,
    pub context: Context,
    pub call: KeyedCall,
}

impl Once {
    /// Does the call, or gives what it came to before.
    pub async fn run(self) -> Result<Reply, Error> {
        let lease = self.context.remaining().unwrap_or(self.namespace.limits.timeout).saturating_add(MARGIN);
        let claim = match self.replays.claim(&self.context, &self.call, lease).await? {
            Claimed::Before(outcome) => return replayed(outcome),
            Claimed::Now(claim) => claim,
        };
        let result = self.handle().await;
        // The call's own time may be over; its record has some of its own.
        let context = self.context.without_metadata().with_timeout(FINISH);
        let written = match Outcome::of(&result) {
            Some(outcome) => self.replays.keep(&context, &claim, outcome).await,
            None => self.replays.release(&context, &claim).await,
        };
        if let Err(error) = written {
            let namespace = &*self.namespace.name;
            tracing::warn!(namespace, %error, "the outcome of a call with an idempotency key could not be written down; until its claim ends, calls with the key are refused");
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
    /// `None`: nothing definite, so that the call may be done again.
    fn of(result: &'a Result<Reply, Error>) -> Option<Self> {
        match result {
            Ok(Reply { headers, output: Output::One(message), trailers }) => {
                Some(Self::Reply { headers, message, trailers: trailers.get() })
            }
            // Only unary calls come here.
            Ok(_) => None,
            Err(error) => is_definite(error).then_some(Self::Error(error)),
        }
    }
}

/// Whether the same call would be refused in the same way, as far as the error tells.
fn is_definite(error: &Error) -> bool {
    let passing = matches!(
        error.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::DataLoss
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
    );
    // Refused before anything was done: the caller mends the request, or the operator the namespace, and tries again.
    let refused = matches!(error.code(), Code::InvalidArgument | Code::Unimplemented);
    !passing && !refused && error.retry_after().is_none()
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
    let message = "a call with this Idempotency-Key is in flight; come back for its reply";
    Error::new(Code::Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT", message).with_retry_after(COME_BACK)
}

/// `FAILED_PRECONDITION IDEMPOTENCY_KEY_REUSED`
pub fn reused() -> Error {
    let message = "this Idempotency-Key belongs to another request; send a new key with a new request";
    Error::new(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", message)
}

/// `ALREADY_EXISTS IDEMPOTENCY_REPLY_NOT_KEPT`
pub fn reply_not_kept() -> Error {
    let message = "the call with this Idempotency-Key was done, but its reply was too large to be kept; read what it has changed";
    Error::new(Code::AlreadyExists, "IDEMPOTENCY_REPLY_NOT_KEPT", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_strings_quoted_or_bare() {
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
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            if let Some(key) = parse(&value) {
                prop_assert!((1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }

    #[test]
    fn only_what_would_be_the_same_again_is_definite() {
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
        assert!(!is_definite(&in_flight()), "what says when to come back is not definite");
    }
}
