//! Export of spans.

use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{self as sdk, BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData},
};
use tonic::{metadata::MetadataMap, transport::Channel};

use super::{EXPORT_TIMEOUT, ExportSettings, failed, outage::Outage};
use prism_call::Error;

/// Spans that may wait for the collector; more are dropped.
const QUEUED_SPANS: usize = 2048;

/// Creates a provider that exports the sampled spans in batches, on a thread of its own.
///
/// A call with a `traceparent` is sampled if its caller's span is; the share counts for traces that start here.
pub fn provider(
    settings: &ExportSettings,
    channel: Channel,
    headers: MetadataMap,
    resource: Resource,
    sample: f64,
) -> Result<SdkTracerProvider, Error> {
    let inner = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .with_metadata(headers)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| failed(format!("telemetry.otlp: traces can't be exported: {error}")))?;
    let exporter = LoggedExporter { inner, outage: Outage::new("traces", &settings.endpoint) };
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUED_SPANS).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample))))
        .with_resource(resource)
        .with_span_processor(processor)
        .build())
}

/// An exporter whose outages are logged. OpenTelemetry's own log would have a line for every batch.
#[derive(Debug)]
struct LoggedExporter {
    inner: SpanExporter,
    outage: Outage,
}

impl sdk::SpanExporter for LoggedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.outage.record(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
