//! The metrics of topics that many subscribers share.

use std::sync::{Arc, OnceLock};

use prometheus::{IntCounter, IntCounterVec, Opts};

/// The metrics of all namespaces.
#[derive(Clone, Debug)]
pub(super) struct FanOutMetrics(IntCounterVec);

impl FanOutMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "prism_fanout_encodings_total",
            "Messages of topics that were encoded for all subscribers at once, and payloads that were parsed for all filters at once, by format",
        );
        Ok(Self(IntCounterVec::new(opts, &["namespace", "format"])?))
    }

    pub(super) fn collector(&self) -> Box<dyn prometheus::core::Collector> {
        Box::new(self.0.clone())
    }
}

/// What is made of a message once for all subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedEncoding {
    /// The response, as protobuf.
    Proto,
    /// The response, as JSON.
    Json,
    /// The payload, parsed for filters.
    Payload,
}

/// Counts the encodings that the subscribers of one namespace share. The counters are created at their first use, because most namespaces have no
/// subscribers.
#[derive(Clone, Debug)]
pub struct FanOutMeters {
    metrics: FanOutMetrics,
    namespace: Arc<str>,
    counters: Arc<OnceLock<[IntCounter; 3]>>,
}

impl FanOutMeters {
    pub(super) fn new(metrics: FanOutMetrics, namespace: &str) -> Self {
        Self { metrics, namespace: namespace.into(), counters: Arc::default() }
    }

    /// Counts an encoding.
    pub fn count(&self, encoding: SharedEncoding) {
        let counter = |format| self.metrics.0.with_label_values(&[&*self.namespace, format]);
        let [proto, json, payload] = self.counters.get_or_init(|| ["proto", "json", "payload"].map(counter));
        match encoding {
            SharedEncoding::Proto => proto.inc(),
            SharedEncoding::Json => json.inc(),
            SharedEncoding::Payload => payload.inc(),
        }
    }
}
