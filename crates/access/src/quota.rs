//! Quotas: how often, and how much at once, each caller, each address and a namespace as a whole may call.

use std::{
    collections::BTreeMap,
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
use prism_call::{Code, Context, Error, Method, Share};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaSettings {
    /// For each address; of IPv6, for each network.
    pub peer: Option<QuotaLimits>,
    /// For each caller.
    pub principal: Option<QuotaLimits>,
    /// For all callers together.
    pub namespace: Option<QuotaLimits>,
    /// As how many calls an RPC counts for each rate, by its name. All others count as one.
    pub costs: BTreeMap<String, NonZeroU32>,
}

/// The quotas of a namespace, with what is used of them.
pub struct Quotas {
    settings: QuotaSettings,
    peer: Option<Counters<IpAddr>>,
    principal: Option<Counters<CallerKey>>,
    namespace: Option<Arc<Counter>>,
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
            peer: settings.peer.map(Counters::new),
            principal: settings.principal.map(Counters::new),
            namespace: settings.namespace.map(Counter::new).map(Arc::new),
            settings,
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &QuotaSettings {
        &self.settings
    }

    /// Takes the share of a request, or refuses it. `method`: its RPC, if that is known.
    pub fn acquire(&self, context: &Context, method: Option<&Method>) -> Result<Share, Error> {
        let cost = self.cost(method);
        let mut share = Share { headers: HeaderMap::new(), held: Vec::new() };
        let mut remaining = Vec::new();
        for (name, counter) in self.counters(context) {
            counter.hold(name, &mut share)?;
            counter.take(name, cost, cost, &mut remaining)?;
        }
        share.headers = headers(&remaining);
        Ok(share)
    }

    /// Takes what an RPC costs more than another one, or than one call. Returns the headers that tell what is left, or `None` if it costs no more.
    pub fn charge(&self, context: &Context, method: &Method, paid: Option<&Method>) -> Result<Option<HeaderMap>, Error> {
        let cost = self.cost(Some(method));
        let more = cost.get().saturating_sub(self.cost(paid).get());
        let Some(more) = NonZeroU32::new(more) else { return Ok(None) };
        let mut remaining = Vec::new();
        for (name, counter) in self.counters(context) {
            counter.take(name, more, cost, &mut remaining)?;
        }
        Ok(Some(headers(&remaining)))
    }

    /// Returns as how many calls an RPC counts.
    fn cost(&self, method: Option<&Method>) -> NonZeroU32 {
        let costs = Some(&self.settings.costs).filter(|costs| !costs.is_empty());
        costs.zip(method).and_then(|(costs, method)| costs.get(&method.label).copied()).unwrap_or(NonZeroU32::MIN)
    }

    /// Returns the counters of a request, with the names of their quotas.
    fn counters(&self, context: &Context) -> impl Iterator<Item = (&'static str, Arc<Counter>)> {
        let peer = self.peer.as_ref().zip(network(&context.peer)).map(|(counters, network)| ("peer", counters.get(network)));
        let principal = self.principal.as_ref().map(|counters| {
            let principal = &context.principal;
            ("principal", counters.get((principal.method.name(), principal.tenant.clone(), principal.subject.clone())))
        });
        let namespace = self.namespace.clone().map(|counter| ("namespace", counter));
        [peer, principal, namespace].into_iter().flatten()
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

    /// Takes a place among the calls at the same time.
    fn hold(&self, name: &'static str, share: &mut Share) -> Result<(), Error> {
        if let Some(running) = &self.running {
            let permit = running.clone().try_acquire_owned().map_err(|_| self.refuse_concurrency(name))?;
            share.held.push(Box::new(permit));
        }
        Ok(())
    }

    /// Takes a number of calls of the rate, for an RPC with this cost.
    fn take(&self, name: &'static str, count: NonZeroU32, cost: NonZeroU32, remaining: &mut Vec<Remaining>) -> Result<(), Error> {
        let (Some(rate), Some(CallRate { calls, period })) = (&self.rate, self.limits.rate) else { return Ok(()) };
        let capacity = self.limits.burst.unwrap_or(calls).get();
        let window = period.mul_f64(f64::from(capacity) / f64::from(calls.get()));
        let wait = match rate.check_n(count) {
            Ok(Ok(state)) => {
                remaining.push(Remaining { name, left: state.remaining_burst_capacity(), capacity, window });
                return Ok(());
            }
            Ok(Err(until)) => until.wait_time_from(rate.clock().now()),
            // The configuration refuses such a cost.
            Err(_) => window,
        };
        // What is left may be enough for a cheaper RPC.
        let per_call = period / calls.get();
        let missing = wait.as_nanos().div_ceil(per_call.as_nanos().max(1));
        let left = count.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)).min(capacity);
        remaining.push(Remaining { name, left, capacity, window });
        Err(refuse_rate(name, self.limits, cost, (wait, headers(remaining))))
    }

    fn refuse_concurrency(&self, name: &str) -> Error {
        let count = self.limits.max_concurrent.unwrap_or_default();
        let message = format!("{} has {count} calls and streams open, its limit (quotas.{name}.max_concurrent); try again", whose(name));
        Error::new(Code::ResourceExhausted, "TOO_MANY_CONCURRENT_CALLS", message).with("quota", name).with_retry_after(RETRY_AFTER)
    }
}

