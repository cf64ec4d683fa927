//! The messages that wait to be sent on a WebSocket connection.

use std::sync::Arc;

use futures::{Sink, SinkExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::{
    Bytes, Error as WebSocketError, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{Close, WebSocketMessage};
use prism_call::Delivery;

/// Maximum bytes of messages that wait for the socket of a connection. One message may be larger.
pub const QUEUE_BYTES: u32 = 256 << 10;
/// What a message takes of the queue beside its bytes, so that empty messages are bounded too.
const MESSAGE_OVERHEAD: usize = 128;

/// Sends messages on one connection. All clones share one queue.
#[derive(Clone)]
pub struct WebSocketSender {
    queue: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
}

/// The connection has ended.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// A message on its way to the socket.
struct Queued {
    message: Message,
    _room: Option<OwnedSemaphorePermit>,
    /// Ends a call when the socket has taken its reply.
    _delivery: Delivery,
}

/// The other end of the queue.
pub struct SendQueue {
    queue: mpsc::UnboundedReceiver<Queued>,
    room: Arc<Semaphore>,
}

/// Creates the queue of a connection.
pub fn queue() -> (WebSocketSender, SendQueue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
    (WebSocketSender { queue: sender, room: room.clone() }, SendQueue { queue: receiver, room })
}

impl WebSocketSender {
    /// Sends a message, after waiting for room in the queue. `delivery` is dropped when the socket has taken the message.
    pub async fn send(&self, message: WebSocketMessage, delivery: Delivery) -> Result<(), Closed> {
        let message = match message {
            WebSocketMessage::Text(text) => Message::Text(text),
            WebSocketMessage::Binary(bytes) => Message::Binary(bytes),
        };
        let size = u32::try_from(message.len() + MESSAGE_OVERHEAD).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        let room = self.room.clone().acquire_many_owned(size).await.map_err(|_| Closed)?;
        self.queue.send(Queued { message, _room: Some(room), _delivery: delivery }).map_err(|_| Closed)
    }

    /// Sends a ping. There is at most one at a time.
    pub(super) fn ping(&self) {
        self.send_control(Message::Ping(Bytes::new()));
    }

    /// Sends the close frame, after which nothing is sent.
    pub(super) fn close(&self, close: &Close) {
        let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.as_str().into() };
        self.send_control(Message::Close(Some(frame)));
    }

    fn send_control(&self, message: Message) {
        // An error means that the connection has ended.
        let _ = self.queue.send(Queued { message, _room: None, _delivery: Delivery::default() });
    }
}

impl SendQueue {
    /// Writes messages until the close frame was written, or the connection fails.
    pub async fn write<S>(mut self, sink: &mut S) -> Result<(), WebSocketError>
    where
        S: Sink<Message, Error = WebSocketError> + Unpin,
    {
        // Messages that wait are written together. They keep their room until the socket has taken them.
        let mut written = Vec::new();
        while let Some(first) = self.queue.recv().await {
            let mut next = Some(first);
            let mut is_closing = false;
            while let Some(mut queued) = next {
                is_closing |= queued.message.is_close();
                let message = std::mem::replace(&mut queued.message, Message::Ping(Bytes::new()));
                sink.feed(message).await?;
                written.push(queued);
                next = if is_closing { None } else { self.queue.try_recv().ok() };
            }
            sink.flush().await?;
            if is_closing {
                return Ok(());
            }
            written.clear();
        }
        Ok(())
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        // Wakes senders that wait for room.
        self.room.close();
    }
}
