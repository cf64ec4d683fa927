//! The baseline without a gateway: a broadcast channel whose messages are ready frames, as Prism writes them.

use std::sync::Arc;

use futures::SinkExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
    },
};

use crate::Result;

/// Largest head of a request.
const MAX_HEAD: usize = 4096;
/// A response of Prism for a payload of 100 bytes, in JSON.
const RESPONSE: &str = concat!(
    r#"{"message":{"id":"","payload":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"#,
    r#"eHh4eHh4eHh4eHh4eHh4eHh4eA==","key":"","headers":{},"publishTime":"2026-01-01T00:00:00.000000Z","lease":"","attempt":0,"offset":"1"},"cursor":"AAAAAAAAAAI"}"#
);

/// One message, in the frames of both protocols.
struct Frames {
    event: Vec<u8>,
    message: Message,
}

impl Frames {
    fn new() -> Self {
        let event = format!("id: AAAAAAAAAAI\ndata: {RESPONSE}\n\n");
        Self { event: chunk(&event), message: Message::text(format!("{{\"id\":1,\"message\":{RESPONSE}}}")) }
    }
}

/// A chunk of a body of HTTP/1.1.
fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Serves until the process ends. Every `POST` is one message for all subscribers.
pub fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("port {}", listener.local_addr()?.port());
        let (sender, _) = broadcast::channel(256);
        loop {
            let (stream, _) = listener.accept().await?;
            let sender = sender.clone();
            tokio::spawn(async move {
                // A client that is gone ends its connection.
                let _ = connection(stream, &sender).await;
            });
        }
    })
}

async fn connection(mut stream: TcpStream, sender: &broadcast::Sender<Arc<Frames>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut head = vec![0; MAX_HEAD];
    // The handshake of WebSocket reads the head again.
    let length = stream.peek(&mut head).await?;
    let text = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    if text.starts_with("post ") {
        let _ = stream.read(&mut head).await?;
        // Nobody has subscribed yet: that is no error.
        let _ = sender.send(Arc::new(Frames::new()));
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(());
    }
    let mut messages = sender.subscribe();
    if !text.contains("upgrade: websocket") {
        let _ = stream.read(&mut head).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        stream.write_all(&chunk("retry: 2000\n\n")).await?;
        while let Ok(frames) = messages.recv().await {
            stream.write_all(&frames.event).await?;
        }
        return Ok(());
    }
    #[expect(clippy::result_large_err, reason = "the type of the library's callback")]
    let choose = |_: &Request, mut response: Response| -> std::result::Result<Response, ErrorResponse> {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("prism.v1.json"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, choose).await?;
    // What a subscriber of Prism gets before the measurement: the welcome, and the message that was there before.
    socket.send(Message::text("{}")).await?;
    socket.send(Frames::new().message).await?;
    while let Ok(frames) = messages.recv().await {
        socket.send(frames.message.clone()).await?;
    }
    Ok(())
}
