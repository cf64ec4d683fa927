//! Quotas: how often, and how much at once, each caller, each address and a namespace as a whole may call.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use lru::LruCache;
use tokio::sync::Semaphore;

use super::network::network;
use prism_call::{Code, Context, Error, Share};

/// Counters that are remembered for each kind. The least recently used ones start again.
const MAX_COUNTERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// When a caller may try again that has too many calls in flight.
const RETRY_AFTER: Duration = Duration::from_millis(100);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Calls in a period. `None`: any number.
    pub rate: Option<CallRate>,
    /// Calls that may come at once; by default as many as in the period.
    pub burst: Option<NonZeroU32>,
    /// Calls and open streams at the same time. `None`: any number.
    pub max_concurrent: Option<u32>,
}

/// A number of calls in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRate {
    /// The number.
    pub calls: NonZeroU32,
    /// The period.
    pub period: Duration,
}

/// The quotas of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaSettings {
    /// For each address; of IPv6, for each network.
    pub peer: Option<QuotaLimits>,
    /// For each caller.
    pub principal: Option<QuotaLimits>,
    /// For all callers together.
    pub namespace: Option<QuotaLimits>,
}

/// The quotas of a namespace, with what is used of them.
pub struct Quotas {
    settings: QuotaSettings,
    peer: Option<Counters<IpAddr>>,
    principal: Option<Counters<CallerKey>>,
    namespace: Option<Counter>,
}

/// Names a caller: how it was authenticated, its tenant and its subject.
type CallerKey = (&'static str, Arc<str>, Arc<str>);

struct Counters<K> {
    limits: QuotaLimits,
    known: Mutex<LruCache<K, Arc<Counter>>>,
}

/// What one caller has used.
struct Counter {
    limits: QuotaLimits,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>>,
    running: Option<Arc<Semaphore>>,
}

/// What is left of a rate.
struct Remaining {
    name: &'static str,
    /// Calls.
    left: u32,
    /// Most calls that can be left.
    capacity: u32,
    /// Time in which nothing becomes everything.
    window: Duration,
}

impl Quotas {
    /// Creates the counters.
    pub fn new(settings: QuotaSettings) -> Self {
        Self {
            settings,
            peer: settings.peer.map(Counters::new),
            principal: settings.principal.map(Counters::new),
            namespace: settings.namespace.map(Counter::new),
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Takes the share of a request, or refuses it.
    pub fn acquire(&self, context: &Context) -> Result<Share, Error> {
        let mut share = Share { headers: HeaderMap::new(), held: Vec::new() };
        let mut remaining = Vec::new();
        if let (Some(counters), Some(network)) = (&self.peer, network(&context.peer)) {
            counters.get(network).acquire("peer", &mut share, &mut remaining)?;
        }
        if let Some(counters) = &self.principal {
            let principal = &context.principal;
            let key = (principal.method.name(), principal.tenant.clone(), principal.subject.clone());
            counters.get(key).acquire("principal", &mut share, &mut remaining)?;
        }
        if let Some(counter) = &self.namespace {
            counter.acquire("namespace", &mut share, &mut remaining)?;
        }
        share.headers = headers(&remaining);
        Ok(share)
    }
}

impl<K: std::hash::Hash + Eq> Counters<K> {
    fn new(limits: QuotaLimits) -> Self {
        Self { limits, known: Mutex::new(LruCache::sparse(MAX_COUNTERS)) }
    }

    fn get(&self, key: K) -> Arc<Counter> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert(key, || Arc::new(Counter::new(self.limits))).clone()
    }
}

impl Counter {
    fn new(limits: QuotaLimits) -> Self {
        let rate = limits.rate.and_then(|rate| {
            let quota = Quota::with_period(rate.period / rate.calls.get())?.allow_burst(limits.burst.unwrap_or(rate.calls));
            Some(RateLimiter::direct(quota).with_middleware())
        });
        let running = limits
            .max_concurrent
            .map(|count| Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))));
        Self { limits, rate, running }
    }

    fn acquire(&self, name: &'static str, share: &mut Share, remaining: &mut Vec<Remaining>) -> Result<(), Error> {
        if let Some(running) = &self.running {
            let permit = running.clone().try_acquire_owned().map_err(|_| self.refuse_concurrency(name))?;
            share.held.push(Box::new(permit));
        }
        let (Some(rate), Some(CallRate { calls, period })) = (&self.rate, self.limits.rate) else { return Ok(()) };
        let capacity = self.limits.burst.unwrap_or(calls).get();
        let window = period.mul_f64(f64::from(capacity) / f64::from(calls.get()));
        match rate.check() {
            Ok(state) => remaining.push(Remaining { name, left: state.remaining_burst_capacity(), capacity, window }),
            Err(until) => {
                remaining.push(Remaining { name, left: 0, capacity, window });
                return Err(refuse_rate(name, self.limits, until.wait_time_from(rate.clock().now()), headers(remaining)));
            }
        }
        Ok(())
    }

    fn refuse_concurrency(&self, name: &str) -> Error {
        let count = self.limits.max_concurrent.unwrap_or_default();
        let message = format!("{} has {count} calls and streams open, its limit (quotas.{name}.max_concurrent); try again", whose(name));
        Error::new(Code::ResourceExhausted, "TOO_MANY_CONCURRENT_CALLS", message).with("quota", name).with_retry_after(RETRY_AFTER)
    }
}

