//! The metrics of calls. Names and labels are stable; the README lists them.

mod backends;
mod fan_out;
mod outbox;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, proto::MetricFamily,
};

use self::{backends::BackendCollector, fan_out::FanOutMetrics, outbox::OutboxMetrics};
pub use self::{
    backends::{ConnectionSource, ConnectionStats},
    fan_out::{FanOutMeters, SharedEncoding},
    outbox::OutboxMeters,
};
use super::{Code, ListenerBacklog, ListenerTarget, Page, Protocol, Target};

/// Upper bounds of the latency histogram, in seconds: 100 µs to 10 s.
const LATENCY_BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All metrics of a gateway.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGaugeVec,
    messages: IntCounterVec,
    panics: IntCounter,
    listener_requests: IntCounterVec,
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    connections_cut: IntCounterVec,
    unsent: IntGaugeVec,
    reloads: ReloadMeters,
    cache_reads: IntCounterVec,
    outbox: OutboxMetrics,
    fan_out: FanOutMetrics,
    /// The meters of the namespaces, by name. A namespace whose configuration changes continues with the same meters.
    namespaces: Arc<Mutex<HashMap<Arc<str>, Weak<NamespaceMeters>>>>,
}

impl Metrics {
    /// Creates the metrics, all without values.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let calls = IntCounterVec::new(
            Opts::new("prism_calls_total", "Calls that have ended, by code"),
            &["namespace", "method", "protocol", "code"],
        )?;
        let latency = HistogramVec::new(
            HistogramOpts::new("prism_call_duration_seconds", "Time from the first byte of a call to the end of its reply")
                .buckets(LATENCY_BUCKETS.to_vec()),
            &["namespace", "method", "protocol"],
        )?;
        let in_flight = IntGaugeVec::new(Opts::new("prism_calls_in_flight", "Calls that have not ended"), &["namespace"])?;
        let messages = IntCounterVec::new(
            Opts::new("prism_stream_messages_total", "Messages of streams, received from or sent to clients"),
            &["namespace", "method", "direction"],
        )?;
        let panics = IntCounter::new("prism_panics_total", "Calls that a defect of Prism ended")?;
        let listener_requests = IntCounterVec::new(
            Opts::new("prism_listener_requests_total", "Requests that belong to no namespace, by kind and code"),
            &["listener", "kind", "code"],
        )?;
        let connections = IntGaugeVec::new(Opts::new("prism_connections", "Open connections"), &["listener"])?;
        let connections_refused = IntCounterVec::new(
            Opts::new("prism_connections_refused_total", "Connections that were closed at once, by the limit that was reached"),
            &["listener", "limit"],
        )?;
        let connections_cut = IntCounterVec::new(
            Opts::new("prism_connections_cut_total", "Connections that were closed because their client took no reply for too long"),
            &["listener"],
        )?;
        let unsent = IntGaugeVec::new(
            Opts::new("prism_unsent_bytes", "Bytes of replies of more than 16 KiB that clients have not taken yet"),
            &["listener"],
        )?;
        let reloads = ReloadMeters {
            generation: IntGauge::new("prism_config_generation", "Number of the configuration that is served; the first is 1")?,
            success: Gauge::new("prism_config_last_success_timestamp_seconds", "When a configuration was last put into service")?,
            failure: Gauge::new("prism_config_last_failure_timestamp_seconds", "When a configuration was last refused; 0: never")?,
        };
        let cache_reads = IntCounterVec::new(
            Opts::new("prism_cache_reads_total", "Reads of keys in namespaces with a cache: hit, miss, or bypass without the cache"),
            &["namespace", "result"],
        )?;
        let outbox = OutboxMetrics::new()?;
        let fan_out = FanOutMetrics::new()?;
        let build = IntGaugeVec::new(Opts::new("prism_build_info", "Version of the running binary"), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for collector in [
            Box::new(calls.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(latency.clone()),
            Box::new(in_flight.clone()),
            Box::new(messages.clone()),
            Box::new(panics.clone()),
            Box::new(listener_requests.clone()),
            Box::new(connections.clone()),
            Box::new(connections_refused.clone()),
            Box::new(connections_cut.clone()),
            Box::new(unsent.clone()),
            Box::new(reloads.generation.clone()),
            Box::new(reloads.success.clone()),
            Box::new(reloads.failure.clone()),
            Box::new(cache_reads.clone()),
            fan_out.collector(),
            Box::new(build),
        ]
        .into_iter()
        .chain(outbox.collectors())
        {
            registry.register(collector)?;
        }
        Ok(Self {
            registry,
            calls,
            latency,
            in_flight,
            messages,
            panics,
            listener_requests,
            connections,
            connections_refused,
            connections_cut,
            unsent,
            reloads,
            cache_reads,
            outbox,
            fan_out,
            namespaces: Arc::default(),
        })
    }

    /// Returns the current values of all metrics.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Renders all metrics in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        // Writing into memory does not fail; a collector that does is left out.
        let _ = TextEncoder::new().encode(&self.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Adds a collector.
    pub fn register(&self, collector: Box<dyn prometheus::core::Collector>) -> Result<(), prometheus::Error> {
        self.registry.register(collector)
    }

    /// Adds the connections of backends, which are read from `source` at each rendering.
    pub fn observe_backends(&self, source: ConnectionSource) -> Result<(), prometheus::Error> {
        self.register(Box::new(BackendCollector::new(source)?))
    }

    /// Returns the meters of a namespace with this number of methods.
    pub(super) fn namespace(&self, namespace: &Arc<str>, methods: usize) -> Arc<NamespaceMeters> {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let known = namespaces.get(namespace).and_then(Weak::upgrade);
        if let Some(known) = known.as_ref().filter(|known| known.methods == methods) {
            return known.clone();
        }
        let metrics = self.clone();
        let meters =
            NamespaceMeters { metrics, namespace: namespace.clone(), methods, in_flight: OnceLock::new(), meters: OnceLock::new() };
        let meters = Arc::new(meters);
        namespaces.insert(namespace.clone(), Arc::downgrade(&meters));
        // The others may be dropped here, which takes the lock.
        drop(namespaces);
        drop(known);
        meters
    }

    /// Returns the meters of configurations that are put into service.
    pub fn reloads(&self) -> ReloadMeters {
        self.reloads.clone()
    }

    /// Returns the meters of the cache of a namespace.
    pub fn cache(&self, namespace: &str) -> CacheMeters {
        CacheMeters { reads: self.cache_reads.clone(), namespace: namespace.into(), counters: Arc::default() }
    }

    /// Returns the meters of the outbox of a namespace.
    pub fn outbox(&self, namespace: &str) -> OutboxMeters {
        OutboxMeters::new(self.outbox.clone(), namespace)
    }

    /// Returns the meters of what the subscribers of a namespace share.
    pub fn fan_out(&self, namespace: &str) -> FanOutMeters {
        FanOutMeters::new(self.fan_out.clone(), namespace)
    }

    /// Returns the meters of the connections of a listener.
    pub fn connections(&self, listener: &str) -> ConnectionMeters {
        let open = self.connections.with_label_values(&[listener]);
        ConnectionMeters {
            open,
            refused: self.connections_refused.clone(),
            cut: self.connections_cut.with_label_values(&[listener]),
            backlog: ListenerBacklog::new(self.unsent.with_label_values(&[listener])),
            listener: listener.into(),
        }
    }

    /// Returns the meters of requests that belong to no namespace.
    pub(super) fn listeners(&self) -> ListenerMeters {
        ListenerMeters(self.listener_requests.clone())
    }
}

/// The meters of configurations that are put into service.
#[derive(Clone)]
pub struct ReloadMeters {
    generation: IntGauge,
    success: Gauge,
    failure: Gauge,
}

impl ReloadMeters {
    /// Records that this generation is served.
    pub fn record_success(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.success.set(unix_time());
    }

    /// Records that a configuration was refused.
    pub fn record_failure(&self) {
        self.failure.set(unix_time());
    }
}

fn unix_time() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The meters of the cache of one namespace. They are created at their first use, because most namespaces have no cache.
#[derive(Clone, Debug)]
pub struct CacheMeters {
    reads: IntCounterVec,
    namespace: Arc<str>,
    counters: Arc<OnceLock<[IntCounter; 3]>>,
}

/// How a read of a key used the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRead {
    /// It had a copy.
    Hit,
    /// It had none.
    Miss,
    /// It was not used: the key has changed a moment ago, can't be in it, or the cache does not answer.
    Bypass,
}

