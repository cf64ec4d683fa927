use std::time::Duration;

use super::{REST, assert_problems, valid};

fn with(section: &str) -> String {
    format!("{section}\n{REST}")
}

#[test]
fn nothing_is_exported_by_default() {
    for (section, variables) in [
        ("", &[][..]),
        ("telemetry: {}", &[]),
        ("telemetry: {otlp: }", &[]),
        ("", &[("PRISM_TELEMETRY_OTLP_SAMPLE", "0.5")]),
        ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
        ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]),
        ("telemetry: {otlp: {}}", &[("OTEL_SDK_DISABLED", "true")]),
    ] {
        assert!(valid(&with(section), variables).telemetry.otlp.is_none(), "{section} {variables:?}");
    }
}

#[test]
fn all_settings_of_the_export_are_read_and_secrets_are_not_shown() {
    let text = with(
        "telemetry:
  otlp:
    endpoint: https://collector:4317/
    headers: {authorization: 'Bearer ${env:TOKEN}', x-tenant: literal}
    traces: false
    sample: 0.25
    metrics: false
    interval: 1m
    service_name: gateway",
    );
    let config = valid(&text, &[("TOKEN", "hunter2")]);
    let otlp = config.telemetry.otlp.as_ref().expect("it is configured");
    assert_eq!((otlp.endpoint.as_str(), otlp.traces, otlp.metrics, otlp.sample), ("https://collector:4317", false, false, 0.25));
    assert_eq!((otlp.interval, otlp.service_name.as_deref()), (Duration::from_mins(1), Some("gateway")));
    assert_eq!(otlp.headers.values["authorization"], "Bearer hunter2");
    assert_eq!(otlp.headers.values["x-tenant"], "literal");
    let shown = serde_saphyr::to_string(&config).expect("YAML");
    assert!(shown.contains("Bearer ${env:TOKEN}") && !shown.contains("hunter2") && !shown.contains("literal"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn variables_of_prism_count_more_than_those_of_opentelemetry_and_these_more_than_the_file() {
    let section = with("telemetry: {otlp: {endpoint: 'http://file:1', service_name: file}}");
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:1"),
        ("OTEL_SERVICE_NAME", "standard"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x, b=2"),
    ];
    let otlp = |text: &str, variables: &[(&str, &str)]| valid(text, variables).telemetry.otlp.expect("it is configured");
    assert_eq!(otlp(&section, &[]).endpoint, "http://file:1");
    for text in [section.as_str(), REST] {
        let read = otlp(text, &standard);
        assert_eq!((read.endpoint.as_str(), read.service_name.as_deref()), ("http://standard:1", Some("standard")));
        assert_eq!((read.headers.values["authorization"].as_str(), read.headers.values["b"].as_str()), ("Bearer x", "2"));
    }
    let own = [("PRISM_TELEMETRY_OTLP_ENDPOINT", "http://own:1"), ("PRISM_TELEMETRY_OTLP_SERVICE_NAME", "own")];
    let read = otlp(&section, &[&standard[..], &own].concat());
    assert_eq!((read.endpoint.as_str(), read.service_name.as_deref()), ("http://own:1", Some("own")));
    assert_eq!(otlp(&with("telemetry: {otlp: {}}"), &[]).endpoint, "http://127.0.0.1:4317");
}

#[test]
fn problems_name_the_setting() {
    assert_problems(
        &format!("telemetry: {{otlp: {{endpoint: 'collector:4317', sample: 2, traces: often, interval: 0s, headers: {{Big: x}}}}}}{REST}"),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/v1/traces"), ("OTEL_EXPORTER_OTLP_HEADERS", "secret")],
        &[
            "prism.yaml:1:30: `endpoint` must be http://HOST:PORT or https://HOST:PORT, without user name, password, path and query",
            "prism.yaml:1:56: `sample` must be a number from 0 to 1, not `2`",
            "prism.yaml:1:67: `traces` must be true or false, not `often`",
            "prism.yaml:1:74: `interval` must be longer than 0s; `metrics: false` exports no metrics",
            "prism.yaml:1:98: `Big` must be the lower-case name of a header, with a value of visible ASCII characters",
            "OTEL_EXPORTER_OTLP_ENDPOINT: the endpoint must be http://HOST:PORT or https://HOST:PORT, without user name, password, path and query",
            "OTEL_EXPORTER_OTLP_HEADERS: must be NAME=VALUE, with a comma between two headers",
        ],
    );
}
