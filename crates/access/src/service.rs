//! A service that access control asks about callers: bounded in time, size and number, and quiet in the log.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder};
use tokio::sync::Semaphore;

use super::http_client;

/// Requests at once.
const MAX_CONCURRENT: usize = 64;
/// Requests in progress and waiting. Further ones are refused.
const MAX_PENDING: usize = 1024;
/// Largest answer.
const MAX_BYTES: usize = 64 * 1024;

/// A service at one URL.
pub struct Service {
    /// What it does, for the log, as `authenticator sso: tokens`.
    checks: String,
    client: Client,
    url: String,
    timeout: Duration,
    running: Semaphore,
    pending: Semaphore,
    /// Whether the last request failed. Only the first failure is logged.
    is_failing: AtomicBool,
}

/// The service can't be asked now, or its answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceUnavailable;

impl Service {
    /// Prepares the requests. `timeout`: for one request.
    pub fn new(checks: String, url: &str, ca_file: Option<&Path>, timeout: Duration) -> Result<Self, String> {
        Ok(Self {
            checks,
            client: http_client::client(url, ca_file, timeout, MAX_CONCURRENT)?,
            url: url.to_owned(),
            timeout,
            running: Semaphore::new(MAX_CONCURRENT),
            pending: Semaphore::new(MAX_PENDING),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Posts a request, and returns what is read from the answer, and the time at which it was asked. `read` returns what is wrong with an answer.
    pub async fn ask<T>(
        &self,
        request: impl FnOnce(RequestBuilder) -> RequestBuilder,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<(Instant, T), ServiceUnavailable> {
        let Ok(_pending) = self.pending.try_acquire() else { return Err(ServiceUnavailable) };
        let asking = async {
            let _running = self.running.acquire().await.map_err(|_| "it is closed".to_owned())?;
            // What the service says was true after it was asked.
            let asked = Instant::now();
            let body = http_client::send(&self.url, request(self.client.post(&self.url)), MAX_BYTES).await?;
            read(&body).map(|answer| (asked, answer)).map_err(|problem| format!("{}: {problem}", self.url))
        };
        // Waiting counts too, so that no caller waits for much longer than one request.
        let answer = tokio::time::timeout(self.timeout * 2, asking).await;
        match answer.unwrap_or_else(|_| Err(format!("{}: too many requests wait for it", self.url))) {
            Ok(answer) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("{} can be checked again", self.checks);
                }
                Ok(answer)
            }
            Err(problem) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{} can't be checked; this is logged once until they can: {problem}", self.checks);
                }
                Err(ServiceUnavailable)
            }
        }
    }
}
