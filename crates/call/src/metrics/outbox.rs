//! The metrics of outboxes.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector};

/// The metrics of all namespaces.
#[derive(Clone, Debug)]
pub(super) struct OutboxMetrics {
    waiting: IntGaugeVec,
    lag: GaugeVec,
    published: IntCounterVec,
    failures: IntCounterVec,
    dropped: IntCounterVec,
}

impl OutboxMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let labels = ["namespace"];
        let waiting = Opts::new("prism_outbox_waiting", "Messages that wait to be published, on the gateway that publishes them");
        let lag = Opts::new("prism_outbox_lag_seconds", "Age of the oldest message that waits, on the gateway that publishes them");
        let published = Opts::new("prism_outbox_published_total", "Messages of outboxes that were published");
        let failures = Opts::new("prism_outbox_failures_total", "Attempts to publish a message of an outbox that failed");
        let dropped =
            Opts::new("prism_outbox_dropped_total", "Events that were not stored, because the outbox was full when a session ended");
        Ok(Self {
            waiting: IntGaugeVec::new(waiting, &labels)?,
            lag: GaugeVec::new(lag, &labels)?,
            published: IntCounterVec::new(published, &labels)?,
            failures: IntCounterVec::new(failures, &labels)?,
            dropped: IntCounterVec::new(dropped, &labels)?,
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 5] {
        [
            Box::new(self.waiting.clone()),
            Box::new(self.lag.clone()),
            Box::new(self.published.clone()),
            Box::new(self.failures.clone()),
            Box::new(self.dropped.clone()),
        ]
    }
}

/// The meters of the outbox of one namespace. They are created at their first use, because most namespaces have no outbox.
#[derive(Clone, Debug)]
pub struct OutboxMeters {
    metrics: OutboxMetrics,
    namespace: Arc<str>,
    meters: Arc<OnceLock<Meters>>,
}

#[derive(Debug)]
struct Meters {
    waiting: IntGauge,
    lag: Gauge,
    published: IntCounter,
    failures: IntCounter,
    dropped: IntCounter,
}

impl OutboxMeters {
    pub(super) fn new(metrics: OutboxMetrics, namespace: &str) -> Self {
        Self { metrics, namespace: namespace.into(), meters: Arc::default() }
    }

    /// Sets the number of messages that wait, and the age of the oldest one.
    pub fn observe(&self, waiting: u64, lag: Duration) {
        let meters = self.meters();
        meters.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        meters.lag.set(lag.as_secs_f64());
    }

    /// Counts messages that were published, and attempts that failed.
    pub fn count(&self, published: usize, failures: usize) {
        let meters = self.meters();
        meters.published.inc_by(published as u64);
        meters.failures.inc_by(failures as u64);
    }

    /// Counts an event that was not stored.
    pub fn count_dropped(&self) {
        self.meters().dropped.inc();
    }

    fn meters(&self) -> &Meters {
        let labels = [&*self.namespace];
        self.meters.get_or_init(|| Meters {
            waiting: self.metrics.waiting.with_label_values(&labels),
            lag: self.metrics.lag.with_label_values(&labels),
            published: self.metrics.published.with_label_values(&labels),
            failures: self.metrics.failures.with_label_values(&labels),
            dropped: self.metrics.dropped.with_label_values(&labels),
        })
    }
}
