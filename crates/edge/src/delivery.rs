//! Delivers the bodies of responses: a call is over when its client has taken the last byte.
//!
//! Every chunk that a connection gets carries a guard, which is dropped with it: after the socket has taken its bytes, or when the connection
//! ends. The guard of the last chunk holds the call ([`Delivery`]). So nothing of it is released because hyper or h2 have buffered it.
//!
//! A client that takes nothing is not waited for:
//!
//! - If the socket takes no bytes for the write timeout, the connection ends ([`Socket`](super::socket::Socket)).
//! - If a long reply over HTTP/2 makes no progress for that time, its stream is reset ([`StreamExecutor`]).
//! - If a short reply over HTTP/2 is not taken for much longer, the connection ends ([`Activity::stalled`]).

use std::{
    cell::OnceCell,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use super::{
    Body, BoxError,
    activity::{ActiveRequest, Activity, UnsentChunk},
};
use prism_call::Delivery;

/// Maximum bytes of a chunk. A client that takes one in each write timeout makes progress.
const CHUNK_BYTES: usize = 64 * 1024;
/// Maximum bytes of a stream that are handed to a connection and not taken by the client.
const STREAM_BYTES: usize = 64 * 1024;

/// What ends when a response is delivered: the activity of the connection, and the call.
pub struct Held {
    _request: ActiveRequest,
    _delivery: Delivery,
}

impl Held {
    /// Holds both.
    pub fn new(request: ActiveRequest, delivery: Delivery) -> Self {
        Self { _request: request, _delivery: delivery }
    }
}

/// Who holds the call until the response is delivered.
#[derive(Default)]
enum Holder {
    /// Another chunk.
    #[default]
    Other,
    /// The last chunk of a short reply.
    Short { _held: Held },
    /// All chunks of a long reply.
    Long(Arc<LongReply>),
}

/// A reply of many chunks.
pub struct LongReply {
    /// Bytes that were handed to the connection and that the client has not taken.
    unsent: AtomicUsize,
    /// Number of chunks that the client has taken.
    taken: AtomicUsize,
    /// Wakes the body when a chunk was taken.
    body: AtomicWaker,
    timeout: Duration,
    _held: Held,
}

impl LongReply {
    /// Tells whether a stream may hand over another chunk. If not, it is woken later.
    fn has_room(&self, context: &Context<'_>) -> bool {
        if self.unsent.load(Ordering::Acquire) < STREAM_BYTES {
            return true;
        }
        self.body.register(context.waker());
        self.unsent.load(Ordering::Acquire) < STREAM_BYTES
    }
}

/// Bytes of a body on their way to the client.
pub struct SentBytes {
    bytes: Bytes,
    holder: Holder,
    _chunk: Option<UnsentChunk>,
    size: usize,
}

impl Drop for SentBytes {
    fn drop(&mut self) {
        if let Holder::Long(reply) = &self.holder {
            reply.unsent.fetch_sub(self.size, Ordering::Release);
            reply.taken.fetch_add(1, Ordering::Relaxed);
            reply.body.wake();
        }
    }
}

impl Buf for SentBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// The body of a response, in chunks of bounded size that hold the call until they are taken.
pub struct DeliveredBody {
    body: Body,
    /// The rest of a chunk.
    rest: Bytes,
    holder: Holder,
    activity: Activity,
}

impl DeliveredBody {
    /// Wraps a body. A long reply over HTTP/2 ends if it makes no progress for `timeout`.
    pub fn new(body: Body, activity: Activity, held: Held, timeout: Duration) -> Self {
        let is_long = matches!(body, Body::Stream(_)) || body.size_hint().lower() > CHUNK_BYTES as u64;
        let holder = if is_long {
            let reply =
                LongReply { unsent: AtomicUsize::new(0), taken: AtomicUsize::new(0), body: AtomicWaker::new(), timeout, _held: held };
            let reply = Arc::new(reply);
            // HTTP/1.1 has no streams: there the timeout of the socket is enough.
            let _ = HTTP2_STREAM.try_with(|stream| stream.set(reply.clone()));
            Holder::Long(reply)
        } else {
            Holder::Short { _held: held }
        };
        Self { body, rest: Bytes::new(), holder, activity }
    }

    /// Returns the next chunk of the rest.
    fn next_chunk(&mut self) -> SentBytes {
        let bytes = if self.rest.len() <= CHUNK_BYTES { std::mem::take(&mut self.rest) } else { self.rest.split_to(CHUNK_BYTES) };
        let size = bytes.len();
        let is_last = self.rest.is_empty() && !self.body.has_data();
        let holder = match &self.holder {
            Holder::Long(reply) => {
                reply.unsent.fetch_add(size, Ordering::Relaxed);
                Holder::Long(reply.clone())
            }
            Holder::Short { .. } if is_last => std::mem::take(&mut self.holder),
            Holder::Short { .. } | Holder::Other => Holder::Other,
        };
        SentBytes { bytes, holder, _chunk: Some(self.activity.begin_chunk()), size }
    }
}

impl HttpBody for DeliveredBody {
    type Data = SentBytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<SentBytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let (Holder::Long(reply), Body::Stream(_)) = (&this.holder, &this.body)
                && !reply.has_room(context)
            {
                return Poll::Pending;
            }
            if !this.rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(this.next_chunk()))));
            }
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(frame) => return Poll::Ready(frame.into_trailers().ok().map(|trailers| Ok(Frame::trailers(trailers)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper asks before the first chunk.
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

tokio::task_local! {
    /// The long reply of the HTTP/2 stream that a task serves.
    static HTTP2_STREAM: OnceCell<Arc<LongReply>>;
}

/// Runs the HTTP/2 streams of connections as tasks, and ends those whose clients take nothing.
#[derive(Clone, Copy)]
pub struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(HTTP2_STREAM.scope(OnceCell::new(), run_stream(stream)));
    }
}

/// Runs until the stream ends, or until its client has taken nothing for too long. Dropping the stream resets it.
async fn run_stream(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut timer = None;
    std::future::poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        HTTP2_STREAM.with(|reply| reply.get().map_or(Poll::Pending, |reply| poll_stalled(reply, &mut timer, context)))
    })
    .await;
}

/// Waits for the next progress of a reply.
struct ProgressTimer {
    end: Pin<Box<Sleep>>,
    /// Number of chunks that were taken when the timer started.
    taken: usize,
}

/// Is ready when the client has taken nothing for the timeout, although there is something to take.
fn poll_stalled(reply: &LongReply, timer: &mut Option<ProgressTimer>, context: &mut Context<'_>) -> Poll<()> {
    if reply.unsent.load(Ordering::Relaxed) == 0 {
        *timer = None;
        return Poll::Pending;
    }
    let taken = || reply.taken.load(Ordering::Relaxed);
    let timer = timer.get_or_insert_with(|| ProgressTimer { end: Box::pin(tokio::time::sleep(reply.timeout)), taken: taken() });
    loop {
        ready!(timer.end.as_mut().poll(context));
        if timer.taken == taken() {
            tracing::debug!("a stream was reset, because its client took nothing of the reply");
            return Poll::Ready(());
        }
        timer.taken = taken();
        timer.end.as_mut().reset(Instant::now() + reply.timeout);
    }
}
