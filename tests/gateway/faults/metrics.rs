//! The metrics of connections (`prism_backend_…`) of a whole gateway, before, during and after an outage of its server.

use serde_json::Value;
use test_support::{gateway::Gateway, http, poll::until};

use super::Server;

/// A gateway whose backend `main` is of this kind, with these settings.
pub async fn gateway(kind: &str, settings: &Value) -> Gateway {
    let settings = settings.to_string();
    let settings = settings.trim_matches(['{', '}']);
    Gateway::start(&format!(
        "backends:\n  main: {{type: {kind}, {settings}}}\n  ram: {{type: memory}}\n\
         namespaces:\n  - {{name: shop, pattern: interfaces, slots: {{backend: main}}}}\n"
    ))
    .await
}

/// Returns the value of a metric of the backend `main`.
pub fn value(metrics: &str, name: &str, labels: &str) -> Option<f64> {
    let series = format!("{name}{{backend=\"main\"{labels}}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).map(|value| value.parse().unwrap())
}

/// Waits until a condition on the text of `/metrics` holds. Meanwhile the backend is asked whether it is healthy, as load balancers do.
pub async fn until_metrics(gateway: &Gateway, what: &str, is: impl Fn(&str) -> bool) {
    let is = &is;
    until(what, || async move {
        http::get(gateway.admin, "/readyz").await.map_err(|error| error.to_string())?;
        let metrics = gateway.metrics().await;
        let lines: Vec<_> = metrics.lines().filter(|line| line.starts_with("prism_backend")).collect();
        if is(&metrics) { Ok(()) } else { Err(lines.join("\n")) }
    })
    .await;
}

/// The open connections of the backend `main`.
fn open(metrics: &str) -> f64 {
    let count = |state| value(metrics, "prism_backend_connections", &format!(",state=\"{state}\"")).unwrap_or_default();
    count("in_use") + count("idle")
}

/// Connections are counted, then attempts that fail, and then connections that replace those that broke.
pub async fn connections_are_in_the_metrics(server: &mut impl Server) {
    let gateway = gateway(server.kind(), &server.settings()).await;
    until_metrics(&gateway, "connected", |metrics| open(metrics) >= 1.0).await;
    let metrics = gateway.metrics().await;
    assert_eq!(value(&metrics, "prism_backend_reconnects_total", ""), Some(0.0), "{metrics}");
    assert!(!metrics.contains("backend=\"ram\""), "a backend without connections has no metrics: {metrics}");
    let failures = |metrics: &str| value(metrics, "prism_backend_connection_failures_total", "").unwrap();
    let before = failures(&metrics);
    server.kill();
    until_metrics(&gateway, "counting failures", |metrics| failures(metrics) > before && open(metrics) < 1.0).await;
    server.resume();
    until_metrics(&gateway, "connected again", |metrics| {
        value(metrics, "prism_backend_reconnects_total", "").unwrap() >= 1.0 && open(metrics) >= 1.0
    })
    .await;
}
