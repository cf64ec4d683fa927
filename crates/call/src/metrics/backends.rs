//! The metrics of the connections to backends. They are read from the drivers when somebody asks for the metrics.

use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// The connections of a backend, as its driver counts them. `None`: the driver can't know it, and the metric has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Open connections that a call has, or that calls share.
    pub in_use: u64,
    /// Open connections that wait in a pool for their next use.
    pub idle: Option<u64>,
    /// Calls that wait for a connection, because all of the pool are in use.
    pub waiting: Option<u64>,
    /// Connections that were established in place of one that broke. Never decreases.
    pub reconnects: Option<u64>,
    /// Attempts to connect that failed. Never decreases.
    pub failures: u64,
}

/// Returns the connections of all backends that have some, each with the name of the backend.
pub type ConnectionSource = Box<dyn Fn() -> Vec<(String, ConnectionStats)> + Send + Sync>;

/// Reads the connections of all backends.
pub(super) struct BackendCollector {
    source: ConnectionSource,
    descriptions: Vec<Desc>,
}

/// One set of values. Each reading has its own, so that backends that a reload removed are not in it.
struct Values {
    connections: IntGaugeVec,
    waiting: IntGaugeVec,
    reconnects: IntCounterVec,
    failures: IntCounterVec,
}

impl Values {
    fn new() -> Result<Self, prometheus::Error> {
        let connections = Opts::new("prism_backend_connections", "Open connections to backends, by state: in_use or idle");
        let waiting = Opts::new("prism_backend_waiting_calls", "Calls that wait for a connection to their backend");
        let reconnects = Opts::new("prism_backend_reconnects_total", "Connections to backends in place of one that broke");
        let failures = Opts::new("prism_backend_connection_failures_total", "Attempts to connect to backends that failed");
        Ok(Self {
            connections: IntGaugeVec::new(connections, &["backend", "state"])?,
            waiting: IntGaugeVec::new(waiting, &["backend"])?,
            reconnects: IntCounterVec::new(reconnects, &["backend"])?,
            failures: IntCounterVec::new(failures, &["backend"])?,
        })
    }

    fn set(&self, backend: &str, stats: &ConnectionStats) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.connections.with_label_values(&[backend, "in_use"]).set(gauge(stats.in_use));
        if let Some(idle) = stats.idle {
            self.connections.with_label_values(&[backend, "idle"]).set(gauge(idle));
        }
        if let Some(waiting) = stats.waiting {
            self.waiting.with_label_values(&[backend]).set(gauge(waiting));
        }
        if let Some(reconnects) = stats.reconnects {
            self.reconnects.with_label_values(&[backend]).inc_by(reconnects);
        }
        self.failures.with_label_values(&[backend]).inc_by(stats.failures);
    }

    fn collectors(&self) -> [&dyn Collector; 4] {
        [&self.connections, &self.waiting, &self.reconnects, &self.failures]
    }
}

impl BackendCollector {
    pub(super) fn new(source: ConnectionSource) -> Result<Self, prometheus::Error> {
        let descriptions = Values::new()?.collectors().into_iter().flat_map(Collector::desc).cloned().collect();
        Ok(Self { source, descriptions })
    }
}

impl Collector for BackendCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The names are constant, and `new` has tried them.
        let Ok(values) = Values::new() else { return Vec::new() };
        for (backend, stats) in (self.source)() {
            values.set(&backend, &stats);
        }
        values.collectors().into_iter().flat_map(Collector::collect).collect()
    }
}
