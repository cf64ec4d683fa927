//! Export of metrics: those of `/metrics`, with the same names and labels.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use prometheus::proto::{self, MetricFamily, MetricType};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};

use super::{SHUTDOWN_TIMEOUT, outage::Outage};
use prism_call::Metrics;

/// Sends the metrics of a gateway.
pub struct MetricExporter {
    metrics: Metrics,
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    resource: Resource,
    outage: Outage,
    /// When counting began, in nanoseconds since 1970.
    started: u64,
}

impl MetricExporter {
    /// Creates an exporter for the process that `resource` describes.
    pub fn new(metrics: Metrics, channel: Channel, headers: MetadataMap, resource: &opentelemetry_sdk::Resource, endpoint: &str) -> Self {
        let attributes = resource.iter().map(|(name, value)| attribute(name.as_str(), value.as_str().into_owned())).collect();
        Self {
            metrics,
            client: MetricsServiceClient::new(channel),
            headers,
            resource: Resource { attributes, ..Resource::default() },
            outage: Outage::new("metrics", endpoint),
            started: now(),
        }
    }

    /// Sends the metrics at each interval, and a last time when `ending` is cancelled.
    pub async fn run(mut self, interval: Duration, ending: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        ticks.tick().await;
        while ending.run_until_cancelled(ticks.tick()).await.is_some() {
            let sent = self.send();
            if ending.run_until_cancelled(sent).await.is_none() {
                break;
            }
        }
        // What fails here was logged, and a collector that does not answer does not hold up the end.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.send()).await;
    }

    async fn send(&mut self) {
        let metrics = convert(&self.metrics.gather(), self.started, now());
        let scope = InstrumentationScope { name: "prism".to_owned(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let message = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics, ..ResourceMetrics::default() }],
        };
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        let result: Result<(), Status> = self.client.export(request).await.map(|_| ());
        self.outage.record(&result);
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn attribute(name: &str, value: String) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value)) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Converts what Prometheus gathered. Counters become monotonic sums, and everything is cumulative since `started`.
fn convert(families: &[MetricFamily], started: u64, now: u64) -> Vec<Metric> {
    let metric = |family: &MetricFamily| {
        let number = |metric: &proto::Metric, value: f64| NumberDataPoint {
            attributes: labels(metric),
            start_time_unix_nano: started,
            time_unix_nano: now,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        };
        let cumulative = AggregationTemporality::Cumulative.into();
        let samples = family.get_metric().iter();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: samples.map(|metric| number(metric, metric.get_counter().get_value())).collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            MetricType::GAUGE => {
                Data::Gauge(Gauge { data_points: samples.map(|metric| number(metric, metric.get_gauge().get_value())).collect() })
            }
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                data_points: samples.map(|metric| histogram(metric, started, now)).collect(),
                aggregation_temporality: cumulative,
            }),
            // Prism has none.
            MetricType::SUMMARY | MetricType::UNTYPED => return None,
        };
        let unit = if family.name().ends_with("_seconds") { "s" } else { "" };
        Some(Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        })
    };
    families.iter().filter_map(metric).collect()
}

/// Prometheus counts in a bucket what is in the smaller ones too; OTLP does not, and has a last bucket for what is above all bounds.
fn histogram(metric: &proto::Metric, started: u64, now: u64) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let mut below = 0;
    let mut bucket_counts = Vec::new();
    let mut explicit_bounds = Vec::new();
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        explicit_bounds.push(bucket.upper_bound());
        below = bucket.cumulative_count();
    }
    bucket_counts.push(histogram.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(metric),
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: histogram.get_sample_count(),
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    }
}

fn labels(metric: &proto::Metric) -> Vec<KeyValue> {
    metric.get_label().iter().map(|label| attribute(label.name(), label.value().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

    use super::*;

    #[test]
    fn buckets_and_counters_are_converted() {
        let registry = Registry::new();
        let histogram = Histogram::with_opts(HistogramOpts::new("took_seconds", "Time").buckets(vec![1.0, 2.0, 5.0])).expect("a metric");
        let counter = IntCounterVec::new(Opts::new("calls_total", "Calls"), &["code"]).expect("a metric");
        registry.register(Box::new(histogram.clone())).expect("it is new");
        registry.register(Box::new(counter.clone())).expect("it is new");
        for took in [0.5, 1.5, 1.6, 9.0] {
            histogram.observe(took);
        }
        counter.with_label_values(&["OK"]).inc_by(3);

        let metrics = convert(&registry.gather(), 1, 2);
        assert_eq!(
            metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect::<Vec<_>>(),
            [("calls_total", ""), ("took_seconds", "s")]
        );
        let (Some(Data::Sum(calls)), Some(Data::Histogram(took))) = (&metrics[0].data, &metrics[1].data) else { panic!("{metrics:?}") };
        assert!(calls.is_monotonic);
        assert_eq!(calls.data_points[0].value, Some(Value::AsDouble(3.0)));
        assert_eq!(calls.data_points[0].attributes, [attribute("code", "OK".to_owned())]);
        let point = &took.data_points[0];
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[1, 2, 0, 1][..], &[1.0, 2.0, 5.0][..]));
        assert_eq!((point.count, point.sum, point.start_time_unix_nano, point.time_unix_nano), (4, Some(12.6), 1, 2));
    }
}
