//! One multiplexed connection that comes back by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use super::{
    error,
    settings::{Settings, address},
};
use prism_call::{Code, Error};

/// How long a connection that is in doubt may take to answer a PING.
const PROBE: Duration = Duration::from_millis(500);

/// How to connect and how to try again.
#[derive(Clone)]
pub struct Connector {
    client: Client,
    timeout: Duration,
    retry_min: Duration,
    retry_max: Duration,
}

impl Connector {
    pub fn new(client: Client, settings: &Settings) -> Self {
        Self {
            client,
            timeout: *settings.connect_timeout,
            retry_min: *settings.retry.min,
            retry_max: (*settings.retry.max).max(*settings.retry.min),
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long an attempt to connect may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What a caller is told to wait when a connection has just broken.
    pub fn retry_after(&self) -> Duration {
        self.retry_min
    }

    /// A new connection of its own. `lost` is told when it breaks.
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

    /// The pause before the next attempt: twice the one before, of which a random half is left out, so that many gateways
    /// don't come back at the same instant.
    pub fn pause(&self, failed: u32) -> Duration {
        let full = self.retry_min.saturating_mul(1 << failed.min(16)).min(self.retry_max);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// A connection, or the reason why there is none.
enum State {
    /// An attempt is under way and the one before did not fail.
    Connecting,
    Up(MultiplexedConnection),
    Down {
        cause: RedisError,
        again: Instant,
    },
    Closed,
}

/// One multiplexed connection. A task holds it open; dropping the link ends the task.
pub struct Link {
    state: watch::Receiver<State>,
    doubt: Arc<Notify>,
    task: AbortHandle,
    closed: watch::Sender<bool>,
}

impl Link {
    pub fn open(connector: Connector) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let (closed, close) = watch::channel(false);
        let doubt = Arc::new(Notify::new());
        let task = tokio::spawn(hold(connector, sender, doubt.clone(), close)).abort_handle();
        Self { state, doubt, task, closed }
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// The connection. Waits for an attempt that is under way, and answers at once when it is known that the server is away.
    pub async fn connection(&self, until: Instant) -> Result<MultiplexedConnection, Error> {
        if let Some(known) = known(&self.state.borrow()) {
            return known;
        }
        let mut state = self.state.clone();
        let wait = state.wait_for(|state| !matches!(state, State::Connecting));
        match tokio::time::timeout_at(until.into(), wait).await {
            Ok(Ok(state)) => known(&state).unwrap_or_else(|| Err(gone())),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(error::lost("no connection to Redis could be made in time", Duration::from_millis(100))),
        }
    }

    /// A command was not answered in time: the task finds out whether the server is still there.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Gives the connection up for good.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn known(state: &State) -> Option<Result<MultiplexedConnection, Error>> {
    match state {
        State::Connecting => None,
        State::Up(connection) => Some(Ok(connection.clone())),
        State::Down { cause, again } => {
            let wait = again.saturating_duration_since(Instant::now());
            let error = error::from(cause, wait);
            Some(Err(if cause.is_io_error() && error.code() == Code::Unavailable {
                error::lost("Redis can't be reached", wait).with_source(cause.clone())
            } else {
                error
            }))
        }
        State::Closed => Some(Err(gone())),
    }
}

/// What calls get after the backend was closed.
pub fn gone() -> Error {
    error::lost("this backend is being closed", Duration::from_secs(1))
}

async fn hold(connector: Connector, state: watch::Sender<State>, doubt: Arc<Notify>, mut close: watch::Receiver<bool>) {
    let mut failed = 0;
    let held = async {
        loop {
            match connector.connect(Some(doubt.clone())).await {
                Ok(connection) => {
                    failed = 0;
                    state.send_replace(State::Up(connection.clone()));
                    until_broken(connection, &doubt).await;
                    state.send_replace(State::Connecting);
                }
                Err(cause) => {
                    let pause = connector.pause(failed);
                    if failed == 0 {
                        let address = address(&connector.client);
                        tracing::warn!(address, error = %cause.category(), "Redis can't be reached; trying again until it can");
                    }
                    failed = failed.saturating_add(1);
                    state.send_replace(State::Down { cause, again: Instant::now() + pause });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    };
    tokio::select! {
        () = held => {}
        _ = close.wait_for(|closed| *closed) => {}
    }
    state.send_replace(State::Closed);
}

/// Returns when the connection is broken, or in doubt and silent.
async fn until_broken(mut connection: MultiplexedConnection, doubt: &Notify) {
    loop {
        doubt.notified().await;
        let ping = redis::cmd("PING");
        match tokio::time::timeout(PROBE, ping.query_async::<()>(&mut connection)).await {
            Ok(Ok(())) => {}
            // An error of the server, such as LOADING, came over a connection that works.
            Ok(Err(error)) if !error.is_io_error() && !error.is_unrecoverable_error() => {}
            _ => return,
        }
    }
}