fn refuse_rate(name: &str, limits: QuotaLimits, wait: Duration, headers: HeaderMap) -> Error {
    let rate = limits.rate.map(|rate| format!("{} calls in {} s", rate.calls, rate.period.as_secs())).unwrap_or_default();
    let message = format!("{} has made more calls than {rate}, its limit (quotas.{name}.rate); try again later", whose(name));
    let error = Error::new(Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED", message).with("quota", name).with_retry_after(wait);
    error.with_headers_and_trailers(headers, HeaderMap::new())
}

fn whose(name: &str) -> &'static str {
    match name {
        "peer" => "this address",
        "principal" => "this caller",
        _ => "this namespace",
    }
}

/// Returns the headers that tell clients what is left ("RateLimit header fields for HTTP", draft-ietf-httpapi-ratelimit-headers).
fn headers(remaining: &[Remaining]) -> HeaderMap {
    let seconds = |duration: Duration| duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let policies: Vec<_> = remaining.iter().map(|one| format!("\"{}\";q={};w={}", one.name, one.capacity, seconds(one.window))).collect();
    let limits: Vec<_> = remaining
        .iter()
        .map(|one| {
            let used = f64::from(one.capacity.saturating_sub(one.left)) / f64::from(one.capacity);
            format!("\"{}\";r={};t={}", one.name, one.left, seconds(one.window.mul_f64(used)))
        })
        .collect();
    let headers = [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)];
    let headers = headers.into_iter().filter(|(_, list)| !list.is_empty());
    headers.filter_map(|(name, list)| Some((name, HeaderValue::try_from(list.join(", ")).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::{AuthenticationMethod, Peer, Principal};

    fn context(subject: &str, address: &str) -> Context {
        let mut context = Context::internal("orders");
        context.principal = Arc::new(Principal::new(subject, AuthenticationMethod::ApiKey));
        context.peer = Arc::new(Peer { address: Some(address.parse().unwrap()), ..Peer::default() });
        context
    }

    fn limits(calls: u32, burst: Option<u32>, max_concurrent: Option<u32>) -> QuotaLimits {
        let rate = NonZeroU32::new(calls).map(|calls| CallRate { calls, period: Duration::from_hours(1) });
        QuotaLimits { rate, burst: burst.and_then(NonZeroU32::new), max_concurrent }
    }

    #[test]
    fn each_caller_has_a_rate_of_its_own() {
        let quotas = Quotas::new(QuotaSettings { principal: Some(limits(3600, Some(2), None)), ..QuotaSettings::default() });
        let (ada, bob) = (context("ada", "192.0.2.1:1"), context("bob", "192.0.2.1:1"));
        let first = quotas.acquire(&ada).unwrap();
        assert_eq!(first.headers[RATE_LIMIT_POLICY], "\"principal\";q=2;w=2");
        assert_eq!(first.headers[RATE_LIMIT], "\"principal\";r=1;t=1");
        assert!(quotas.acquire(&ada).is_ok());
        let error = quotas.acquire(&ada).map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.reason(), error.get("quota")), (Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED", Some("principal")));
        assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(error.headers_and_trailers().0[RATE_LIMIT], "\"principal\";r=0;t=2");
        assert!(quotas.acquire(&bob).is_ok());
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let settings =
            QuotaSettings { peer: Some(limits(0, None, Some(2))), namespace: Some(limits(0, None, Some(3))), ..QuotaSettings::default() };
        let quotas = Quotas::new(settings);
        let (one, other) = (context("ada", "[2001:db8::1]:1"), context("ada", "192.0.2.1:1"));
        let neighbour = context("ada", "[2001:db8::2]:9");
        let held = [quotas.acquire(&one).unwrap(), quotas.acquire(&neighbour).unwrap()];
        let reason = |result: Result<Share, Error>| result.map(|_| ()).unwrap_err().get("quota").map(str::to_owned);
        assert_eq!(reason(quotas.acquire(&one)).as_deref(), Some("peer"));
        let third = quotas.acquire(&other).unwrap();
        assert_eq!(reason(quotas.acquire(&other)).as_deref(), Some("namespace"));
        drop(third);
        assert!(quotas.acquire(&other).is_ok());
        drop(held);
        assert!(quotas.acquire(&one).is_ok());
        assert!(quotas.acquire(&one).unwrap().headers.is_empty());
    }
}
