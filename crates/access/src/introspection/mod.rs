//! Opaque tokens: their issuer tells who has them, at its introspection endpoint (RFC 7662).
//!
//! An answer counts for a short time, the `recheck_interval`, and never after the token expires. Then the endpoint is asked again, also for open
//! streams. If it can't be asked, the token is not accepted.

mod endpoint;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::endpoint::{Endpoint, Failure};
use super::{
    cache::{VerifiedCache, digest_of},
    keys::PREFIX,
    method::{self, Attempt, Method, Verdict},
    single_flight::SingleFlight,
};
use prism_call::{Code, Credentials, Error, Peer, Principal};

pub use settings::IntrospectionSettings;

/// Longest token.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How long a caller should wait before the next attempt, if the endpoint can't be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The answer about one token.
type Answer = Result<Arc<Principal>, Failure>;

/// Authenticates callers by opaque tokens.
pub struct Introspection {
    state: Arc<State>,
    /// The requests in progress. All callers with the same token share one.
    flights: SingleFlight<Answer>,
}

struct State {
    endpoint: Endpoint,
    answers: VerifiedCache,
}

impl Introspection {
    /// Prepares the requests. The endpoint is asked when the first token comes.
    pub fn open(name: &str, settings: &IntrospectionSettings) -> Result<Self, String> {
        let endpoint = Endpoint::open(name, settings)?;
        let state = Arc::new(State { endpoint, answers: VerifiedCache::default() });
        Ok(Self { state, flights: SingleFlight::default() })
    }

    async fn check(&self, token: &str) -> Verdict {
        let work = || {
            let (state, token) = (self.state.clone(), token.to_owned());
            async move { state.ask(&token).await }
        };
        let answer = self.flights.join(digest_of(token.as_bytes()), work).await;
        match answer.unwrap_or(Err(Failure::Unavailable)) {
            Ok(principal) => Verdict::Accepted(principal),
            Err(Failure::Rejected) => Verdict::Rejected,
            Err(Failure::Unavailable) => {
                let message = "this token can't be checked with its issuer now; try again";
                Verdict::Unavailable(Error::new(Code::Unavailable, "ISSUER_UNAVAILABLE", message).with_retry_after(RETRY_AFTER))
            }
        }
    }
}

impl State {
    /// Asks the endpoint, and keeps the answer.
    async fn ask(&self, token: &str) -> Answer {
        let answer = self.endpoint.ask(token).await.map(Arc::new);
        match &answer {
            Ok(principal) => self.answers.put(token.as_bytes(), principal.clone()),
            Err(Failure::Rejected) => self.answers.remove(token.as_bytes()),
            // It stays known, but its time is over.
            Err(Failure::Unavailable) => {}
        }
        answer
    }
}

impl Method for Introspection {
    fn attempt<'a>(&'a self, _: &'a Peer, credentials: &'a Credentials) -> Attempt<'a> {
        let Some(token) = method::token(credentials.authorization.as_ref(), "bearer") else { return Attempt::Absent };
        if token.starts_with(PREFIX) {
            return Attempt::Absent;
        }
        if !is_token(token) {
            return Attempt::Ready(Verdict::Rejected);
        }
        match self.state.answers.get(token.as_bytes()) {
            Some(principal) if principal.check_again.is_none_or(|time| time > Instant::now()) => {
                Attempt::Ready(Verdict::Accepted(principal))
            }
            Some(_) => Attempt::Again(Box::pin(self.check(token))),
            None => Attempt::Pending(Box::pin(self.check(token))),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        Some("Bearer realm=\"prism\"")
    }
}

/// Tells whether a text can be a bearer token (RFC 6750, section 2.1, `b64token`).
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && text.len() <= MAX_TOKEN_BYTES && body.bytes().all(allowed)
}
