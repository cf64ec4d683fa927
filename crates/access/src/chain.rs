//! The methods of authentication of a listener or of a namespace.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

use super::{
    failures::FailureLimiter,
    method::{Attempt, Method, Verdict},
};
use prism_call::{Authenticate, Authenticated, Authentication, Credentials, Error, Peer, Principal};

/// Methods of authentication, in order. The first one that accepts the credentials decides who the caller is.
pub struct MethodChain {
    methods: Vec<Arc<dyn Method>>,
    /// Whether requests without any credentials are served.
    anonymous: bool,
    failures: Arc<FailureLimiter>,
    /// For `WWW-Authenticate`.
    challenges: HeaderMap,
}

impl MethodChain {
    /// Creates a chain. `anonymous`: whether requests without any credentials are served. Credentials that no method accepts never are, so that
    /// nobody is anonymous by mistake.
    pub fn new(methods: Vec<Arc<dyn Method>>, anonymous: bool, failures: Arc<FailureLimiter>) -> Self {
        let mut known: Vec<&'static str> = Vec::new();
        for challenge in methods.iter().filter_map(|method| method.challenge()) {
            if !known.contains(&challenge) {
                known.push(challenge);
            }
        }
        let challenges = known.into_iter().map(|challenge| (WWW_AUTHENTICATE, HeaderValue::from_static(challenge))).collect();
        Self { methods, anonymous, failures, challenges }
    }

    /// Tells whether every request is served, and nobody is ever known.
    pub fn is_open(&self) -> bool {
        self.methods.is_empty() && self.anonymous
    }

    /// Tries the methods after one that rejected the credentials.
    async fn try_rest(&self, first: usize, peer: &Peer, credentials: &Credentials) -> Authenticated {
        for method in self.methods.iter().skip(first) {
            let verdict = match method.attempt(peer, credentials) {
                Attempt::Absent => continue,
                Attempt::Ready(verdict) => verdict,
                Attempt::Pending(work) | Attempt::Again(work) => work.await,
            };
            match verdict {
                Verdict::Accepted(principal) => return Ok(principal),
                Verdict::Rejected => {}
                Verdict::Unavailable(error) => return Err(error),
            }
        }
        self.reject(peer)
    }

    fn without_credentials(&self) -> Authenticated {
        if self.anonymous { Ok(Principal::anonymous()) } else { Err(self.challenge(Error::unauthenticated())) }
    }

    fn reject(&self, peer: &Peer) -> Authenticated {
        self.failures.check(peer)?;
        self.failures.record(peer);
        Err(self.challenge(Error::unauthenticated()))
    }

    fn challenge(&self, error: Error) -> Error {
        error.with_headers_and_trailers(self.challenges.clone(), HeaderMap::new())
    }
}

impl Authenticate for MethodChain {
    fn authenticate<'a>(&'a self, peer: &'a Peer, credentials: &'a Credentials) -> Authentication<'a> {
        let mut rejected = false;
        for (index, method) in self.methods.iter().enumerate() {
            let (first, is_known) = match method.attempt(peer, credentials) {
                Attempt::Absent => continue,
                Attempt::Ready(Verdict::Accepted(principal)) => return Authentication::Ready(Ok(principal)),
                Attempt::Ready(Verdict::Rejected) => {
                    rejected = true;
                    continue;
                }
                Attempt::Ready(Verdict::Unavailable(error)) => return Authentication::Ready(Err(error)),
                Attempt::Pending(first) => (first, false),
                Attempt::Again(first) => (first, true),
            };
            return Authentication::Pending(Box::pin(async move {
                if !is_known {
                    self.failures.check(peer)?;
                }
                match first.await {
                    Verdict::Accepted(principal) => Ok(principal),
                    Verdict::Rejected => self.try_rest(index + 1, peer, credentials).await,
                    Verdict::Unavailable(error) => Err(error),
                }
            }));
        }
        let has_credentials = credentials.authorization.is_some() || credentials.api_key.is_some();
        Authentication::Ready(if rejected || (has_credentials && !self.is_open()) { self.reject(peer) } else { self.without_credentials() })
    }
}
