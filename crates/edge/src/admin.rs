//! The listener for operators: `/healthz`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use futures::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use prism_call::{Error, Metrics};

/// Checks whether a backend or a remote gateway can be reached.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Timeout of one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that the pages show.
#[derive(Clone)]
pub struct Admin {
    /// The gateway's metrics.
    pub metrics: Metrics,
    /// Probes of everything that calls depend on, each with its name, for example `backend redis-main`.
    pub probes: Arc<ArcSwap<Vec<(String, Probe)>>>,
    /// Cancelled when the drain begins.
    pub draining: CancellationToken,
}

/// Returns the router of the pages.
pub fn router(admin: Admin) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).route("/metrics", get(metrics)).with_state(admin)
}

/// Responds with 200 if the gateway is not draining, and every backend and every remote can be reached. Otherwise with one line for each problem.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let probes = admin.probes.load_full();
    let checks = probes.iter().map(|(name, probe)| async move {
        let result = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()));
        result.err().map(|error| format!("{name}: {error}\n"))
    });
    let problems: String = join_all(checks).await.into_iter().flatten().collect();
    if problems.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, problems) }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}
