//! The receiving side of a WebSocket connection.

use std::{pin::Pin, time::Duration};

use futures::{
    StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WebSocketError, Message},
};
use tokio_util::sync::CancellationToken;

use super::{Close, WebSocketIo, WebSocketMessage, sender::WebSocketSender};

/// How long a client may send nothing until it gets a ping. Short in tests, which wait for it.
pub const PING_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(40) } else { Duration::from_secs(30) };
/// How long a client may take to answer a ping. Short in tests.
pub const PONG_TIMEOUT: Duration = if cfg!(test) { Duration::from_millis(400) } else { Duration::from_secs(20) };
/// One WebSocket connection.
pub struct WebSocket<S> {
    stream: SplitStream<WebSocketStream<S>>,
    sender: WebSocketSender,
    draining: CancellationToken,
    /// When something arrived last.
    heard: Instant,
    is_pinged: bool,
    /// Is not reset with each message: when it is over, `heard` tells whether the client was silent.
    timer: Pin<Box<Sleep>>,
    end: Option<End>,
}

/// Why nothing more is received.
enum End {
    /// The client closed the connection, or it is gone.
    Client,
    /// It fails with this code.
    Failed(Close),
}

impl<S: WebSocketIo> WebSocket<S> {
    pub(super) fn new(stream: SplitStream<WebSocketStream<S>>, sender: WebSocketSender, draining: CancellationToken) -> Self {
        let timer = Box::pin(tokio::time::sleep(PING_INTERVAL));
        Self { stream, sender, draining, heard: Instant::now(), is_pinged: false, timer, end: None }
    }

    /// Returns the sender of this connection.
    pub fn sender(&self) -> WebSocketSender {
        self.sender.clone()
    }

    /// Returns the signal that the drain of the listener begins.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Returns the next message, or `None` if the connection has ended. May be dropped while it waits without losing a message.
    pub async fn receive(&mut self) -> Option<WebSocketMessage> {
        while self.end.is_none() {
            let received = tokio::select! {
                biased;
                received = self.stream.next() => received,
                () = &mut self.timer => {
                    self.check_silence();
                    continue;
                }
            };
            self.heard = Instant::now();
            self.is_pinged = false;
            match received {
                Some(Ok(Message::Text(text))) => return Some(WebSocketMessage::Text(text)),
                Some(Ok(Message::Binary(bytes))) => return Some(WebSocketMessage::Binary(bytes)),
                // The next read answers a ping or a close frame.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {}
                Some(Err(error)) => self.end = Some(failure(&error)),
                None => self.end = Some(End::Client),
            }
        }
        None
    }

    /// Sends a ping to a silent client, or gives it up.
    fn check_silence(&mut self) {
        if self.is_pinged {
            self.end = Some(End::Failed(Close::new(1002, "no answer to a ping")));
        } else if self.heard.elapsed() < PING_INTERVAL {
            self.timer.as_mut().reset(self.heard + PING_INTERVAL);
        } else {
            self.sender.ping();
            self.is_pinged = true;
            self.timer.as_mut().reset(Instant::now() + PONG_TIMEOUT);
        }
    }

    /// Sends the close frame. Returns `false` if the client has ended the connection.
    pub(super) fn close(&mut self, close: Close) -> bool {
        let close = match self.end.take() {
            Some(End::Client) => return false,
            Some(End::Failed(close)) => close,
            None => close,
        };
        self.sender.close(&close);
        true
    }

    /// Waits until the client confirms the end, or the connection fails.
    pub(super) async fn wait_for_close(&mut self) {
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    /// Returns what the connection runs on.
    pub(super) fn into_io(self, sink: SplitSink<WebSocketStream<S>, Message>) -> Option<S> {
        self.stream.reunite(sink).ok().map(WebSocketStream::into_inner)
    }
}

/// Returns how a connection ends after an error (RFC 6455, section 7.4.1).
fn failure(error: &WebSocketError) -> End {
    let (code, reason) = match error {
        WebSocketError::Protocol(_) | WebSocketError::AttackAttempt => (1002, error.to_string()),
        WebSocketError::Utf8(_) => (1007, "a text message is not valid UTF-8".to_owned()),
        WebSocketError::Capacity(_) => (1009, error.to_string()),
        _ => {
            tracing::debug!(%error, "a WebSocket connection was lost");
            return End::Client;
        }
    };
    End::Failed(Close::new(code, reason))
}
