//! Limits how often one peer may present wrong credentials.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;
use tokio::sync::Notify;

use super::network::network;
use prism_call::{Code, Error, Peer};

/// Failures that a network may have at once. Attempts that are being verified count as failures until they succeed, so this is also how many of
/// a network are verified at once.
const BURST: u32 = 20;
/// After the burst, one attempt is allowed in this time.
const REPLENISH: Duration = Duration::from_secs(3);
/// Attempts of a network that wait for a verification. Further ones are refused.
const MAX_WAITING: u32 = 1024;
/// Networks that are remembered. The least recently seen ones are forgotten.
const MAX_NETWORKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);

/// Counts wrong credentials by the address of the peer; of IPv6, by the network (the first 64 bits), which one peer has as a whole.
pub struct FailureLimiter(Mutex<LruCache<IpAddr, NetworkFailures>>);

/// The failures of a network.
struct NetworkFailures {
    /// Failures that still count.
    failed: u32,
    /// When the last of them was forgiven, or since when there are any.
    since: Instant,
    /// Attempts that are being verified.
    verifying: u32,
    /// Attempts that wait until others are verified.
    waiting: u32,
    /// Wakes those that wait.
    changed: Arc<Notify>,
}

/// The right of a network to one verification. It is given back when it is dropped, so an attempt that succeeds, or that its caller leaves, counts
/// no longer.
pub struct Reservation<'l> {
    /// `None`: calls of Prism itself are not counted.
    counted: Option<(&'l FailureLimiter, IpAddr, Arc<Notify>)>,
    /// Whether it had to wait for others.
    pub has_waited: bool,
}

/// An attempt that waits. It is counted until it is dropped.
struct Waiting<'l>(&'l FailureLimiter, IpAddr);

impl Default for FailureLimiter {
    fn default() -> Self {
        Self(Mutex::new(LruCache::sparse(MAX_NETWORKS)))
    }
}

impl FailureLimiter {
    /// Reserves a verification. Waits while as many attempts are verified as there may be further failures, and refuses it after too many failures.
    pub async fn reserve(&self, peer: &Peer) -> Result<Reservation<'_>, Error> {
        let Some(network) = network(peer) else { return Ok(Reservation { counted: None, has_waited: false }) };
        let mut waiting = None;
        loop {
            let changed = match self.with(network, |failures| failures.try_reserve(waiting.is_some()))? {
                Ok(changed) => return Ok(Reservation { counted: Some((self, network, changed)), has_waited: waiting.is_some() }),
                Err(changed) => changed,
            };
            waiting.get_or_insert_with(|| Waiting(self, network));
            // A wake-up between the look at the failures and this line is not lost: `notify_one` keeps it. `enable` receives those of `notify_waiters`.
            let mut notified = pin!(changed.notified());
            notified.as_mut().enable();
            if self.with(network, |failures| failures.must_wait()) {
                notified.await;
            }
        }
    }

    /// Counts wrong credentials that needed no reservation. Refuses them without a hint after too many failures.
    pub fn record(&self, peer: &Peer) -> Result<(), Error> {
        let Some(network) = network(peer) else { return Ok(()) };
        self.with(network, |failures| failures.check().map(|()| failures.fail()))
    }

    /// Looks at the failures of a network, and forgets it if it has none.
    fn with<T>(&self, network: IpAddr, look: impl FnOnce(&mut NetworkFailures) -> T) -> T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = known.get_or_insert_mut(network, NetworkFailures::new);
        failures.forgive(Instant::now());
        let result = look(failures);
        if (failures.failed, failures.verifying, failures.waiting) == (0, 0, 0) {
            known.pop(&network);
        }
        result
    }
}