impl CacheMeters {
    /// Counts a read.
    pub fn count(&self, read: CacheRead) {
        let create = || ["hit", "miss", "bypass"].map(|result| self.reads.with_label_values(&[&*self.namespace, result]));
        if let Some(counter) = self.counters.get_or_init(create).get(read as usize) {
            counter.inc();
        }
    }
}

/// The meters of the connections of one listener.
pub struct ConnectionMeters {
    open: IntGauge,
    refused: IntCounterVec,
    cut: IntCounter,
    backlog: Arc<ListenerBacklog>,
    listener: Box<str>,
}

impl ConnectionMeters {
    /// Counts a connection that was accepted.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// Counts a connection that ended.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// Counts a connection that was closed because its client took no reply for too long.
    pub fn count_cut(&self) {
        self.cut.inc();
    }

    /// Returns the unsent replies of all connections.
    pub fn backlog(&self) -> &Arc<ListenerBacklog> {
        &self.backlog
    }

    /// Counts a connection that was closed at once, because this limit was reached.
    pub fn count_refused(&self, limit: &str) {
        self.refused.with_label_values(&[&*self.listener, limit]).inc();
    }
}

/// The meters of requests that belong to no namespace.
pub(super) struct ListenerMeters(IntCounterVec);

impl ListenerMeters {
    /// Counts a request.
    pub(super) fn count(&self, listener: &str, target: ListenerTarget, code: Code) {
        self.0.with_label_values(&[listener, target.name(), code.name()]).inc();
    }
}

