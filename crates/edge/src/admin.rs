//! The listener for operators: `/healthz`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, join_all};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use tokio_util::sync::CancellationToken;

use super::{
    Body,
    checks::{self, AllowedHosts},
    connection::RequestHandler,
    request::{Connection, ReceivedBody},
    rest,
};
use prism_call::{Authenticate, Credentials, Delivery, Error, Metrics, RequestId};

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
    /// Who may read the pages. `None`: everybody.
    pub access: Arc<ArcSwap<Option<Arc<dyn Authenticate>>>>,
}

impl RequestHandler for Admin {
    async fn serve(&self, request: Request<ReceivedBody>, connection: &Connection) -> (Response<Body>, Delivery) {
        let (parts, _) = request.into_parts();
        let checked = checks::check_head(&parts).and_then(|()| checks::host(&parts)).and_then(|host| self.hosts.check(host));
        let answered = match checked {
            Ok(()) => self.answer(&parts, connection).await,
            Err(error) => Err(error),
        };
        let mut response =
            answered.unwrap_or_else(|error| rest::with_own_status(rest::failed(&RequestId::from_headers(&parts.headers), &error), &error));
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::Empty;
        }
        (response, Delivery::default())
    }
}

impl Admin {
    async fn answer(&self, parts: &Parts, connection: &Connection) -> Result<Response<Body>, Error> {
        let path = parts.uri.path();
        let is_known = matches!(path, "/healthz" | "/readyz" | "/metrics");
        if is_known && parts.method != Method::GET && parts.method != Method::HEAD {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this page is read with GET\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(response);
        }
        let credentials = Credentials::from_headers(&parts.headers);
        let is_bare = credentials.authorization.is_none() && credentials.api_key.is_none();
        Ok(match path {
            // Probes of orchestrators have no credentials.
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => {
                let caller = self.authenticate(connection, &credentials).await;
                let with_problems = caller.is_ok();
                if !is_bare {
                    caller?;
                }
                self.ready(with_problems).await
            }
            _ => {
                self.authenticate(connection, &credentials).await?;
                match path {
                    "/metrics" => page(StatusCode::OK, METRICS, self.metrics.render()),
                    _ => page(StatusCode::NOT_FOUND, TEXT, "this listener has /healthz, /readyz and /metrics\n"),
                }
            }
        })
    }

    /// Fails if the caller may not read the pages.
    async fn authenticate(&self, connection: &Connection, credentials: &Credentials) -> Result<(), Error> {
        match &*self.access.load_full() {
            None => Ok(()),
            Some(access) => access.authenticate(&connection.peer, credentials).result().await.map(drop),
        }
    }

    /// Responds with 200 if the gateway is not draining, and every backend and every remote can do what calls need. Otherwise with one line
    /// for each problem, if the caller may see them.
    async fn ready(&self, with_problems: bool) -> Response<Body> {
        if self.draining.is_cancelled() {
            return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n");
        }
        let probes = self.probes.load_full();
        let checks = probes.iter().map(|(name, probe)| async move {
            let result = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()));
            result.err().map(|error| format!("{name}: {error}\n"))
        });
        let problems: String = join_all(checks).await.into_iter().flatten().collect();
        match (problems.is_empty(), with_problems) {
            (true, _) => page(StatusCode::OK, TEXT, "ready\n"),
            (false, true) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, problems),
            (false, false) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        }
    }
}

fn page(status: StatusCode, content_type: HeaderValue, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
