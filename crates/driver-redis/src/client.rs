//! How commands reach the server: over a few links, each call within its time.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, Value};

use super::{
    error,
    link::{self, Connector, Link},
    script::Invocation,
    settings::Settings,
};
use prism_call::{Context, Error};

/// The connections that all commands of a backend share.
pub struct Client {
    connector: Connector,
    links: Vec<Link>,
    next: AtomicUsize,
    timeout: Duration,
    closed: AtomicBool,
}

impl Client {
    pub fn open(connector: Connector, settings: &Settings) -> Self {
        Self {
            links: (0..settings.connections).map(|_| Link::open(connector.clone())).collect(),
            connector,
            next: AtomicUsize::new(0),
            timeout: *settings.request_timeout,
            closed: AtomicBool::new(false),
        }
    }

    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a command and reads its answer.
    pub async fn run<T: FromRedisValue>(&self, context: &Context, command: &Cmd) -> Result<T, Error> {
        self.send(context, self.until(context), command).await?.map_err(|cause| error::from(&cause, self.connector.retry_after()))
    }

    /// Runs a script and reads its answer.
    pub async fn call(&self, context: &Context, call: &Invocation) -> Result<Value, Error> {
        let until = self.until(context);
        let mut answer = self.send(context, until, call.command()).await?;
        if matches!(&answer, Err(cause) if cause.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            answer = self.send(context, until, &call.with_text()).await?;
        }
        answer.map_err(|cause| error::from(&cause, self.connector.retry_after()))
    }

    /// How long a command of this call may take.
    pub fn budget(&self, context: &Context) -> Duration {
        context.remaining().map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// When a command of this call has to be answered.
    fn until(&self, context: &Context) -> Instant {
        Instant::now() + self.budget(context)
    }

    async fn send<T: FromRedisValue>(&self, context: &Context, until: Instant, command: &Cmd) -> Result<RedisResult<T>, Error> {
        let link = self.link().ok_or_else(link::gone)?;
        let mut connection = link.connection(until).await?;
        if let Ok(answer) = tokio::time::timeout_at(until.into(), command.query_async(&mut connection)).await {
            if matches!(&answer, Err(cause) if cause.is_io_error()) {
                link.doubt();
            }
            Ok(answer)
        } else {
            link.doubt();
            if context.remaining().is_some_and(|left| left.is_zero()) {
                return Err(Error::deadline_exceeded());
            }
            Err(error::lost("Redis did not answer in time; a write may or may not have happened", self.connector.retry_after()))
        }
    }

    /// The next link in turn, one with a connection if there is any.
    fn link(&self) -> Option<&Link> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.links.len().max(1);
        let (before, behind) = self.links.split_at(turn.min(self.links.len()));
        let mut in_turn = behind.iter().chain(before);
        in_turn.clone().find(|link| link.is_up()).or_else(|| in_turn.next())
    }

    /// Whether the server answers.
    pub async fn ping(&self, context: &Context) -> Result<(), Error> {
        self.run(context, &redis::cmd("PING")).await
    }

    /// Gives all connections up for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for link in &self.links {
            link.close();
        }
    }

    /// Whether it was closed, so that waiting for the server is in vain.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
