//! The task that keeps the connection that listens, and receives notifications.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio_postgres::{AsyncMessage, Client, Config, types::Type};

use super::{
    Notifications,
    payload::{self, Notification},
};
use crate::{columns::read_bytes, database::Database, error::Problem, settings::PostgresSettings, sql::Sql, tls::TlsConnector};
use prism_call::{Context, Error, proto::models::pubsub::v1::Message};
use prism_driver::{connections::ConnectionCounters, retry::Retry};

/// How often the connection is checked, and channels that nobody needs are given up.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long the reply to a command may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a notification to this gateway itself may take.
const LOOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to read a large message.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Most channels in one command.
const CHANNELS_PER_COMMAND: usize = 256;

static FETCH: Sql = Sql { text: "SELECT message FROM {schema}.large_messages WHERE id = $1", types: &[Type::INT8] };
static NOTIFY: Sql = Sql { text: "SELECT pg_notify($1, '')", types: &[Type::TEXT] };

/// Opens the connection that listens.
pub struct ListenConnector {
    config: Config,
    tls: TlsConnector,
    timeout: Duration,
    retry: Retry,
    counters: Arc<ConnectionCounters>,
}

/// The connection that listens.
struct Link {
    client: Client,
    messages: BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>,
}

impl ListenConnector {
    pub fn new(config: Config, tls: TlsConnector, settings: &PostgresSettings, counters: Arc<ConnectionCounters>) -> Self {
        Self { config, tls, timeout: *settings.connect_timeout, retry: settings.retry, counters }
    }

    async fn connect(&self) -> Result<Link, Problem> {
        let connecting = tokio::time::timeout(self.timeout, self.config.connect(self.tls.clone()));
        let (client, mut transport) = connecting.await.map_err(|_| Problem::ConnectTimeout)??;
        let messages = stream::poll_fn(move |context| transport.poll_message(context)).boxed();
        Ok(Link { client, messages })
    }
}

/// The task of the connection.
struct Listener {
    notifications: Arc<Notifications>,
    database: Arc<Database>,
    context: Context,
}

