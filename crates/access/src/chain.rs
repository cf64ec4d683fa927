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

    /// Waits for the result of a method, and tries the methods after it if it rejects the credentials.
    async fn verify<'a>(&'a self, index: usize, first: Attempt<'a>, (peer, credentials): (&'a Peer, &'a Credentials)) -> Authenticated {
        let mut reservation = None;
        let mut known = Some(first);
        for method in self.methods.iter().skip(index) {
            let mut attempt = known.take().unwrap_or_else(|| method.attempt(peer, credentials));
            if matches!(attempt, Attempt::Pending(_)) && reservation.is_none() {
                let reserved = self.failures.reserve(peer).await?;
                if reserved.has_waited {
                    // The credentials may have been verified in the meantime.
                    attempt = method.attempt(peer, credentials);
                }
                reservation = Some(reserved);
            }
            let verdict = match attempt {
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
        match reservation {
            Some(reservation) => reservation.fail(),
            None => self.failures.record(peer)?,
        }
        Err(self.challenge(Error::unauthenticated()))
    }

    fn without_credentials(&self) -> Authenticated {
        if self.anonymous { Ok(Principal::anonymous()) } else { Err(self.challenge(Error::unauthenticated())) }
    }

    fn reject(&self, peer: &Peer) -> Authenticated {
        self.failures.record(peer)?;
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
            match method.attempt(peer, credentials) {
                Attempt::Absent => {}
                Attempt::Ready(Verdict::Accepted(principal)) => return Authentication::Ready(Ok(principal)),
                Attempt::Ready(Verdict::Rejected) => rejected = true,
                Attempt::Ready(Verdict::Unavailable(error)) => return Authentication::Ready(Err(error)),
                first @ (Attempt::Pending(_) | Attempt::Again(_)) => {
                    return Authentication::Pending(Box::pin(self.verify(index, first, (peer, credentials))));
                }
            }
        }
        let has_credentials = credentials.authorization.is_some() || credentials.api_key.is_some();
        Authentication::Ready(if rejected || (has_credentials && !self.is_open()) { self.reject(peer) } else { self.without_credentials() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use http::HeaderValue;
    use tokio::sync::Semaphore;

    use super::*;
    use prism_call::{AuthenticationMethod, Code};

    /// Accepts `right`, as soon as there is a permit, and counts what it verifies.
    struct Slow {
        permits: Semaphore,
        verified: AtomicUsize,
    }

    impl Method for Slow {
        fn attempt<'a>(&'a self, _: &'a Peer, credentials: &'a Credentials) -> Attempt<'a> {
            let is_right = credentials.api_key.as_ref().is_some_and(|key| key == "right");
            Attempt::Pending(Box::pin(async move {
                self.verified.fetch_add(1, Ordering::Relaxed);
                let _permit = self.permits.acquire().await;
                if is_right { Verdict::Accepted(Arc::new(Principal::new("ada", AuthenticationMethod::ApiKey))) } else { Verdict::Rejected }
            }))
        }

        fn challenge(&self) -> Option<&'static str> {
            None
        }
    }

    async fn ask(chain: &MethodChain, key: &'static str) -> Result<Arc<Principal>, Code> {
        let peer = Peer { address: Some("192.0.2.1:1".parse().unwrap()), ..Peer::default() };
        let credentials = Credentials { api_key: Some(HeaderValue::from_static(key)), authorization: None };
        let authenticated = match chain.authenticate(&peer, &credentials) {
            Authentication::Ready(authenticated) => authenticated,
            Authentication::Pending(work) => work.await,
        };
        authenticated.map_err(|error| error.code())
    }

    fn chain() -> (MethodChain, Arc<Slow>) {
        let slow = Arc::new(Slow { permits: Semaphore::new(0), verified: AtomicUsize::new(0) });
        (MethodChain::new(vec![slow.clone()], false, Arc::default()), slow)
    }

    #[tokio::test]
    async fn wrong_credentials_at_the_same_time_are_verified_up_to_the_burst() {
        let (chain, slow) = chain();
        let (results, ()) = tokio::join!(join_all((0..200).map(|_| ask(&chain, "wrong"))), async { slow.permits.add_permits(1) });
        assert_eq!(slow.verified.load(Ordering::Relaxed), 20);
        let count = |code| results.iter().filter(|result| matches!(result, Err(found) if *found == code)).count();
        assert_eq!((count(Code::Unauthenticated), count(Code::ResourceExhausted)), (20, 180));
    }

    #[tokio::test]
    async fn right_credentials_at_the_same_time_are_all_accepted() {
        let (chain, slow) = chain();
        let (results, ()) = tokio::join!(join_all((0..200).map(|_| ask(&chain, "right"))), async { slow.permits.add_permits(1) });
        assert!(results.iter().all(Result::is_ok));
        assert!(ask(&chain, "right").await.is_ok());
    }
}