fn refuse_rate(name: &str, limits: QuotaLimits, cost: NonZeroU32, (wait, headers): (Duration, HeaderMap)) -> Error {
    let rate = limits.rate.map(|rate| format!("{} calls in {} s", rate.calls, rate.period.as_secs())).unwrap_or_default();
    let counts = if cost.get() > 1 { format!(" (this RPC counts as {cost})") } else { String::new() };
    let message = format!("{} has made more calls than {rate}, its limit (quotas.{name}.rate){counts}; try again later", whose(name));
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
    use prism_call::{AuthenticationMethod, Peer, Principal, proto};

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
        let first = quotas.acquire(&ada, None).unwrap();
        assert_eq!(first.headers[RATE_LIMIT_POLICY], "\"principal\";q=2;w=2");
        assert_eq!(first.headers[RATE_LIMIT], "\"principal\";r=1;t=1");
        assert!(quotas.acquire(&ada, None).is_ok());
        let error = quotas.acquire(&ada, None).map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.reason(), error.get("quota")), (Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED", Some("principal")));
        assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(error.headers_and_trailers().0[RATE_LIMIT], "\"principal\";r=0;t=2");
        assert!(quotas.acquire(&bob, None).is_ok());
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let settings =
            QuotaSettings { peer: Some(limits(0, None, Some(2))), namespace: Some(limits(0, None, Some(3))), ..QuotaSettings::default() };
        let quotas = Quotas::new(settings);
        let (one, other) = (context("ada", "[2001:db8::1]:1"), context("ada", "192.0.2.1:1"));
        let neighbour = context("ada", "[2001:db8::2]:9");
        let held = [quotas.acquire(&one, None).unwrap(), quotas.acquire(&neighbour, None).unwrap()];
        let reason = |result: Result<Share, Error>| result.map(|_| ()).unwrap_err().get("quota").map(str::to_owned);
        assert_eq!(reason(quotas.acquire(&one, None)).as_deref(), Some("peer"));
        let third = quotas.acquire(&other, None).unwrap();
        assert_eq!(reason(quotas.acquire(&other, None)).as_deref(), Some("namespace"));
        drop(third);
        assert!(quotas.acquire(&other, None).is_ok());
        drop(held);
        assert!(quotas.acquire(&one, None).is_ok());
        assert!(quotas.acquire(&one, None).unwrap().headers.is_empty());
    }

    #[test]
    fn an_rpc_counts_as_many_calls_as_it_costs() {
        let costs = BTreeMap::from([("Scan".to_owned(), NonZeroU32::new(4).unwrap())]);
        let quotas = Quotas::new(QuotaSettings { principal: Some(limits(10, None, None)), costs, ..QuotaSettings::default() });
        let methods = Method::of_service(proto::descriptors(), "prism.patterns.keyvalue.v1.KeyValueService").unwrap();
        let find = |name: &str| methods.iter().find(|method| method.name == name).unwrap();
        let (scan, retrieve) = (find("Scan"), find("Retrieve"));
        let ada = context("ada", "192.0.2.1:1");
        let left = |headers: &HeaderMap| headers[RATE_LIMIT].to_str().unwrap().split(';').nth(1).unwrap().to_owned();
        assert_eq!(left(&quotas.acquire(&ada, Some(scan)).unwrap().headers), "r=6");
        assert!(quotas.charge(&ada, scan, Some(scan)).unwrap().is_none(), "it is paid already");
        assert!(quotas.charge(&ada, retrieve, None).unwrap().is_none());
        // A request whose RPC was not known, and then is the same: four together.
        assert_eq!(left(&quotas.acquire(&ada, None).unwrap().headers), "r=5");
        assert_eq!(left(&quotas.charge(&ada, scan, None).unwrap().unwrap()), "r=2");
        let error = quotas.acquire(&ada, Some(scan)).map(|_| ()).unwrap_err();
        assert!(error.message().contains("this RPC counts as 4"), "{error}");
        assert_eq!(left(error.headers_and_trailers().0), "r=2");
        // Two calls are missing, of which there is one in six minutes.
        assert!(
            error.retry_after().is_some_and(|wait| wait > Duration::from_mins(11) && wait <= Duration::from_mins(12)),
            "{:?}",
            error.retry_after()
        );
        assert_eq!(left(&quotas.acquire(&ada, Some(retrieve)).unwrap().headers), "r=1");
    }
}