/// Runs until its task is aborted. Connects when something waits for the first time.
pub async fn listen(notifications: Arc<Notifications>, database: Arc<Database>, connector: ListenConnector) {
    let listener = Listener { notifications, database, context: Context::internal("") };
    let mut failed = 0;
    let mut since = Instant::now();
    let mut has_looped = false;
    loop {
        if failed == 0 {
            while !listener.notifications.is_used() {
                listener.notifications.changed.notified().await;
            }
        }
        let pause = connector.retry.pause(failed);
        let connected = match connector.connect().await {
            Ok(mut link) => listener.check_loop(&mut link, has_looped).await.map(|()| link),
            Err(problem) => Err(problem.to_connect_error(pause)),
        };
        match connected {
            Ok(link) => {
                if failed > 0 {
                    tracing::info!("notifications of PostgreSQL are received again");
                }
                (failed, has_looped) = (0, true);
                listener.notifications.connected();
                let open = connector.counters.established();
                listener.receive(link).await;
                open.broke();
                drop(open);
                listener.notifications.connection_lost();
                since = Instant::now();
            }
            Err(error) => {
                connector.counters.failed();
                // Nothing waited before, so the time without a connection begins now.
                if failed == 0 && since.elapsed() > *listener.notifications.limits.settings().patience {
                    since = Instant::now();
                }
                if failed == 0 {
                    tracing::warn!(%error, "notifications of PostgreSQL can't be received; retrying until they can");
                }
                failed = failed.saturating_add(1);
                listener.notifications.connection_failed(error, since, Instant::now() + pause);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

impl Listener {
    /// Notifies this gateway itself. Behind a pooler that assigns connections to transactions, `LISTEN` succeeds, but nothing arrives.
    /// `has_looped` says whether a notification has arrived over an earlier connection.
    async fn check_loop(&self, link: &mut Link, has_looped: bool) -> Result<(), Error> {
        let channel = format!("{}check_{:016x}", self.notifications.channel_prefix, self.notifications.gateway);
        if !self.run(link, &format!("LISTEN {channel}")).await {
            return Err(crate::error::unavailable("PostgreSQL did not accept LISTEN", Duration::from_secs(1)));
        }
        if let Err(error) = self.database.query(&self.context, &NOTIFY, &[&channel]).await {
            // All connections of the pool are busy, for example. That says nothing about notifications.
            return if has_looped { Ok(()) } else { Err(error) };
        }
        let arrives = async {
            while let Some(Ok(message)) = link.messages.next().await {
                if matches!(&message, AsyncMessage::Notification(notification) if notification.channel() == channel) {
                    return true;
                }
            }
            false
        };
        match tokio::time::timeout(LOOP_TIMEOUT, arrives).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(crate::error::unavailable("the connection to PostgreSQL broke", Duration::from_secs(1))),
            Err(_) => Err(crate::error::cannot_listen()),
        }
    }

    /// Receives notifications. Returns when the connection is broken.
    async fn receive(&self, mut link: Link) {
        let mut checks = tokio::time::interval_at(tokio::time::Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        let mut is_changed = true;
        loop {
            // Not for each notification: it looks at all channels.
            let missing = if std::mem::take(&mut is_changed) { self.notifications.missing_channels() } else { Vec::new() };
            for keyspaces in missing.chunks(CHANNELS_PER_COMMAND) {
                if !self.run(&mut link, &self.command("LISTEN", keyspaces)).await {
                    return;
                }
                self.notifications.confirm(keyspaces);
            }
            tokio::select! {
                () = self.notifications.changed.notified() => is_changed = true,
                message = link.messages.next() => match message {
                    Some(Ok(message)) => self.dispatch(message).await,
                    _ => return,
                },
                _ = checks.tick() => {
                    let unused = self.notifications.remove_unused_channels();
                    if unused.is_empty() && !self.run(&mut link, "SELECT").await {
                        return;
                    }
                    for keyspaces in unused.chunks(CHANNELS_PER_COMMAND) {
                        if !self.run(&mut link, &self.command("UNLISTEN", keyspaces)).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn command(&self, command: &str, keyspaces: &[i64]) -> String {
        // The names of channels need no quotes.
        let commands: Vec<_> = keyspaces.iter().map(|keyspace| format!("{command} {}", self.notifications.channel(*keyspace))).collect();
        commands.join("; ")
    }

    /// Runs a command, and dispatches notifications while it waits for the reply. Returns false if there is no reply in time.
    async fn run(&self, link: &mut Link, command: &str) -> bool {
        let Link { client, messages } = link;
        let mut reply = std::pin::pin!(tokio::time::timeout(REPLY_TIMEOUT, client.batch_execute(command)));
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some(Ok(message)) => self.dispatch(message).await,
                    _ => return false,
                },
                reply = &mut reply => return matches!(reply, Ok(Ok(()))),
            }
        }
    }

    async fn dispatch(&self, message: AsyncMessage) {
        let AsyncMessage::Notification(notification) = message else { return };
        let Some(keyspace) = self.notifications.keyspace_of(notification.channel()) else { return };
        match payload::parse(notification.payload()) {
            Some(Notification::Changes { gateway, topics }) => {
                // The waiters of this gateway were woken when the change was made.
                if gateway != self.notifications.gateway {
                    self.notifications.wake(keyspace, &topics);
                }
            }
            Some(Notification::Message(message)) => self.notifications.deliver(keyspace, message),
            Some(Notification::LargeMessage { sequence, id, topic }) => {
                if self.notifications.has_subscribers(keyspace, &topic) {
                    match self.fetch(sequence, id).await {
                        Some(message) => self.notifications.deliver(keyspace, message),
                        None => self.notifications.report_loss(keyspace, &topic),
                    }
                }
            }
            None => tracing::debug!(channel = notification.channel(), "a notification that Prism did not send was ignored"),
        }
    }

    /// Reads a large message. Later notifications wait for it, so that messages stay in order.
    async fn fetch(&self, sequence: u64, id: i64) -> Option<Message> {
        let context = self.context.clone().with_timeout(FETCH_TIMEOUT);
        let row = self.database.query_optional(&context, &FETCH, &[&id]).await.ok()??;
        payload::decode_message(sequence, read_bytes(&row, 0))
    }
}
