//! The socket of a connection, with a timeout at its beginning, one for each write, and a lingering close at its end.
//!
//! Beginning: the first bytes tell the HTTP version. A client that sends none would hold its connection forever, and so would an HTTP/1.1
//! client that never ends the headers of a request. HTTP/2 has pings for that.
//!
//! Writes: a client that takes no bytes would hold its connection, and the replies for it, forever.
//!
//! End: if a socket is closed while its client still sends, the kernel resets it, and the client may lose the response
//! (RFC 9112, section 9.6). So only the sending side is closed first. Then incoming bytes are discarded, within bounds, until the client
//! closes its side.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{activity::Activity, limits::ConnectionLimits};

/// The preface of an HTTP/2 connection (RFC 9113, section 3.4). The first different byte means HTTP/1.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Maximum bytes that are discarded after the last response.
const MAX_DISCARDED_BYTES: usize = 16 << 20;
/// How long a client may take to close its side after the last response. Short in tests, which wait for it.
const LINGER: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5) };

/// Tells whether the client of a connection may still be sending bytes that are not read.
#[derive(Clone, Default)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Sets the state.
    pub fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The socket of a connection. Reading fails if the HTTP version, or the headers of an HTTP/1.1 request, do not arrive in time. Writing fails
/// if the client takes no bytes for too long. Closing waits for the client if bytes are unread.
pub struct Socket<S> {
    stream: S,
    opening: Opening,
    unread: Unread,
    write_timeout: Duration,
    /// Runs while the client takes no bytes.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Set when the sending side is closed.
    lingering: Option<Lingering>,
}

struct Opening {
    timeout: Duration,
    /// Runs while the HTTP version is not known, and while the headers of an HTTP/1.1 request are incomplete.
    timer: Option<Pin<Box<Sleep>>>,
    /// Number of requests when the timer started. The timer is over when another one begins.
    requests: usize,
    /// Number of bytes that match the preface.
    seen: usize,
    version: HttpVersion,
    activity: Activity,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HttpVersion {
    Unknown,
    One,
    Two,
}

struct Lingering {
    end: Pin<Box<Sleep>>,
    /// Bytes that may still be discarded.
    left: usize,
}

impl<S> Socket<S> {
    /// Wraps a stream. The timeout for headers applies to its first bytes, and to the headers of HTTP/1.1 requests. Requests set `unread`.
    pub fn new(stream: S, limits: &ConnectionLimits, unread: Unread, activity: Activity) -> Self {
        let timeout = limits.header_timeout;
        let timer = Some(Box::pin(tokio::time::sleep(timeout)));
        let opening = Opening { timeout, timer, requests: 0, seen: 0, version: HttpVersion::Unknown, activity };
        Self { stream, opening, unread, write_timeout: limits.write_timeout, blocked: None, lingering: None }
    }

    /// Ends a write that waits for too long.
    fn bound<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let timeout = self.write_timeout;
        let timer = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Opening {
    /// Looks at bytes that were read, and starts or stops the timer.
    fn inspect(&mut self, bytes: &[u8]) {
        if self.version == HttpVersion::Unknown {
            self.compare(bytes);
        }
        match self.version {
            HttpVersion::Unknown => {}
            HttpVersion::Two => self.timer = None,
            HttpVersion::One => {
                self.stop_if_begun();
                // No request is in progress, so these bytes belong to the headers of the next one.
                if !bytes.is_empty() && self.timer.is_none() && self.activity.is_idle() {
                    self.timer = Some(Box::pin(tokio::time::sleep(self.timeout)));
                    self.requests = self.activity.begun();
                }
            }
        }
    }

    /// Stops the timer if the request whose headers it bounds has begun.
    fn stop_if_begun(&mut self) {
        if self.version == HttpVersion::One && self.activity.begun() != self.requests {
            self.timer = None;
        }
    }

    /// Compares bytes with the preface.
    fn compare(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if PREFACE.get(self.seen) != Some(byte) {
                self.version = HttpVersion::One;
                return;
            }
            self.seen += 1;
        }
        if self.seen == PREFACE.len() {
            self.version = HttpVersion::Two;
        }
    }

    /// Tells whether the timer has ended.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.stop_if_begun();
        self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready())
    }
}

