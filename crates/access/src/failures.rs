//! Limits how often one peer may present wrong credentials.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use lru::LruCache;

use super::network::network;
use prism_call::{Code, Error, Peer};

/// Failures that a peer may have at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// After the burst, one failure is allowed in this time.
const REPLENISH: Duration = Duration::from_secs(3);
/// Peers that are remembered. The least recently seen ones are forgotten.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);

/// Counts wrong credentials by the address of the peer; of IPv6, by the network (the first 64 bits), which one peer has as a whole.
pub struct FailureLimiter(Mutex<LruCache<IpAddr, PeerFailures>>);

struct PeerFailures {
    limiter: DefaultDirectRateLimiter,
    blocked_until: Option<Instant>,
}

impl Default for FailureLimiter {
    fn default() -> Self {
        Self(Mutex::new(LruCache::sparse(MAX_PEERS)))
    }
}

impl FailureLimiter {
    /// Refuses to check credentials of a peer that presented too many wrong ones.
    pub fn check(&self, peer: &Peer) -> Result<(), Error> {
        let Some(network) = network(peer) else { return Ok(()) };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = known.peek(&network).and_then(|failures| failures.blocked_until?.checked_duration_since(Instant::now()));
        match wait.filter(|wait| !wait.is_zero()) {
            None => Ok(()),
            Some(wait) => {
                let message = "too many wrong credentials came from this address; wait before the next attempt";
                Err(Error::new(Code::ResourceExhausted, "TOO_MANY_FAILURES", message).with_retry_after(wait))
            }
        }
    }

    /// Counts wrong credentials.
    pub fn record(&self, peer: &Peer) {
        let Some(network) = network(peer) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = known.get_or_insert_mut(network, || {
            let quota = Quota::with_period(REPLENISH).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(BURST);
            PeerFailures { limiter: RateLimiter::direct(quota), blocked_until: None }
        });
        if let Err(until) = failures.limiter.check() {
            let wait = until.wait_time_from(failures.limiter.clock().now());
            failures.blocked_until = Instant::now().checked_add(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer { address: Some(address.parse().unwrap()), ..Peer::default() }
    }

    #[test]
    fn peers_are_blocked_one_by_one_after_the_burst() {
        let limiter = FailureLimiter::default();
        let (one, other) = (peer("[2001:db8::1]:1"), peer("[2001:db8:0:1::1]:1"));
        for _ in 0..BURST.get() {
            assert!(limiter.check(&one).is_ok());
            limiter.record(&one);
        }
        limiter.record(&one);
        let error = limiter.check(&peer("[2001:db8::2]:7")).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "TOO_MANY_FAILURES"));
        assert!(error.retry_after().is_some_and(|wait| wait <= REPLENISH), "{:?}", error.retry_after());
        assert!(limiter.check(&other).is_ok());
    }
}
