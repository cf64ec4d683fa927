//! One multiplexed connection that reconnects by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::{
    error,
    settings::{RedisSettings, address},
};
use prism_call::{Code, Error};
use prism_driver::{connections::ConnectionCounters, retry::Retry};

/// How long the reply to a PING may take that checks whether a connection still works.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens connections, and knows the pauses between attempts.
#[derive(Clone)]
pub struct Connector {
    client: Client,
    timeout: Duration,
    retry: Retry,
    counters: Arc<ConnectionCounters>,
}

impl Connector {
    pub fn new(client: Client, settings: &RedisSettings) -> Self {
        Self { client, timeout: *settings.connect_timeout, retry: settings.retry, counters: Arc::default() }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The counts of all connections.
    pub fn counters(&self) -> &Arc<ConnectionCounters> {
        &self.counters
    }

    /// How long an attempt to connect may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long callers should wait when a connection has just broken.
    pub fn retry_after(&self) -> Duration {
        *self.retry.min
    }

    /// Opens a new connection. `lost` is notified when it breaks.
    pub async fn connect(&self, lost: Option<Arc<Notify>>) -> Result<MultiplexedConnection, RedisError> {
        let mut config = AsyncConnectionConfig::new().set_connection_timeout(Some(self.timeout)).set_response_timeout(None);
        if let Some(lost) = lost {
            config = config.set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    lost.notify_one();
                }
                Ok::<_, std::convert::Infallible>(())
            });
        }
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The pause after a failed attempt, if `failed` attempts in a row failed before it.
    pub fn pause(&self, failed: u32) -> Duration {
        self.retry.pause(failed)
    }
}

/// The state of a connection.
enum ConnectionState {
    /// An attempt is in progress, and the one before did not fail.
    Connecting,
    Established(MultiplexedConnection),
    /// The last attempt failed.
    Failed {
        cause: RedisError,
        next_attempt: Instant,
    },
    Closed,
}

/// One multiplexed connection, kept open by a task. Dropping it ends the task.
pub struct SharedConnection {
    state: watch::Receiver<ConnectionState>,
    /// Makes the task check whether the connection still works.
    check: Arc<Notify>,
    task: AbortHandle,
    closed: watch::Sender<bool>,
}

impl SharedConnection {
    pub fn open(connector: Connector) -> Self {
        let (sender, state) = watch::channel(ConnectionState::Connecting);
        let (closed, close) = watch::channel(false);
        let check = Arc::new(Notify::new());
        let task = tokio::spawn(keep_connected(connector, sender, check.clone(), close)).abort_handle();
        Self { state, check, task, closed }
    }

    pub fn is_established(&self) -> bool {
        matches!(*self.state.borrow(), ConnectionState::Established(_))
    }

    /// Returns the connection. Waits for an attempt in progress, but fails at once if the last attempt failed.
    pub async fn connection(&self, deadline: Instant) -> Result<MultiplexedConnection, Error> {
        if let Some(result) = connection_result(&self.state.borrow()) {
            return result;
        }
        let mut state = self.state.clone();
        let wait = state.wait_for(|state| !matches!(state, ConnectionState::Connecting));
        match tokio::time::timeout_at(deadline.into(), wait).await {
            Ok(Ok(state)) => connection_result(&state).unwrap_or_else(|| Err(error::backend_closed())),
            Ok(Err(_)) => Err(error::backend_closed()),
            Err(_) => Err(error::unavailable("Redis could not be connected in time", Duration::from_millis(100))),
        }
    }

    /// Makes the task check whether the connection still works, after a command had no reply in time.
    pub fn check_alive(&self) {
        self.check.notify_one();
    }

    /// Closes the connection for good.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The result for a caller; `None` while an attempt is in progress.
fn connection_result(state: &ConnectionState) -> Option<Result<MultiplexedConnection, Error>> {
    match state {
        ConnectionState::Connecting => None,
        ConnectionState::Established(connection) => Some(Ok(connection.clone())),
        ConnectionState::Failed { cause, next_attempt } => {
            let wait = next_attempt.saturating_duration_since(Instant::now());
            let error = error::map_redis_error(cause, wait);
            Some(Err(if cause.is_io_error() && error.code() == Code::Unavailable {
                error::unavailable("Redis can't be reached", wait).with_source(cause.clone())
            } else {
                error
            }))
        }
        ConnectionState::Closed => Some(Err(error::backend_closed())),
    }
}

/// Keeps a connection open until `close` is true.
async fn keep_connected(connector: Connector, state: watch::Sender<ConnectionState>, check: Arc<Notify>, mut close: watch::Receiver<bool>) {
    let mut failed = 0;
    let reconnect = async {
        loop {
            match connector.connect(Some(check.clone())).await {
                Ok(connection) => {
                    failed = 0;
                    let open = connector.counters.established();
                    state.send_replace(ConnectionState::Established(connection.clone()));
                    wait_until_broken(connection, &check).await;
                    open.broke();
                    drop(open);
                    state.send_replace(ConnectionState::Connecting);
                }
                Err(cause) => {
                    connector.counters.failed();
                    let pause = connector.pause(failed);
                    if failed == 0 {
                        let address = address(&connector.client);
                        tracing::warn!(address, error = %cause.category(), "Redis can't be reached; retrying until it can");
                    }
                    failed = failed.saturating_add(1);
                    state.send_replace(ConnectionState::Failed { cause, next_attempt: Instant::now() + pause });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    };
    tokio::select! {
        () = reconnect => {}
        _ = close.wait_for(|closed| *closed) => {}
    }
    state.send_replace(ConnectionState::Closed);
}

/// Returns when the connection is broken, or when a check gets no reply.
async fn wait_until_broken(mut connection: MultiplexedConnection, check: &Notify) {
    loop {
        check.notified().await;
        let ping = redis::cmd("PING");
        match tokio::time::timeout(PING_TIMEOUT, ping.query_async::<()>(&mut connection)).await {
            Ok(Ok(())) => {}
            // The connection works: it delivered an error of the server, for example LOADING.
            Ok(Err(error)) if !error.is_io_error() && !error.is_unrecoverable_error() => {}
            _ => return,
        }
    }
}
