//! The listener for operators: `/healthz`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, join_all};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::{
    Body,
    checks::{self, AllowedHosts},
    connection::RequestHandler,
    request::{Connection, ReceivedBody},
    rest,
};
use prism_call::{Delivery, Error, Metrics, RequestId};

/// Checks whether a backend or a remote gateway can do what calls need.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Timeout of one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The Prometheus text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The pages of the admin listener.
#[derive(Clone)]
pub struct Admin {
    /// The gateway's metrics.
    pub metrics: Metrics,
    /// Probes of everything that calls depend on, each with its name, for example `backend redis-main`.
    pub probes: Arc<ArcSwap<Vec<(String, Probe)>>>,
    /// Cancelled when the drain begins.
    pub draining: CancellationToken,
    /// The hosts that it answers to.
    pub hosts: AllowedHosts,
}

impl RequestHandler for Admin {
    async fn serve(&self, request: Request<ReceivedBody>, _: &Connection) -> (Response<Body>, Delivery) {
        let (parts, _) = request.into_parts();
        let checked = checks::check_head(&parts).and_then(|()| checks::host(&parts)).and_then(|host| self.hosts.check(host));
        let mut response = match checked {
            Ok(()) => self.answer(&parts.method, parts.uri.path()).await,
            Err(error) => rest::with_own_status(rest::failed(&RequestId::from_headers(&parts.headers), &error), &error),
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::Empty;
        }
        (response, Delivery::default())
    }
}

impl Admin {
    async fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        let is_known = matches!(path, "/healthz" | "/readyz" | "/metrics");
        if is_known && method != Method::GET && method != Method::HEAD {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this page is read with GET\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => self.ready().await,
            "/metrics" => page(StatusCode::OK, METRICS, self.metrics.render()),
            _ => page(StatusCode::NOT_FOUND, TEXT, "this listener has /healthz, /readyz and /metrics\n"),
        }
    }

    /// Responds with 200 if the gateway is not draining, and every backend and every remote can do what calls need. Otherwise with one line
    /// for each problem.
    async fn ready(&self) -> Response<Body> {
        if self.draining.is_cancelled() {
            return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n");
        }
        let probes = self.probes.load_full();
        let checks = probes.iter().map(|(name, probe)| async move {
            let result = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()));
            result.err().map(|error| format!("{name}: {error}\n"))
        });
        let problems: String = join_all(checks).await.into_iter().flatten().collect();
        if problems.is_empty() { page(StatusCode::OK, TEXT, "ready\n") } else { page(StatusCode::SERVICE_UNAVAILABLE, TEXT, problems) }
    }
}

fn page(status: StatusCode, content_type: HeaderValue, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
