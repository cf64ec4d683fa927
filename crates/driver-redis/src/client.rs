//! Sends commands over a few shared connections, within the time limit of the call.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, Value};

use crate::{
    connection::{Connector, SharedConnection},
    error,
    script::ScriptCall,
    settings::RedisSettings,
};
use prism_call::{Context, Error};

/// The connections that all commands of a backend share.
pub struct Client {
    connector: Connector,
    connections: Vec<SharedConnection>,
    next: AtomicUsize,
    timeout: Duration,
    closed: AtomicBool,
}

/// How long the key of a health check exists, in milliseconds.
const PROBE_MILLIS: u32 = 10_000;

impl Client {
    /// Opens that many connections.
    pub fn open(connector: Connector, settings: &RedisSettings, connections: usize) -> Self {
        Self {
            connections: (0..connections).map(|_| SharedConnection::open(connector.clone())).collect(),
            connector,
            next: AtomicUsize::new(0),
            timeout: *settings.request_timeout,
            closed: AtomicBool::new(false),
        }
    }

    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a command and returns its reply.
    pub async fn run<T: FromRedisValue>(&self, context: &Context, command: &Cmd) -> Result<T, Error> {
        self.send(context, self.deadline(context), command)
            .await?
            .map_err(|cause| error::map_redis_error(&cause, self.connector.retry_after()))
    }

    /// Runs a script and returns its reply.
    pub async fn call(&self, context: &Context, call: &ScriptCall) -> Result<Value, Error> {
        let deadline = self.deadline(context);
        let mut reply = self.send(context, deadline, call.evalsha_command()).await?;
        if matches!(&reply, Err(cause) if cause.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            reply = self.send(context, deadline, &call.eval_command()).await?;
        }
        reply.map_err(|cause| error::map_redis_error(&cause, self.connector.retry_after()))
    }

    /// How long a command of this call may take.
    pub fn time_limit(&self, context: &Context) -> Duration {
        context.remaining().map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// When a command of this call must have its reply.
    fn deadline(&self, context: &Context) -> Instant {
        Instant::now() + self.time_limit(context)
    }

    async fn send<T: FromRedisValue>(&self, context: &Context, deadline: Instant, command: &Cmd) -> Result<RedisResult<T>, Error> {
        let shared = self.next_connection().ok_or_else(error::backend_closed)?;
        let mut connection = shared.connection(deadline).await?;
        if let Ok(reply) = tokio::time::timeout_at(deadline.into(), command.query_async(&mut connection)).await {
            if matches!(&reply, Err(cause) if cause.is_io_error()) {
                shared.check_alive();
            }
            Ok(reply)
        } else {
            shared.check_alive();
            if context.remaining().is_some_and(|left| left.is_zero()) {
                return Err(Error::deadline_exceeded());
            }
            Err(error::unavailable("Redis did not reply in time; a write may or may not have happened", self.connector.retry_after()))
        }
    }

    /// The next connection in turn; one that is established, if there is any.
    fn next_connection(&self) -> Option<&SharedConnection> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len().max(1);
        let (before, after) = self.connections.split_at(turn.min(self.connections.len()));
        let mut in_turn = after.iter().chain(before);
        in_turn.clone().find(|connection| connection.is_established()).or_else(|| in_turn.next())
    }

    /// Checks that the server takes writes, by setting this key for a moment.
    pub async fn check_writes(&self, context: &Context, key: &str) -> Result<(), Error> {
        self.run(context, redis::cmd("SET").arg(key).arg(1).arg("PX").arg(PROBE_MILLIS)).await
    }

    /// Closes all connections for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for connection in &self.connections {
            connection.close();
        }
    }

    /// Whether [`close`](Self::close) was called, so that waiting for the server is useless.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
