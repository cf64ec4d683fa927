//! A client that counts what it receives.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::Result;

/// What begins the data of an event. It is in no other part of the stream.
const DATA: &[u8] = b"data: ";

/// How a client is connected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Events,
    WebSocket,
    WebSocketWithoutCall,
}

/// How far the subscribers are.
#[derive(Default)]
pub struct Progress {
    /// When messages were published, by number.
    published: Mutex<Vec<Instant>>,
    delivered: AtomicUsize,
    changed: Notify,
    /// Milliseconds of each delivery.
    pub times: Mutex<Vec<f64>>,
}

impl Progress {
    /// Publishing of the next message begins.
    pub fn begin(&self, now: Instant) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).push(now);
    }

    pub fn delivered(&self) -> usize {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Waits for this number of deliveries.
    pub async fn reached(&self, wanted: usize) {
        loop {
            let changed = self.changed.notified();
            if self.delivered() >= wanted {
                return;
            }
            changed.await;
        }
    }

    /// Counts a delivery. `number` counts the messages of the subscriber.
    fn count(&self, number: usize) {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner).get(number).copied();
        if let Some(published) = published {
            let took = published.elapsed().as_secs_f64() * 1000.0;
            self.times.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

/// A connection that has subscribed.
pub enum Subscriber {
    Events(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

/// Opens a connection, and waits until it has subscribed.
pub async fn open(port: u16, protocol: Protocol) -> Result<Subscriber> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    if protocol == Protocol::Events {
        let request =
            "GET /billing/v1/topics/eu/messages?start=START_LATEST HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.windows(6).any(|part| part == b"retry:") {
            match stream.read(&mut buffer).await? {
                0 => return Err(format!("no events: {}", String::from_utf8_lossy(&head)).into()),
                count => head.extend_from_slice(&buffer[..count]),
            }
        }
        return Ok(Subscriber::Events(stream));
    }
    let mut request = format!("ws://127.0.0.1:{port}/billing/websocket").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("prism.v1.json"));
    let (mut socket, _) = client_async(request, stream).await?;
    socket.next().await.ok_or("no welcome")??;
    if protocol == Protocol::WebSocket {
        let call = r#"{"id":1,"call":{"method":"Subscribe","credits":1000000},"message":{"topic":"eu"}}"#;
        socket.send(Message::text(call)).await?;
        socket.next().await.ok_or("no first message")??;
    }
    Ok(Subscriber::WebSocket(Box::new(socket)))
}

impl Subscriber {
    /// Counts what arrives until the connection ends.
    pub async fn run(self, progress: Arc<Progress>) {
        let mut number = 0;
        let mut count = || {
            progress.count(number);
            number += 1;
        };
        match self {
            Self::Events(mut stream) => {
                let (mut buffer, mut matched) = ([0; 2048], 0);
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    for byte in &buffer[..length] {
                        // The first byte of the text is nowhere else in it, so a match that fails begins here or later.
                        matched = if *byte == DATA[matched] { matched + 1 } else { usize::from(*byte == DATA[0]) };
                        if matched == DATA.len() {
                            matched = 0;
                            count();
                        }
                    }
                }
            }
            Self::WebSocket(mut socket) => {
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        count();
                    }
                }
            }
        }
    }
}
