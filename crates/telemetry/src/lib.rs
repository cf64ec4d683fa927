//! Exports the traces and metrics of a gateway to a collector, over OTLP with gRPC.
//!
//! Spans wait in the bounded queue of OpenTelemetry's batch processor, which drops spans when it is full. Metrics are read at an
//! interval. So calls never wait for the collector.

mod metrics;
mod outage;
mod traces;

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::SdkTracerProvider,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    metadata::MetadataMap,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use prism_call::{Code, Error, Metrics, RequestId, Tracer};

/// How long one request to the collector may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting to the collector may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the last export may take when the gateway ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// What is exported, and where to.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// URL of the collector's gRPC receiver, as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// Headers of every request to the collector, as `authorization`.
    pub headers: BTreeMap<String, String>,
    /// The share of new traces that is exported, from 0 to 1; `None` exports no traces.
    pub traces: Option<f64>,
    /// Time between two exports of metrics; `None` exports no metrics.
    pub metrics: Option<Duration>,
    /// The attribute `service.name`; `None`: what `OTEL_RESOURCE_ATTRIBUTES` says, or `prism`.
    pub service_name: Option<String>,
}

/// A running export.
pub struct Export {
    provider: Option<SdkTracerProvider>,
    metrics: Option<JoinHandle<()>>,
    ending: CancellationToken,
}

impl Export {
    /// Starts the export. Connects when there is something to send; a collector that can't be reached is no error.
    ///
    /// Has to be called in a Tokio runtime.
    pub fn start(settings: &ExportSettings, metrics: &Metrics) -> Result<Self, Error> {
        let channel = connect(&settings.endpoint)?;
        let headers = metadata(&settings.headers)?;
        let resource = resource(settings.service_name.as_deref());
        let ending = CancellationToken::new();
        let provider = match settings.traces {
            Some(sample) => Some(traces::provider(settings, channel.clone(), headers.clone(), resource.clone(), sample)?),
            None => None,
        };
        let metrics = settings.metrics.map(|interval| {
            let exporter = metrics::MetricExporter::new(metrics.clone(), channel, headers, &resource, &settings.endpoint);
            tokio::spawn(exporter.run(interval, ending.clone()))
        });
        Ok(Self { provider, metrics, ending })
    }

    /// Returns what starts the spans of calls; `None` if no traces are exported.
    pub fn tracer(&self) -> Option<Tracer> {
        self.provider.as_ref().map(Tracer::new)
    }

    /// Sends what is waiting, and the metrics a last time. Takes at most a few seconds.
    pub async fn shutdown(self) {
        self.ending.cancel();
        let traces = async {
            if let Some(provider) = self.provider {
                // What fails here was logged by the exporter. Waits for the exporter's thread, so not on a thread of the runtime.
                let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
            }
        };
        let metrics = async {
            if let Some(task) = self.metrics {
                let _ = task.await;
            }
        };
        tokio::join!(traces, metrics);
    }
}

/// A channel that connects at the first request, and again whenever the connection is lost.
fn connect(url: &str) -> Result<Channel, Error> {
    let invalid = |problem: &dyn std::fmt::Display| failed(format!("telemetry.otlp.endpoint: `{url}` can't be used: {problem}"));
    let mut endpoint =
        Endpoint::from_shared(url.to_owned()).map_err(|error| invalid(&error))?.connect_timeout(CONNECT_TIMEOUT).timeout(EXPORT_TIMEOUT);
    if endpoint.uri().scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(|error| invalid(&error))?;
    }
    Ok(endpoint.connect_lazy())
}

fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, Error> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        // The value may be a secret, so it is not part of the message.
        let (name, value) = header.ok_or_else(|| failed(format!("telemetry.otlp.headers: the header `{name}` is invalid")))?;
        map.insert(name, value);
    }
    Ok(MetadataMap::from_headers(map))
}

/// Describes this process. `OTEL_RESOURCE_ATTRIBUTES` counts more than the defaults, and an explicit name more than both.
fn resource(service_name: Option<&str>) -> Resource {
    let builder = Resource::builder_empty()
        .with_service_name("prism")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        // Tells gateways with the same configuration apart, whose counters must not be mixed.
        .with_attribute(KeyValue::new("service.instance.id", RequestId::new().to_string()))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match service_name {
        Some(name) => builder.with_service_name(name.to_owned()).build(),
        None => builder.build(),
    }
}

fn failed(message: String) -> Error {
    Error::new(Code::FailedPrecondition, "TELEMETRY", message)
}
