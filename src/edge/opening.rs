//! The beginning of a connection, where nobody else watches the clock.
//!
//! Which HTTP a client speaks is told by its first bytes. From then on the versions have timeouts of their own; before, a client
//! that says nothing would hold its connection for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4); a byte that differs makes it HTTP/1.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that fails to be read when it is not clear in time which HTTP it speaks.
pub struct Opening<S> {
    stream: S,
    /// Gone when it is clear.
    timeout: Option<Pin<Box<Sleep>>>,
    /// Bytes that have fitted the preface.
    seen: usize,
}

impl<S> Opening<S> {
    pub fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout: Some(Box::pin(tokio::time::sleep(timeout))), seen: 0 }
    }

    fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if PREFACE.get(self.seen) != Some(byte) {
                self.timeout = None;
                return;
            }
            self.seen += 1;
        }
        if self.seen == PREFACE.len() {
            self.timeout = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let known = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(timeout) = &mut this.timeout {
            if read.is_pending() && timeout.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            this.look(buffer.filled().get(known..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
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

    #[tokio::test]
    async fn who_does_not_say_what_it_speaks_is_not_waited_for() {
        for said in [&b""[..], b"P", &PREFACE[..23]] {
            let (mut client, server) = duplex(64);
            client.write_all(said).await.unwrap();
            let mut server = Opening::new(server, TIMEOUT);
            let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said:?}");
        }
    }

    #[tokio::test]
    async fn afterwards_there_is_no_hurry() {
        for said in [&b"G"[..], b"POST", PREFACE] {
            let (mut client, server) = duplex(64);
            client.write_all(said).await.unwrap();
            let mut server = Opening::new(server, TIMEOUT);
            server.read_exact(&mut vec![0; said.len()]).await.unwrap();
            let later = async {
                tokio::time::sleep(TIMEOUT * 2).await;
                client.write_all(b"!").await.unwrap();
            };
            let (read, ()) = tokio::join!(server.read_u8(), later);
            assert_eq!(read.unwrap(), b'!', "{said:?}");
        }
    }
}
