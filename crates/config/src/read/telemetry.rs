//! `telemetry`.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::{
    reader::{Reader, Scalar, Section},
    telemetry::{Headers, Otlp, Telemetry},
};
use prism_settings::is_server_url;
use prism_yaml::{Position, Value};

/// Standard variables of OpenTelemetry ("Environment Variable Specification"). Prism's own variables count more than these, and
/// these more than the file.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const DISABLED: &str = "OTEL_SDK_DISABLED";

const URL: &str = "http://HOST:PORT or https://HOST:PORT, without user name, password, path and query";

pub(super) fn telemetry(top: &Section<'_, '_>) -> Telemetry {
    let section = top.section("telemetry");
    let is_present = section.node("otlp").is_some();
    let (otlp, has_endpoint) = otlp(section.section("otlp"));
    section.finish();
    let is_disabled = standard(top.reader, DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Telemetry { otlp: (is_present || has_endpoint).then_some(otlp).filter(|_| !is_disabled) }
}

/// Reads the section, and tells whether an endpoint is set anywhere.
fn otlp(section: Section<'_, '_>) -> (Otlp, bool) {
    let reader = section.reader;
    let default = Otlp::default();
    // The value is not shown, because it may have a password.
    let own = section.text("endpoint").and_then(|(text, position)| {
        let url = parse_url(&text);
        if url.is_none() {
            section.reader.problem(&position, format!("`endpoint` must be {URL}"));
        }
        url.map(|url| (url, position))
    });
    let endpoint = prefer_standard(own, standard_endpoint(reader));
    let service_name = prefer_standard(section.text("service_name"), standard(reader, SERVICE_NAME).map(str::to_owned));
    let share = |text: &str| text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let is_true = [("true", true), ("false", false)];
    let flag = |key| section.parsed(key, "true or false", |text| is_true.iter().find(|(name, _)| *name == text).map(|(_, value)| *value));
    let otlp = Otlp {
        headers: headers(&section),
        traces: flag("traces").map_or(default.traces, |(traces, _)| traces),
        sample: section.parsed("sample", "a number from 0 to 1", share).map_or(default.sample, |(share, _)| share),
        metrics: flag("metrics").map_or(default.metrics, |(metrics, _)| metrics),
        interval: section.duration("interval").unwrap_or(default.interval),
        service_name,
        endpoint: endpoint.clone().unwrap_or(default.endpoint),
    };
    if otlp.interval.is_zero() {
        reader.problem(section.position_of("interval"), "`interval` must be longer than 0s; `metrics: false` exports no metrics");
    }
    section.finish();
    (otlp, endpoint.is_some())
}

/// A variable of Prism, else the standard variable, else the file.
fn prefer_standard(own: Option<(String, Position)>, standard: Option<String>) -> Option<String> {
    match own {
        Some((value, Position::Named(_))) => Some(value),
        Some((value, _)) => standard.or(Some(value)),
        None => standard,
    }
}

/// A standard variable; an empty one counts as not set.
fn standard<'a>(reader: &Reader<'a>, name: &str) -> Option<&'a str> {
    reader.source.variables.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The standard endpoint, unless it is that of another protocol.
fn standard_endpoint(reader: &Reader<'_>) -> Option<String> {
    if standard(reader, PROTOCOL).is_some_and(|protocol| protocol != "grpc") {
        return None;
    }
    let text = standard(reader, ENDPOINT)?;
    let url = parse_url(text);
    if url.is_none() {
        reader.problem(&Position::Named(ENDPOINT.to_owned()), format!("the endpoint must be {URL}"));
    }
    url
}

fn parse_url(text: &str) -> Option<String> {
    is_server_url(text).then(|| text.trim_end_matches('/').to_owned())
}

fn headers(section: &Section<'_, '_>) -> Headers {
    let reader = section.reader;
    let mut headers = Headers::default();
    let entries = section.node("headers").map_or(&[][..], |(node, _)| reader.entries("headers", node));
    for (key, node) in entries {
        let path = format!("{}.{}", section.path_of("headers"), key.name);
        let Some(scalar) = reader.override_of(&path).or_else(|| reader.scalar(&key.name, node)) else { continue };
        let Scalar { value, shown, external, .. } = scalar;
        let value = if let Value::Text(text) = value { text } else { shown.clone() };
        if is_header(&key.name, &value) {
            let printable = if external && shown.contains("${") { shown } else { "***".to_owned() };
            headers.insert(&key.name, value, printable);
        } else {
            reader.problem(
                &key.position,
                format!("`{}` must be the lower-case name of a header, with a value of visible ASCII characters", key.name),
            );
        }
    }
    for pair in standard(reader, HEADERS).into_iter().flat_map(|text| text.split(',')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.trim().to_ascii_lowercase();
        let value = percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        if is_header(&name, &value) {
            headers.insert(&name, value, format!("${{env:{HEADERS}}}"));
        } else {
            reader.problem(&Position::Named(HEADERS.to_owned()), "must be NAME=VALUE, with a comma between two headers");
        }
    }
    headers
}

fn is_header(name: &str, value: &str) -> bool {
    let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|header| header.as_str() == name);
    is_name && !value.is_empty() && HeaderValue::from_str(value).is_ok()
}
