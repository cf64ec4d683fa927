//! The section `telemetry` of the configuration.

use std::{collections::BTreeMap, fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::serialize::write_duration;
use prism_settings::HumanDuration;

/// Export of traces and metrics. Nothing is exported by default.
#[derive(Clone, Debug, Default, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Export to an OpenTelemetry collector, or to anything else that receives OTLP over gRPC. `{}` exports to this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
}

/// Export over OTLP with gRPC.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// URL of the gRPC receiver, `http://HOST:PORT` or `https://HOST:PORT`. The variable `OTEL_EXPORTER_OTLP_ENDPOINT` sets it too.
    pub endpoint: String,
    /// Headers of every request, for example `authorization`. The variable `OTEL_EXPORTER_OTLP_HEADERS` adds to them.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: Headers,
    /// Export traces: one span for each sampled call.
    pub traces: bool,
    /// The share of new traces that is sampled, from 0 to 1. A call with a `traceparent` is sampled if its caller's span is.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// Export the metrics that `/metrics` shows.
    pub metrics: bool,
    /// Time between two exports of metrics.
    #[serde(serialize_with = "write_duration")]
    #[schemars(with = "HumanDuration")]
    pub interval: Duration,
    /// The attribute `service.name`. The variable `OTEL_SERVICE_NAME` sets it too. Default: `prism`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:4317".to_owned(),
            headers: Headers::default(),
            traces: true,
            sample: 1.0,
            metrics: true,
            interval: Duration::from_secs(30),
            service_name: None,
        }
    }
}

/// Headers whose values may be secrets. Printed are the references in the file, and `***` for values that were written out.
#[derive(Clone, Default, PartialEq)]
pub struct Headers {
    /// Names and values, references resolved. Never to be printed.
    pub values: BTreeMap<String, String>,
    printable: BTreeMap<String, String>,
}

impl Headers {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a header, with the text that may be printed for its value.
    pub(super) fn insert(&mut self, name: &str, value: String, printable: String) {
        self.values.insert(name.to_owned(), value);
        self.printable.insert(name.to_owned(), printable);
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.printable).finish()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.printable.serialize(serializer)
    }
}