/// The meters of one namespace: one for each target and protocol. All are created at their first use, because most namespaces use few of
/// them, and some none.
pub(super) struct NamespaceMeters {
    metrics: Metrics,
    namespace: Arc<str>,
    methods: usize,
    in_flight: OnceLock<IntGauge>,
    meters: OnceLock<Box<[OnceLock<Box<Meter>>]>>,
}

impl NamespaceMeters {
    /// Returns the number of calls that have not ended.
    pub(super) fn in_flight(&self) -> &IntGauge {
        self.in_flight.get_or_init(|| self.metrics.in_flight.with_label_values(&[&*self.namespace]))
    }

    /// Counts a call that a panic ended.
    pub(super) fn count_panic(&self) {
        self.metrics.panics.inc();
    }

    /// Returns the meter of a target and a protocol.
    pub(super) fn meter(&self, target: &Target, protocol: Protocol) -> Option<&Meter> {
        let count = (self.methods + Page::ALL.len()) * Protocol::ALL.len();
        let meters = self.meters.get_or_init(|| (0..count).map(|_| OnceLock::new()).collect());
        let index = match target {
            Target::Rpc(method) => method.index,
            Target::Page(page) => self.methods + *page as usize,
        };
        let slot = meters.get(index * Protocol::ALL.len() + protocol as usize)?;
        Some(slot.get_or_init(|| Box::new(Meter::new(&self.metrics, &self.namespace, target.name(), protocol))))
    }
}

/// Removes the labels of the namespace, so that names that are no longer used take no memory.
impl Drop for NamespaceMeters {
    fn drop(&mut self) {
        let mut namespaces = self.metrics.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if namespaces.get(&self.namespace).is_some_and(|known| known.strong_count() > 0) {
            // Others of this name are in use, with the same labels.
            return;
        }
        namespaces.remove(&self.namespace);
        drop(namespaces);
        if self.in_flight.get().is_some() {
            // Fails if the labels are gone already, which is what is wanted.
            let _ = self.metrics.in_flight.remove_label_values(&[&*self.namespace]);
        }
        for meter in self.meters.get().into_iter().flatten().filter_map(OnceLock::get) {
            meter.remove(&self.metrics);
        }
    }
}

/// The counters of one target over one protocol in one namespace.
pub(super) struct Meter {
    latency: Histogram,
    codes: [OnceLock<IntCounter>; Code::ALL.len()],
    pub(super) received: IntCounter,
    pub(super) sent: IntCounter,
    calls: IntCounterVec,
    namespace: Arc<str>,
    target: Box<str>,
    protocol: Protocol,
}

impl Meter {
    fn new(metrics: &Metrics, namespace: &Arc<str>, target: &str, protocol: Protocol) -> Self {
        Self {
            latency: metrics.latency.with_label_values(&[namespace, target, protocol.name()]),
            codes: std::array::from_fn(|_| OnceLock::new()),
            received: metrics.messages.with_label_values(&[namespace, target, "received"]),
            sent: metrics.messages.with_label_values(&[namespace, target, "sent"]),
            calls: metrics.calls.clone(),
            namespace: namespace.clone(),
            target: target.into(),
            protocol,
        }
    }

    /// Counts a call that ended.
    pub(super) fn record_end(&self, code: Code, took: Duration) {
        self.latency.observe(took.as_secs_f64());
        self.codes[code as usize]
            .get_or_init(|| self.calls.with_label_values(&[&*self.namespace, &*self.target, self.protocol.name(), code.name()]))
            .inc();
    }

    fn remove(&self, metrics: &Metrics) {
        let (namespace, target, protocol) = (&*self.namespace, &*self.target, self.protocol.name());
        // Each fails if the labels are gone already, which is what is wanted.
        let _ = metrics.latency.remove_label_values(&[namespace, target, protocol]);
        for direction in ["received", "sent"] {
            let _ = metrics.messages.remove_label_values(&[namespace, target, direction]);
        }
        for code in Code::ALL {
            if self.codes[code as usize].get().is_some() {
                let _ = metrics.calls.remove_label_values(&[namespace, target, protocol, code.name()]);
            }
        }
    }
}
