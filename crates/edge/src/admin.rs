//! The listener for operators: `/healthz`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use futures::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use prism_call::{Error, Metrics};

/// Asks a backend, or another gateway, whether it can be reached.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// No probe may take longer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the pages tell of.
#[derive(Clone)]
pub struct Admin {
    /// The gateway's metrics.
    pub metrics: Metrics,
    /// What calls depend on, each with the words that name it, as `backend redis-main`.
    pub probes: Arc<Vec<(String, Probe)>>,
    /// Set when the gateway begins to end.
    pub draining: CancellationToken,
}

/// The pages.
pub fn router(admin: Admin) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).route("/metrics", get(metrics)).with_state(admin)
}

/// 200 if calls have a chance: not draining, and every backend and every remote answers. A line for each that does not.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let checks = admin.probes.iter().map(|(name, probe)| async move {
        let result = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()));
        result.err().map(|error| format!("{name}: {error}\n"))
    });
    let problems: String = join_all(checks).await.into_iter().flatten().collect();
    if problems.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, problems) }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}
