//! The part of a request body that is unread when the response is ready.
//!
//! An HTTP/1.1 server can't refuse the rest of a body and keep the connection. So the rest is read and discarded first, within bounds.
//! The [`Socket`](super::socket::Socket) handles what is left after that.
//!
//! HTTP/2 can reset a stream. But some clients, such as curl 7.88, don't show the response if the reset comes while they send. So the rest of a
//! short body is read here, too.

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

/// Maximum length of a body of HTTP/2 that is read instead of being reset.
const MAX_SHORT_BYTES: u64 = 64 << 10;
/// Maximum bytes that are discarded.
const MAX_DISCARDED_BYTES: usize = 16 << 20;
/// Maximum time for discarding.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that sends nothing for this time is not blocked in sending, so it reads its response.
const SILENCE_TIMEOUT: Duration = Duration::from_millis(200);

/// The body of a request. It returns to its [`Remainder`] if it is dropped before its end.
pub struct TrackedBody<B: HttpBody> {
    /// `None` after its end.
    body: Option<B>,
    owner: Option<Arc<Shared<B>>>,
}

struct Shared<B> {
    returned: Mutex<Option<B>>,
    /// Whether the body was polled, so that hyper sent `100 Continue` if the client waits for it.
    polled: AtomicBool,
    /// Tells the connection whether the body has unread bytes. `None` for HTTP/2, where bodies don't hold each other up.
    unread: Option<Unread>,
}

/// Gets the body back when it is dropped before its end.
pub struct Remainder<B> {
    shared: Arc<Shared<B>>,
    /// Whether the client waits for `100 Continue` before it sends (RFC 9110, section 10.1.1).
    expects_continue: bool,
}

/// Tracks the body of a request. Returns no remainder for requests without a body, and for those of HTTP/2 whose body is long or of unknown length.
pub fn track<B: HttpBody>(request: Request<B>, unread: &Unread) -> (Request<TrackedBody<B>>, Option<Remainder<B>>) {
    let expects_continue = request.headers().contains_key(header::EXPECT);
    // All earlier requests were read, because this request could be read.
    unread.set(false);
    let is_short = request.body().size_hint().upper().is_some_and(|bytes| bytes <= MAX_SHORT_BYTES);
    let is_http2 = request.version() == Version::HTTP_2;
    let needs_none = request.body().is_end_stream() || is_http2 && !is_short;
    let unread = (!is_http2).then(|| unread.clone());
    let shared = (!needs_none).then(|| Arc::new(Shared { returned: Mutex::new(None), polled: AtomicBool::new(false), unread }));
    let owner = shared.clone();
    (request.map(|body| TrackedBody { body: Some(body), owner }), shared.map(|shared| Remainder { shared, expects_continue }))
}

impl<B> Remainder<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    /// Reads and discards the rest of the body. Does nothing if the body is still in use.
    pub async fn discard(self) {
        if self.expects_continue && !self.shared.polled.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut body) = self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let read = async {
            let mut left = MAX_DISCARDED_BYTES;
            while left > 0 {
                match tokio::time::timeout(SILENCE_TIMEOUT, body.frame()).await {
                    Ok(Some(Ok(frame))) => left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
                    Ok(None) => {
                        self.shared.unread.iter().for_each(|unread| unread.set(false));
                        break;
                    }
                    Ok(Some(Err(_))) | Err(_) => break,
                }
            }
        };
        // The response is sent now, whether or not the whole body was read.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, read).await;
    }
}

impl<B> HttpBody for TrackedBody<B>
where
    B: HttpBody + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Some(owner) = &this.owner {
            owner.polled.store(true, Ordering::Relaxed);
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

impl<B: HttpBody> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        if let (Some(body), Some(owner)) = (self.body.take(), &self.owner) {
            owner.unread.iter().for_each(|unread| unread.set(!body.is_end_stream()));
            *owner.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
