//! The connection to the servers: one, which all calls share and which reconnects by itself.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{ClientError, Event, ServerAddr, ServerError, connection::State};
use tokio::sync::watch;

use crate::{
    error,
    settings::{NatsSettings, address},
};
use prism_call::Error;
use prism_driver::{ConnectionStats, lock::lock, retry::Retry, settings::SettingProblem};

/// How often the server must answer a PING. After three that it did not answer, the connection is replaced.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Messages that wait in a subscription of the connection until a task of this driver takes them.
const SUBSCRIPTION_CAPACITY: usize = 8192;
/// Requests that wait to be written to the connection. Further calls wait, within their time limit.
const REQUEST_CAPACITY: usize = 2048;
/// The pause of a connection that was closed during an outage, and that the crate does not end before the server is back.
const CLOSED_PAUSE: Duration = Duration::from_hours(1);

/// What is known of the connection.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Whether it is established.
    pub connected: bool,
    /// How many times it was established.
    pub epoch: u64,
    /// The error of the last attempt, if it failed.
    pub failure: Option<Arc<str>>,
    /// How many times messages were lost because this gateway was too slow to take them.
    pub overflows: u64,
}

/// The connection, and what its events tell.
pub struct Connection {
    nats: Option<async_nats::Client>,
    status: Arc<Status>,
}

struct Status {
    address: String,
    link: watch::Sender<Link>,
    retry: Retry,
    /// The pause before the next attempt, in milliseconds.
    pause: AtomicU64,
    /// The last subject that the server refused, and when.
    violation: Mutex<Option<(Instant, String)>>,
    /// Attempts to connect that failed.
    failures: AtomicU64,
    closed: AtomicBool,
}

impl Connection {
    /// Starts to connect, in the background. Must be called in a runtime.
    pub async fn open(settings: &NatsSettings) -> Result<Self, Vec<SettingProblem>> {
        let (servers, options) = settings.client()?;
        let status = Arc::new(Status::new(&servers, settings));
        let (events, delays, attempts) = (status.clone(), status.clone(), status.clone());
        let connecting = options
            .name("prism")
            .connection_timeout(*settings.connect_timeout)
            .request_timeout(None)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .client_capacity(REQUEST_CAPACITY)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(move |attempt| delays.pause(attempt))
            .reconnect_to_server_callback(move |servers, _| {
                // Called before each attempt. It is the only way to learn why the one before failed; the choice is left to the crate.
                attempts.before_attempt(servers.iter().find_map(|server| server.last_error.as_deref()));
                std::future::ready(None)
            })
            .event_callback(move |event| {
                events.handle(event);
                std::future::ready(())
            })
            .connect(servers);
        match connecting.await {
            Ok(nats) => Ok(Self { nats: Some(nats), status }),
            Err(_) => Err(vec![SettingProblem::other("url", "has an address that can't be used")]),
        }
    }

    /// A connection that will never be established, to learn the interfaces of the driver.
    pub fn none(settings: &NatsSettings) -> Self {
        Self { nats: None, status: Arc::new(Status::new(&[], settings)) }
    }