impl Reservation<'_> {
    /// Counts the attempt as a failure.
    pub fn fail(mut self) {
        if let Some((limiter, network, changed)) = self.counted.take() {
            limiter.with(network, |failures| {
                failures.verifying = failures.verifying.saturating_sub(1);
                failures.fail();
            });
            changed.notify_one();
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some((limiter, network, changed)) = self.counted.take() {
            limiter.with(network, |failures| failures.verifying = failures.verifying.saturating_sub(1));
            changed.notify_one();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(self.1, |failures| failures.waiting = failures.waiting.saturating_sub(1));
    }
}

impl NetworkFailures {
    fn new() -> Self {
        Self { failed: 0, since: Instant::now(), verifying: 0, waiting: 0, changed: Arc::new(Notify::new()) }
    }

    /// Forgives one failure for each period that has passed.
    fn forgive(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_millis() / REPLENISH.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed >= self.failed {
            (self.failed, self.since) = (0, now);
        } else {
            self.failed -= passed;
            self.since += REPLENISH * passed;
        }
    }

    /// Counts a failure, and wakes all attempts that must be refused now.
    fn fail(&mut self) {
        self.failed = self.failed.saturating_add(1).min(BURST);
        if self.failed == BURST {
            self.changed.notify_waiters();
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.failed < BURST {
            return Ok(());
        }
        let message = "too many wrong credentials came from this address; wait before the next attempt";
        Err(refuse(message, (self.since + REPLENISH).saturating_duration_since(Instant::now())))
    }

    fn must_wait(&self) -> bool {
        self.failed < BURST && self.failed.saturating_add(self.verifying) >= BURST
    }

    /// Reserves a verification. The inner error is what to wait for; such an attempt is counted, unless it waited before.
    fn try_reserve(&mut self, is_waiting: bool) -> Result<Result<Arc<Notify>, Arc<Notify>>, Error> {
        self.check()?;
        if !self.must_wait() {
            self.verifying = self.verifying.saturating_add(1);
            return Ok(Ok(self.changed.clone()));
        }
        if !is_waiting {
            if self.waiting >= MAX_WAITING {
                return Err(refuse("too many credentials from this address wait to be verified; try again", REPLENISH));
            }
            self.waiting = self.waiting.saturating_add(1);
        }
        Ok(Err(self.changed.clone()))
    }
}

fn refuse(message: &'static str, wait: Duration) -> Error {
    Error::new(Code::ResourceExhausted, "TOO_MANY_FAILURES", message).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer { address: Some(address.parse().unwrap()), ..Peer::default() }
    }

    #[tokio::test]
    async fn peers_are_blocked_one_by_one_after_the_burst() {
        let limiter = FailureLimiter::default();
        let (one, other) = (peer("[2001:db8::1]:1"), peer("[2001:db8:0:1::1]:1"));
        for _ in 0..BURST / 2 {
            limiter.reserve(&one).await.unwrap().fail();
            limiter.record(&one).unwrap();
        }
        let error = limiter.reserve(&peer("[2001:db8::2]:7")).await.map(drop).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "TOO_MANY_FAILURES"));
        assert!(error.retry_after().is_some_and(|wait| wait <= REPLENISH), "{:?}", error.retry_after());
        assert!(limiter.record(&one).is_err());
        assert!(limiter.reserve(&other).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_being_verified_counts_until_it_succeeds() {
        let limiter = FailureLimiter::default();
        let one = peer("192.0.2.1:1");
        let mut held = join_all((0..BURST).map(|_| limiter.reserve(&one))).await;
        let mut next = Box::pin(limiter.reserve(&one));
        assert!(futures::poll!(&mut next).is_pending());
        held.pop();
        assert!(next.await.unwrap().has_waited);
        let mut next = Box::pin(limiter.reserve(&one));
        held.push(limiter.reserve(&one).await);
        assert!(futures::poll!(&mut next).is_pending());
        for reservation in held {
            reservation.unwrap().fail();
        }
        assert_eq!(next.await.map(drop).unwrap_err().reason(), "TOO_MANY_FAILURES");
    }

    #[tokio::test]
    async fn a_network_without_failures_is_forgotten_and_failures_are_forgiven() {
        let limiter = FailureLimiter::default();
        drop(limiter.reserve(&peer("192.0.2.1:1")).await);
        assert!(limiter.0.lock().unwrap().is_empty());
        let mut failures = NetworkFailures::new();
        (0..BURST).for_each(|_| failures.fail());
        let start = failures.since;
        failures.forgive(start + REPLENISH * 2 + REPLENISH / 2);
        assert_eq!(failures.failed, BURST - 2);
        failures.forgive(start + REPLENISH * 3);
        assert_eq!(failures.failed, BURST - 3);
        failures.forgive(start + REPLENISH * 1000);
        assert_eq!(failures.failed, 0);
    }

    #[tokio::test]
    async fn attempts_that_wait_are_bounded() {
        let limiter = FailureLimiter::default();
        let one = peer("192.0.2.1:1");
        let held = join_all((0..BURST).map(|_| limiter.reserve(&one))).await;
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(limiter.reserve(&one))).collect();
        for attempt in &mut waiting {
            assert!(futures::poll!(attempt).is_pending());
        }
        assert!(limiter.reserve(&one).await.is_err());
        waiting.pop();
        assert!(futures::poll!(Box::pin(limiter.reserve(&one))).is_pending());
        drop((waiting, held));
        assert!(limiter.0.lock().unwrap().is_empty());
    }
}
