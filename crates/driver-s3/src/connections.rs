//! Counts what the connections of the SDK do. Its pool does not tell how many it has, but each request in flight has one of its own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient, http::HttpRequest};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector};

use prism_driver::ConnectionStats;

/// The counts of all requests of a bucket.
#[derive(Debug, Default)]
pub struct RequestCounters {
    in_flight: AtomicU64,
    failures: AtomicU64,
}

impl RequestCounters {
    /// What the connections do now.
    pub fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            in_use: self.in_flight.load(Ordering::Relaxed),
            idle: None,
            waiting: None,
            reconnects: None,
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

/// A request that has no response yet.
struct InFlight(Arc<RequestCounters>);

impl InFlight {
    fn begin(counters: Arc<RequestCounters>) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An HTTP client that counts its requests.
#[derive(Debug)]
pub struct CountedHttp {
    inner: SharedHttpClient,
    counters: Arc<RequestCounters>,
}

impl CountedHttp {
    pub fn new(inner: SharedHttpClient, counters: Arc<RequestCounters>) -> Self {
        Self { inner, counters }
    }
}

impl HttpClient for CountedHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(CountedConnector { inner, counters: self.counters.clone() })
    }
}

struct CountedConnector {
    inner: SharedHttpConnector,
    counters: Arc<RequestCounters>,
}

impl fmt::Debug for CountedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedConnector").finish_non_exhaustive()
    }
}

impl HttpConnector for CountedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let in_flight = InFlight::begin(self.counters.clone());
        let response = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let response = response.await;
            if response.as_ref().is_err_and(|error| error.is_io() || error.is_timeout()) {
                in_flight.0.failures.fetch_add(1, Ordering::Relaxed);
            }
            response
        })
    }
}
