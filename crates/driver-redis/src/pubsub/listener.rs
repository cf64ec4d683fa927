//! The task that keeps the connection of all subscriptions open, and receives their messages.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use redis::{
    RedisResult,
    aio::{PubSub, PubSubSink, PubSubStream},
};

use super::{hub::Hub, subscriber::ChannelSelector};
use crate::{connection::Connector, error};

/// How often the connection is checked.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the reply to a command may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Most channels or patterns in one command.
const CHANNELS_PER_COMMAND: usize = 256;

/// Runs until its task is aborted. Connects when the first subscription is opened.
pub async fn listen(hub: Arc<Hub>, connector: Connector) {
    let mut failed = 0;
    let mut since = Instant::now();
    loop {
        if failed == 0 {
            while !hub.has_subscribers() {
                hub.changed.notified().await;
            }
        }
        match connect(&connector).await {
            Ok(connection) => {
                failed = 0;
                hub.connected();
                let open = connector.counters().established();
                receive(&hub, connection).await;
                open.broke();
                drop(open);
                hub.connection_lost();
                since = Instant::now();
            }
            Err(cause) => {
                connector.counters().failed();
                // There were no subscriptions before, so the time without a connection starts now.
                if failed == 0 && since.elapsed() > *hub.settings().patience {
                    since = Instant::now();
                }
                let pause = connector.pause(failed);
                failed = failed.saturating_add(1);
                hub.connection_failed(error::map_redis_error(&cause, pause), since, Instant::now() + pause);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn connect(connector: &Connector) -> RedisResult<PubSub> {
    match tokio::time::timeout(connector.timeout(), connector.client().get_async_pubsub()).await {
        Ok(connected) => connected,
        Err(elapsed) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed).into()),
    }
}

/// Receives messages. Returns when the connection is broken.
async fn receive(hub: &Hub, connection: PubSub) {
    let (mut sink, mut messages) = connection.split();
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut is_changed = true;
    loop {
        // Not for each message: it looks at all channels.
        if std::mem::take(&mut is_changed) && !update_channels(hub, &mut sink, &mut messages).await {
            return;
        }
        tokio::select! {
            () = hub.changed.notified() => is_changed = true,
            message = messages.next() => match message {
                Some(message) => hub.dispatch(&message),
                None => return,
            },
            _ = ping.tick() => {
                let mut commands = sink.clone();
                if !run_command(hub, &mut messages, commands.ping::<redis::Value>()).await {
                    return;
                }
            }
        }
    }
}

/// Subscribes to the channels that are wanted, and unsubscribes from the others. Returns false if the connection is broken.
async fn update_channels(hub: &Hub, sink: &mut PubSubSink, messages: &mut PubSubStream) -> bool {
    let changes = hub.changes();
    for chunk in changes.add.chunks(CHANNELS_PER_COMMAND) {
        let (channels, patterns) = names(chunk);
        let mut commands = sink.clone();
        let subscribe = async {
            if !channels.is_empty() {
                commands.subscribe(&channels).await?;
            }
            if !patterns.is_empty() {
                commands.psubscribe(&patterns).await?;
            }
            Ok(())
        };
        if !run_command(hub, messages, subscribe).await {
            return false;
        }
        hub.confirm(chunk.to_vec());
    }
    for chunk in changes.remove.chunks(CHANNELS_PER_COMMAND) {
        let released = hub.release(chunk);
        let (channels, patterns) = names(&released);
        let mut commands = sink.clone();
        let unsubscribe = async {
            if !channels.is_empty() {
                commands.unsubscribe(&channels).await?;
            }
            if !patterns.is_empty() {
                commands.punsubscribe(&patterns).await?;
            }
            Ok(())
        };
        if !run_command(hub, messages, unsubscribe).await {
            return false;
        }
    }
    true
}

/// Runs a command, and dispatches messages while it waits for the reply. Returns false if there is no reply in time.
async fn run_command<T>(hub: &Hub, messages: &mut PubSubStream, command: impl Future<Output = RedisResult<T>>) -> bool {
    let mut command = std::pin::pin!(tokio::time::timeout(REPLY_TIMEOUT, command));
    loop {
        tokio::select! {
            biased;
            message = messages.next() => match message {
                Some(message) => hub.dispatch(&message),
                None => return false,
            },
            reply = &mut command => return matches!(reply, Ok(Ok(_))),
        }
    }
}

/// The names of channels, and the glob patterns.
fn names(selectors: &[ChannelSelector]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let mut names = (Vec::new(), Vec::new());
    for selector in selectors {
        match selector {
            ChannelSelector::Channel(name) => names.0.push(&name[..]),
            ChannelSelector::Pattern(name) => names.1.push(&name[..]),
        }
    }
    names
}
