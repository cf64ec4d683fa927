//! An HTTP server for tests, with one answer for each request.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request.
pub struct TestRequest {
    /// As `POST /introspect`.
    pub line: String,
    /// The headers, in lower case, each on a line.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl TestRequest {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(given, _)| given.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }
}

/// A server on a free port. It ends with the runtime of the test.
pub struct TestServer {
    /// As `http://127.0.0.1:1234`.
    pub url: String,
    /// The number of requests that were answered.
    pub requests: Arc<AtomicUsize>,
}

impl TestServer {
    /// Starts a server. `answer` returns the status and the body, or `None` to never answer.
    pub async fn start(answer: impl Fn(&TestRequest) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (answer, counted) = (Arc::new(answer), requests.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, counted) = (answer.clone(), counted.clone());
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let Some((status, body)) = answer(&request) else { return pending().await };
                    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        Self { url, requests }
    }

    /// Returns the number of requests that were answered.
    pub fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Reads one request.
async fn read(stream: &mut TcpStream) -> Option<TestRequest> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        text.extend_from_slice(&buffer[..count]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let request = TestRequest {
            line: line.trim_end_matches(" HTTP/1.1").to_owned(),
            headers: headers.replace("\r\n", "\n"),
            body: body.to_owned(),
        };
        if body.len() >= request.header("content-length").map_or(0, |size| size.parse().unwrap()) {
            return Some(request);
        }
    }
}
