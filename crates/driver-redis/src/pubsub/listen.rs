//! The task that holds the connection of the subscriptions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use redis::{
    RedisResult,
    aio::{PubSub, PubSubSink, PubSubStream},
};

use super::{super::error, hub::Hub, subscriber::Route};
use crate::link::Connector;

/// How often a connection is asked whether it is still there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Routes in one command.
const AT_ONCE: usize = 256;

/// Runs until its task is aborted. The connection is made when the first subscription comes.
pub async fn listen(hub: Arc<Hub>, connector: Connector) {
    let mut failed = 0;
    let mut since = Instant::now();
    loop {
        if failed == 0 {
            while !hub.is_wanted() {
                hub.changed.notified().await;
            }
        }
        match connect(&connector).await {
            Ok(connection) => {
                failed = 0;
                hub.connected();
                serve(&hub, connection).await;
                hub.lost();
                since = Instant::now();
            }
            Err(cause) => {
                // Nobody listened until now, so nobody has waited.
                if failed == 0 && since.elapsed() > *hub.settings().patience {
                    since = Instant::now();
                }
                let pause = connector.pause(failed);
                failed = failed.saturating_add(1);
                hub.disconnected(error::from(&cause, pause), since, Instant::now() + pause);
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

/// Returns when the connection is broken.
async fn serve(hub: &Hub, connection: PubSub) {
    let (mut sink, mut messages) = connection.split();
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        if !follow(hub, &mut sink, &mut messages).await {
            return;
        }
        tokio::select! {
            () = hub.changed.notified() => {}
            message = messages.next() => match message {
                Some(message) => hub.dispatch(&message),
                None => return,
            },
            _ = ping.tick() => {
                let mut asking = sink.clone();
                if !answered(hub, &mut messages, asking.ping::<redis::Value>()).await {
                    return;
                }
            }
        }
    }
}

/// Subscribes and unsubscribes until the connection has what is wanted; false when it is broken.
async fn follow(hub: &Hub, sink: &mut PubSubSink, messages: &mut PubSubStream) -> bool {
    let changes = hub.changes();
    for routes in changes.add.chunks(AT_ONCE) {
        let (channels, globs) = names(routes);
        let mut asking = sink.clone();
        let subscribe = async {
            if !channels.is_empty() {
                asking.subscribe(&channels).await?;
            }
            if !globs.is_empty() {
                asking.psubscribe(&globs).await?;
            }
            Ok(())
        };
        if !answered(hub, messages, subscribe).await {
            return false;
        }
        hub.confirm(routes.to_vec());
    }
    for routes in changes.remove.chunks(AT_ONCE) {
        let released = hub.release(routes);
        let (channels, globs) = names(&released);
        let mut asking = sink.clone();
        let unsubscribe = async {
            if !channels.is_empty() {
                asking.unsubscribe(&channels).await?;
            }
            if !globs.is_empty() {
                asking.punsubscribe(&globs).await?;
            }
            Ok(())
        };
        if !answered(hub, messages, unsubscribe).await {
            return false;
        }
    }
    true
}

/// Waits for an answer while messages are still given out; false when there is none in time.
async fn answered<T>(hub: &Hub, messages: &mut PubSubStream, asked: impl Future<Output = RedisResult<T>>) -> bool {
    let mut asked = std::pin::pin!(tokio::time::timeout(PING_TIMEOUT, asked));
    loop {
        tokio::select! {
            biased;
            message = messages.next() => match message {
                Some(message) => hub.dispatch(&message),
                None => return false,
            },
            answer = &mut asked => return matches!(answer, Ok(Ok(_))),
        }
    }
}

fn names(routes: &[Route]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let mut names = (Vec::new(), Vec::new());
    for route in routes {
        match route {
            Route::Channel(name) => names.0.push(&name[..]),
            Route::Glob(name) => names.1.push(&name[..]),
        }
    }
    names
}