impl Lingering {
    /// Is ready when the client has closed its side, or the bounds are reached.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8 << 10];
        while self.left > 0 && self.end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer));
            let bytes = buffer.filled().len();
            if read.is_err() || bytes == 0 {
                break;
            }
            self.left = self.left.saturating_sub(bytes);
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, opening, .. } = &mut *self;
        let known = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        if read.is_pending() {
            if opening.is_late(context) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if opening.version != HttpVersion::Two {
            opening.inspect(buffer.filled().get(known..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let closed = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.bound(closed, context))?;
        }
        let Self { stream, unread, lingering, .. } = &mut *self;
        if !unread.get() {
            return Poll::Ready(Ok(()));
        }
        let lingering = lingering.get_or_insert_with(|| Lingering { end: Box::pin(tokio::time::sleep(LINGER)), left: MAX_DISCARDED_BYTES });
        lingering.poll(stream, context).map(Ok)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.bound(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(30);

    fn limits() -> ConnectionLimits {
        ConnectionLimits { header_timeout: TIMEOUT, write_timeout: TIMEOUT, ..ConnectionLimits::default() }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_times_out() {
        let (mut client, server) = duplex(64);
        let mut server = Socket::new(server, &limits(), Unread::default(), Activity::new());
        let began = std::time::Instant::now();
        // A client that takes a little from time to time is waited for.
        let reads = async {
            for _ in 0..4 {
                tokio::time::sleep(TIMEOUT / 2).await;
                client.read_exact(&mut [0; 32]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            result = server.write_all(&[0; 1000]) => result.unwrap_err(),
            () = reads => unreachable!(),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= TIMEOUT * 2);
    }

    #[tokio::test]
    async fn a_silent_client_times_out() {
        for said in [&b""[..], b"P", &PREFACE[..23]] {
            let (mut client, server) = duplex(64);
            client.write_all(said).await.unwrap();
            let mut server = Socket::new(server, &limits(), Unread::default(), Activity::new());
            let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said:?}");
        }
    }

    #[tokio::test]
    async fn there_is_no_timeout_once_the_version_is_known() {
        for said in [&b"G"[..], b"POST", PREFACE] {
            let (mut client, server) = duplex(64);
            client.write_all(said).await.unwrap();
            let activity = Activity::new();
            let mut server = Socket::new(server, &limits(), Unread::default(), activity.clone());
            // The headers of a request are complete. HTTP/2 has timeouts of its own.
            let _request = (said != PREFACE).then(|| activity.begin());
            server.read_exact(&mut vec![0; said.len()]).await.unwrap();
            let later = async {
                tokio::time::sleep(TIMEOUT * 2).await;
                client.write_all(b"!").await.unwrap();
            };
            let (read, ()) = tokio::join!(server.read_u8(), later);
            assert_eq!(read.unwrap(), b'!', "{said:?}");
        }
    }

    #[tokio::test]
    async fn headers_that_never_end_time_out_and_idle_connections_do_not() {
        let (mut client, server) = duplex(64);
        let activity = Activity::new();
        let mut server = Socket::new(server, &limits(), Unread::default(), activity.clone());
        client.write_all(b"GET").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        drop(activity.begin());
        // The first request is over, and nothing of a second one has arrived.
        assert!(tokio::time::timeout(TIMEOUT * 3, server.read_u8()).await.is_err(), "an idle connection stays open");
        client.write_all(b"P").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'P');
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// A client that still sends after its response, and then closes its side.
    async fn sends_late(mut client: tokio::io::DuplexStream) -> (String, bool) {
        let mut answer = vec![0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the sending side is closed");
        // More than fits into the pipe, so that it succeeds only if the server reads.
        let sent = client.write_all(&[b'x'; 1000]).await.is_ok();
        (String::from_utf8(answer).unwrap(), sent)
    }

    #[tokio::test]
    async fn bytes_after_the_response_are_discarded_until_the_client_closes() {
        for (left, received) in [(true, true), (false, false)] {
            let (client, server) = duplex(64);
            let unread = Unread::default();
            let mut server = Socket::new(server, &limits(), unread.clone(), Activity::new());
            unread.set(left);
            let serves = async move {
                server.write_all(b"answer").await.unwrap();
                server.shutdown().await.unwrap();
            };
            let ((answer, sent), ()) = tokio::join!(sends_late(client), serves);
            assert_eq!((&*answer, sent), ("answer", received));
        }
    }

    #[tokio::test]
    async fn discarding_ends_after_a_limit() {
        for chatty in [true, false] {
            let (mut client, server) = duplex(64 << 10);
            let unread = Unread::default();
            unread.set(true);
            let mut server = Socket::new(server, &limits(), unread, Activity::new());
            let sends = async move {
                let piece = vec![b'x'; 64 << 10];
                let mut sent = 0;
                while chatty && client.write_all(&piece).await.is_ok() {
                    sent += piece.len();
                }
                (client, sent)
            };
            // Dropped after closing, as hyper does.
            let serves = async move { server.shutdown().await.unwrap() };
            let ((_client, sent), ()) = tokio::join!(sends, serves);
            assert!(sent <= MAX_DISCARDED_BYTES + (128 << 10), "{sent}");
        }
    }
}