    /// The state of the connection, now and after each change.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.status.link.subscribe()
    }

    /// Returns the client with the epoch of the connection. Waits for an attempt in progress until `deadline`, but fails at once if the
    /// last attempt failed.
    pub async fn established(&self, deadline: Instant) -> Result<(&async_nats::Client, watch::Receiver<Link>, u64), Error> {
        let nats = self.nats.as_ref().filter(|_| !self.is_closed()).ok_or_else(error::backend_closed)?;
        let mut link = self.link();
        let wait = async {
            let state = link.wait_for(|link| link.connected || link.failure.is_some()).await;
            state.map(|link| (link.connected, link.epoch, link.failure.clone()))
        };
        match tokio::time::timeout_at(deadline.into(), wait).await {
            Ok(Ok((true, epoch, _))) if nats.connection_state() == State::Connected => Ok((nats, link, epoch)),
            Ok(Ok((false, _, Some(failure)))) => Err(error::map_connect_error(&failure, self.retry_after())),
            Ok(Ok(_)) => Err(error::unavailable("the connection to NATS broke", self.retry_after())),
            Ok(Err(_)) => Err(error::backend_closed()),
            Err(_) => Err(error::unavailable("NATS could not be connected in time", self.retry_after())),
        }
    }

    /// How long callers should wait after a temporary error: until the next attempt to connect.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(self.status.pause.load(Ordering::Relaxed)).max(*self.status.retry.min)
    }

    /// The last subject that the server refused after this time.
    pub fn violation_since(&self, began: Instant) -> Option<String> {
        lock(&self.status.violation).as_ref().filter(|(at, _)| *at >= began).map(|(_, subject)| subject.clone())
    }

    /// The largest message that the server takes, headers included; `None` before the first connection.
    pub fn max_payload(&self) -> Option<u64> {
        let nats = self.nats.as_ref().filter(|_| self.status.link.borrow().epoch > 0)?;
        Some(nats.max_payload() as u64)
    }

    /// The version of the server, if it is older than 2.12.
    pub fn unsupported_version(&self) -> Option<String> {
        let nats = self.nats.as_ref()?;
        (!nats.is_server_compatible(2, 12, 0)).then(|| nats.server_info().version)
    }

    /// What the connection does now. All calls share it, so it is in use as long as it is open.
    pub fn stats(&self) -> ConnectionStats {
        let (connected, epoch) = {
            let link = self.status.link.borrow();
            (link.connected, link.epoch)
        };
        ConnectionStats {
            in_use: u64::from(connected),
            idle: None,
            waiting: None,
            reconnects: Some(epoch.saturating_sub(1)),
            failures: self.status.failures.load(Ordering::Relaxed),
        }
    }

    /// Whether [`close`](Self::close) was called, so that waiting for the server is useless.
    pub fn is_closed(&self) -> bool {
        self.status.closed.load(Ordering::Relaxed)
    }

    /// Closes the connection for good, after what was written has been sent.
    pub async fn close(&self) {
        self.status.closed.store(true, Ordering::Relaxed);
        self.status.link.send_modify(|link| link.connected = false);
        if let Some(nats) = &self.nats {
            // It fails if the connection is closed already.
            let _ = tokio::time::timeout(Duration::from_secs(1), nats.drain()).await;
        }
    }
}

impl Status {
    fn new(servers: &[ServerAddr], settings: &NatsSettings) -> Self {
        Self {
            address: address(servers),
            link: watch::Sender::default(),
            retry: settings.retry,
            pause: AtomicU64::new(0),
            violation: Mutex::default(),
            failures: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// The pause before an attempt: none before the first, then that of the setting `retry`.
    fn pause(&self, attempt: usize) -> Duration {
        let pause = if self.closed.load(Ordering::Relaxed) {
            CLOSED_PAUSE
        } else if attempt <= 1 {
            Duration::ZERO
        } else {
            self.retry.pause(u32::try_from(attempt - 2).unwrap_or(u32::MAX))
        };
        self.pause.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        pause
    }

    fn before_attempt(&self, failure: Option<&str>) {
        let Some(failure) = failure else { return };
        self.link.send_if_modified(|link| {
            if link.connected || link.failure.as_deref() == Some(failure) {
                return false;
            }
            if link.failure.is_none() {
                tracing::warn!(address = self.address, error = failure, "NATS can't be reached; retrying until it can");
            }
            link.failure = Some(failure.into());
            true
        });
    }

    fn handle(&self, event: Event) {
        match event {
            Event::Connected => self.link.send_modify(|link| {
                if link.failure.is_some() {
                    tracing::info!(address = self.address, "NATS is connected again");
                }
                *link = Link {
                    connected: !self.closed.load(Ordering::Relaxed),
                    epoch: link.epoch + 1,
                    failure: None,
                    overflows: link.overflows,
                };
            }),
            Event::Disconnected | Event::Closed => self.link.send_modify(|link| link.connected = false),
            Event::SlowConsumer(_) => self.link.send_modify(|link| link.overflows += 1),
            Event::ServerError(ServerError::Other(text)) if text.to_lowercase().contains("permissions violation") => {
                tracing::warn!(address = self.address, error = text, "NATS refused a subject");
                *lock(&self.violation) = Some((Instant::now(), text));
            }
            Event::ServerError(error) => tracing::warn!(address = self.address, %error, "NATS reported an error"),
            Event::ClientError(ClientError::Other(text)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(address = self.address, error = text, "NATS could not be connected");
            }
            Event::LameDuckMode => tracing::info!(address = self.address, "the NATS server is being shut down by its operator"),
            other => tracing::debug!(address = self.address, event = %other, "an event of the connection to NATS"),
        }
    }
}
