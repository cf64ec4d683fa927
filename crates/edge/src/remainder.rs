//! What a client still sends when its answer is ready.
//!
//! HTTP/1.1 has no way to answer and refuse the rest: the connection can't go on behind it. So what is under way is read and dropped
//! first, within bounds; what is left even then is the [`Socket`](super::socket::Socket)'s business.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::socket::Unread;

/// Bytes that are read at most.
const MOST: usize = 16 << 20;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(5);
/// A client that sends nothing for so long is not blocked by sending, and reads its answer.
const PAUSE: Duration = Duration::from_millis(200);

/// The body of a request; comes back when it is dropped before its end.
pub struct Lent<B: HttpBody> {
    /// Taken at its end.
    body: Option<B>,
    lender: Option<Arc<Shared<B>>>,
}

struct Shared<B> {
    back: Mutex<Option<B>>,
    /// Whether the client was asked for the body.
    wanted: AtomicBool,
    /// What the connection is told.
    unread: Unread,
}

/// Where a body comes back to.
pub struct Remainder<B> {
    shared: Arc<Shared<B>>,
    /// The client waits to be asked before it sends (RFC 9110, section 10.1.1).
    expects: bool,
}

/// Lends the body to those who answer the request. There is nothing to care for where a stream can be reset, and where there is
/// no body.
pub fn lend<B: HttpBody>(request: Request<B>, unread: &Unread) -> (Request<Lent<B>>, Option<Remainder<B>>) {
    let expects = request.headers().contains_key(header::EXPECT);
    // What came before it has been read, or this request could not have been.
    unread.set(false);
    let none = request.version() == Version::HTTP_2 || request.body().is_end_stream();
    let shared = (!none).then(|| Arc::new(Shared { back: Mutex::new(None), wanted: AtomicBool::new(false), unread: unread.clone() }));
    let lender = shared.clone();
    (request.map(|body| Lent { body: Some(body), lender }), shared.map(|shared| Remainder { shared, expects }))
}

impl<B> Remainder<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    /// Reads and drops what is under way. A body that is still in use stays untouched.
    pub async fn skip(self) {
        if self.expects && !self.shared.wanted.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut body) = self.shared.back.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let read = async {
            let mut left = MOST;
            while left > 0 {
                match tokio::time::timeout(PAUSE, body.frame()).await {
                    Ok(Some(Ok(frame))) => left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
                    Ok(None) => {
                        self.shared.unread.set(false);
                        break;
                    }
                    Ok(Some(Err(_))) | Err(_) => break,
                }
            }
        };
        // Whatever it came to, the answer goes out now.
        let _ = tokio::time::timeout(LONGEST, read).await;
    }
}

impl<B> HttpBody for Lent<B>
where
    B: HttpBody + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Some(lender) = &this.lender {
            lender.wanted.store(true, Ordering::Relaxed);
        }
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            this.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B: HttpBody> Drop for Lent<B> {
    fn drop(&mut self) {
        if let (Some(body), Some(lender)) = (self.body.take(), &self.lender) {
            lender.unread.set(!body.is_end_stream());
            *lender.back.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
