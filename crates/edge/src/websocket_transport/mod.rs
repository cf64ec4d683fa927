//! WebSocket connections (RFC 6455, and RFC 8441 over HTTP/2), for any protocol over them.
//!
//! A protocol implements [`WebSocketProtocol`] and passes it to [`accept`]. This module has the rest:
//!
//! - **Handshake**: it checks the headers and the page that asks, and chooses a subprotocol.
//! - **Sending**: messages wait in a queue of at most 256 KiB. A sender waits for room, so a client that reads slowly slows down only
//!   its own calls. If its socket takes nothing for the write timeout of the listener, the connection ends.
//! - **Receiving** never waits for sending.
//! - **Pings**: a connection without messages for 30 seconds gets a ping, and is closed if nothing arrives for 20 seconds.
//! - **End**: the close codes of RFC 6455, section 7.4.1, for what goes wrong, and the protocol's own code otherwise.
//! - **Drain**: the connection is a task of its listener. The protocol gets the signal, finishes its calls, and returns.

mod handshake;
mod sender;
mod socket;

#[cfg(test)]
mod tests;

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Uri, request::Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Utf8Bytes,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    request::{Response, Serving},
    rest,
};
use prism_call::ListenerTarget;

pub use handshake::is_handshake;
pub use sender::WebSocketSender;
pub use socket::WebSocket;

/// Bytes of the read buffer of a connection. Idle connections are many, so it is small.
const READ_BUFFER: usize = 4 << 10;
/// How long a client may take to read what is left and to confirm the end. Short in tests, which wait for it.
const CLOSE_TIMEOUT: Duration = if cfg!(test) { Duration::from_millis(400) } else { Duration::from_secs(5) };
/// Messages are written together up to this size.
const WRITE_BUFFER: usize = 16 << 10;

/// A protocol over WebSocket. A value is one connection.
pub trait WebSocketProtocol: Send + 'static {
    /// Serves the connection, and returns how it ends.
    ///
    /// # Behavior
    /// - It calls [`WebSocket::receive`] all the time, and does not wait for [`WebSocketSender::send`] in between. Otherwise pings are not
    ///   answered, and two ends that only send would wait for each other.
    /// - When [`WebSocket::draining`] is cancelled, it accepts no further calls, finishes those that are open, and returns.
    /// - When `receive` returns `None`, the connection has ended, and what it returns is not sent.
    fn run(self, socket: &mut WebSocket<impl WebSocketIo>) -> impl Future<Output = Close> + Send;
}

/// What a WebSocket connection runs on.
pub trait WebSocketIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> WebSocketIo for T {}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketMessage {
    /// Valid UTF-8.
    Text(Utf8Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// How a connection ends: the code and the reason of its close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// 1000 to 1011 of RFC 6455, section 7.4.1, or a code of the protocol from 4000 to 4999.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

impl Close {
    /// Creates the end of a connection. A reason that is too long is cut.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        const MAX_BYTES: usize = 123;
        let mut reason = reason.into();
        if reason.len() > MAX_BYTES {
            let end = (0..=MAX_BYTES).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or_default();
            reason.truncate(end);
        }
        Self { code, reason }
    }

    /// 1000: both ends have what they wanted.
    pub fn normal() -> Self {
        Self::new(1000, "")
    }

    /// 1001: the gateway shuts down. Its clients connect again.
    pub fn going_away() -> Self {
        Self::new(1001, "the gateway shuts down; connect again")
    }
}

/// What a listener offers at a path.
#[derive(Clone, Copy)]
pub struct WebSocketOffer {
    /// The subprotocols. The first one of the client's list that is among them is chosen.
    pub subprotocols: &'static [&'static str],
    /// Maximum bytes of a message of the client.
    pub max_message_bytes: usize,
}

/// A handshake that succeeded.
pub struct Handshake {
    /// The subprotocol.
    pub subprotocol: &'static str,
    /// The URI of the request.
    pub uri: Uri,
    /// The headers of the request. The header `authorization` may come from the subprotocol `prism.bearer.<token>`, because browsers can't
    /// set headers.
    pub headers: HeaderMap,
}

/// Answers a handshake. If it succeeds, `protocol` makes the protocol of the new connection, which runs as a task of the listener.
pub fn accept<P: WebSocketProtocol>(
    serving: Serving<'_>,
    mut parts: Parts,
    offer: WebSocketOffer,
    protocol: impl FnOnce(Handshake) -> P,
) -> Response {
    let request = serving.answer_as(ListenerTarget::WebSocket, &parts);
    let accepted = match handshake::check(&mut parts, offer.subprotocols, serving.origin) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let response = refusal.respond(rest::failed(request.request_id(), refusal.error()));
            return request.finish(Some(refusal.error()), response);
        }
    };
    let connection = serving.connection;
    let (upgraded, draining) = (connection.upgraded(), connection.tasks.draining().clone());
    // Of an HTTP/1.1 connection nothing is left to read, and the close frame must not be lost.
    let unread = accepted.is_http1.then(|| connection.unread.clone());
    let protocol = protocol(Handshake { subprotocol: accepted.subprotocol, uri: parts.uri, headers: parts.headers });
    let stream = accepted.upgrade;
    connection.tasks.spawn(async move {
        let _upgraded = upgraded;
        match stream.await {
            Ok(stream) => {
                if let Some(unread) = unread {
                    unread.set(true);
                }
                serve(TokioIo::new(stream), protocol, offer.max_message_bytes, draining).await;
            }
            Err(error) => tracing::debug!(%error, "a connection ended before it was upgraded to WebSocket"),
        }
    });
    request.finish(None, accepted.response)
}

/// Serves a connection until it ends.
pub async fn serve<S: WebSocketIo>(io: S, protocol: impl WebSocketProtocol, max_message_bytes: usize, draining: CancellationToken) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes));
    let (mut sink, stream) = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split();
    let (sender, queue) = sender::queue();
    let mut socket = WebSocket::new(stream, sender, draining);
    {
        let mut writing = pin!(queue.write(&mut sink));
        let close = tokio::select! {
            // The socket has failed.
            _ = &mut writing => None,
            close = protocol.run(&mut socket) => Some(close),
        };
        if close.is_some_and(|close| socket.close(close)) {
            let confirmed = futures::future::join(writing, socket.wait_for_close());
            // A client that does not confirm it is not waited for.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, confirmed).await;
        }
    }
    if let Some(mut io) = socket.into_io(sink) {
        // The socket itself bounds the time. If the client is gone, there is nothing to do.
        let _ = io.shutdown().await;
    }
}
