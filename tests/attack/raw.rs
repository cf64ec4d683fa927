//! Clients that send bytes which no library would send.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a client waits for more of an answer.
const SILENCE: Duration = Duration::from_secs(1);

/// Sends bytes over HTTP/1.1, and returns everything that the gateway answers until it closes the connection or is silent.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The gateway may refuse it before everything is sent.
    let _ = stream.write_all(bytes.as_ref()).await;
    answer(&mut stream).await
}

/// Returns everything that the gateway answers until it closes the connection or is silent.
pub async fn answer(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 16 << 10];
    while let Ok(Ok(read @ 1..)) = timeout(SILENCE, stream.read(&mut piece)).await {
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Returns the statuses of the responses in an answer.
pub fn statuses(answer: &str) -> Vec<u16> {
    answer.split("HTTP/1.1 ").skip(1).filter_map(|response| response.get(..3)?.parse().ok()).collect()
}

/// Types of HTTP/2 frames (RFC 9113, section 6).
pub mod frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// An HTTP/2 connection that does what it is told.
pub struct Http2 {
    pub stream: TcpStream,
    received: Vec<u8>,
}

/// A frame that was received.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Http2 {
    /// Connects with these settings.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut connection = Self { stream, received: Vec::new() };
        let settings = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat());
        connection.send(&encode(frame::SETTINGS, 0, 0, &settings.collect::<Vec<_>>())).await;
        connection
    }

    /// Sends bytes. Returns false if the gateway has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Returns the next frame, or `None` after a time without one, or at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut piece = [0; 16 << 10];
            match timeout(SILENCE, self.stream.read(&mut piece)).await {
                Ok(Ok(read @ 1..)) => self.received.extend_from_slice(&piece[..read]),
                _ => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.received.get(..9)?;
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let kind = head[3];
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.received.get(9..9 + size)?.to_vec();
        self.received.drain(..9 + size);
        Some(Frame { kind, stream, payload })
    }
}

/// Encodes an HTTP/2 frame.
pub fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![size[1], size[2], size[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Encodes a list of headers as HPACK literals that are not indexed (RFC 7541, section 6.2.2).
pub fn hpack(headers: &[(&str, &str)]) -> Vec<u8> {
    fn text(text: &str, out: &mut Vec<u8>) {
        // An integer with a prefix of 7 bits, without the Huffman bit.
        match text.len() {
            short @ 0..127 => out.push(u8::try_from(short).unwrap()),
            long => {
                out.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    out.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                out.push(u8::try_from(rest).unwrap());
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        text(name, &mut out);
        text(value, &mut out);
    }
    out
}

/// Encodes a request without a body.
pub fn request(stream: u32, method: &str, path: &str, host: &str) -> Vec<u8> {
    let headers = hpack(&[(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]);
    encode(frame::HEADERS, END_HEADERS | END_STREAM, stream, &headers)
}
