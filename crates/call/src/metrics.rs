//! The metrics of calls. Names and labels are stable; the README lists them.

use std::{sync::OnceLock, time::Duration};

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    proto::MetricFamily,
};

use super::{Code, Method, Protocol};

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
        let build = IntGaugeVec::new(Opts::new("prism_build_info", "Version of the running binary"), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for collector in [
            Box::new(calls.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(latency.clone()),
            Box::new(in_flight.clone()),
            Box::new(messages.clone()),
            Box::new(build),
        ] {
            registry.register(collector)?;
        }
        Ok(Self { registry, calls, latency, in_flight, messages })
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

    /// Returns the meters of one namespace. They are looked up once, not for every call.
    pub(super) fn namespace(&self, namespace: &str, methods: usize) -> NamespaceMeters {
        NamespaceMeters {
            metrics: self.clone(),
            namespace: namespace.to_owned(),
            in_flight: self.in_flight.with_label_values(&[namespace]),
            meters: (0..methods * Protocol::ALL.len()).map(|_| OnceLock::new()).collect(),
        }
    }
}

/// The meters of one namespace: one for each method and protocol, created at its first use.
pub(super) struct NamespaceMeters {
    metrics: Metrics,
    namespace: String,
    pub(super) in_flight: IntGauge,
    meters: Box<[OnceLock<Meter>]>,
}

impl NamespaceMeters {
    /// Returns the meter of a method and a protocol.
    pub(super) fn meter(&self, method: &Method, protocol: Protocol) -> Option<&Meter> {
        let slot = self.meters.get(method.index * Protocol::ALL.len() + protocol as usize)?;
        Some(slot.get_or_init(|| Meter {
            latency: self.metrics.latency.with_label_values(&[&self.namespace, &method.name, protocol.name()]),
            codes: std::array::from_fn(|_| OnceLock::new()),
            received: self.metrics.messages.with_label_values(&[&self.namespace, &method.name, "received"]),
            sent: self.metrics.messages.with_label_values(&[&self.namespace, &method.name, "sent"]),
            calls: self.metrics.calls.clone(),
            labels: [self.namespace.clone(), method.name.clone()],
            protocol,
        }))
    }
}

/// The counters of one method over one protocol in one namespace.
pub(super) struct Meter {
    latency: Histogram,
    codes: [OnceLock<IntCounter>; Code::ALL.len()],
    pub(super) received: IntCounter,
    pub(super) sent: IntCounter,
    calls: IntCounterVec,
    labels: [String; 2],
    protocol: Protocol,
}

impl Meter {
    /// Counts a call that ended.
    pub(super) fn record_end(&self, code: Code, took: Duration) {
        self.latency.observe(took.as_secs_f64());
        self.codes[code as usize]
            .get_or_init(|| self.calls.with_label_values(&[&self.labels[0], &self.labels[1], self.protocol.name(), code.name()]))
            .inc();
    }
}
