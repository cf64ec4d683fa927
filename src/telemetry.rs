//! The export of traces and metrics, if it is configured and this build has it (feature `otlp`).

use prism_call::{Error, Metrics, Tracer};
use prism_config as config;

#[cfg(feature = "otlp")]
use prism_telemetry::{Export, ExportSettings};

/// What runs beside the gateway to export its telemetry.
pub struct Telemetry {
    #[cfg(feature = "otlp")]
    export: Option<Export>,
}

#[cfg(feature = "otlp")]
impl Telemetry {
    /// Starts what is configured; nothing by default.
    pub fn start(config: &config::Telemetry, metrics: &Metrics) -> Result<Self, Error> {
        let settings = config.otlp.as_ref().map(|otlp| ExportSettings {
            endpoint: otlp.endpoint.clone(),
            headers: otlp.headers.values.clone(),
            traces: otlp.traces.then_some(otlp.sample),
            metrics: otlp.metrics.then_some(otlp.interval),
            service_name: otlp.service_name.clone(),
        });
        Ok(Self { export: settings.map(|settings| Export::start(&settings, metrics)).transpose()? })
    }

    /// Returns what starts the spans of calls, if traces are exported.
    pub fn tracer(&self) -> Option<Tracer> {
        self.export.as_ref().and_then(Export::tracer)
    }

    /// Exports what is waiting. Takes at most a few seconds.
    pub async fn shutdown(self) {
        if let Some(export) = self.export {
            export.shutdown().await;
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Telemetry {
    /// Refuses a configuration with an export: this build has none.
    pub fn start(config: &config::Telemetry, _metrics: &Metrics) -> Result<Self, Error> {
        if config.otlp.is_none() {
            return Ok(Self {});
        }
        let message = "telemetry.otlp: this build can't export telemetry; remove the section, or build with the feature `otlp`";
        Err(Error::new(prism_call::Code::FailedPrecondition, "TELEMETRY", message))
    }

    /// Returns nothing.
    #[expect(clippy::unused_self, reason = "a build with the feature needs it")]
    pub fn tracer(&self) -> Option<Tracer> {
        None
    }

    /// Does nothing.
    #[expect(clippy::unused_async, reason = "a build with the feature waits")]
    pub async fn shutdown(self) {}
}
