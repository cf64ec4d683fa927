//! Observes a call until it ends, which for a stream is long after its handler returned.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Instant,
};

use futures::{Stream, StreamExt as _};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{
    Code, Context, Error, Input, Messages, Method, Namespace, StreamMessage, Target, access::AccessEnd, delivery::InFlight, log::AccessLog,
    metrics::Meter, panic, span::CallSpan,
};

/// Records a call when it ends: metrics, access log and span. If it is dropped before, the call counts as `CANCELLED`, because the client
/// left, or as `INTERNAL` if a panic drops it.
pub(super) struct CallObserver {
    pub(super) namespace: Arc<Namespace>,
    pub(super) target: Target,
    pub(super) context: Context,
    pub(super) began: Instant,
    span: Span,
    /// The span that is exported; `None` if the call is not sampled.
    exported: Option<CallSpan>,
    log: AccessLog,
    /// `None` when the call is handed over to its delivery.
    pub(super) in_flight: Option<InFlight>,
    ended: bool,
}

impl CallObserver {
    pub(super) fn begin(
        namespace: Arc<Namespace>,
        target: Target,
        context: Context,
        exported: Option<CallSpan>,
        began: Instant,
        log: AccessLog,
    ) -> Self {
        let in_flight = Some(InFlight::begin(&namespace));
        // Enabled at the log level `debug`. Then each line of the log has the identifiers of the caller's trace.
        let span = tracing::debug_span!(
            target: "prism::call",
            "call",
            namespace = %context.namespace,
            method = target.name(),
            protocol = context.protocol.name(),
            trace_id = %context.trace.trace_id(),
            span_id = %context.trace.span_id(),
            request_id = %context.request_id,
        );
        Self { namespace, target, context, began, span, exported, log, in_flight, ended: false }
    }

    pub(super) fn span(&self) -> SpanScope {
        SpanScope(self.span.clone())
    }

    /// Sets the RPC, if it was not known before.
    pub(super) fn set_target(&mut self, method: &Arc<Method>) {
        if !matches!(&self.target, Target::Rpc(known) if Arc::ptr_eq(known, method)) {
            self.target = Target::Rpc(method.clone());
            self.span.record("method", self.target.name());
        }
    }

    fn meter(&self) -> Option<&Meter> {
        self.namespace.meters.meter(&self.target, self.context.protocol)
    }

    /// Counts the messages of a request stream when they are read.
    pub(super) fn count_received(&self, input: Input) -> Input {
        let Input::Stream(messages) = input else { return input };
        let Some(received) = self.meter().map(|meter| meter.received.clone()) else { return Input::Stream(messages) };
        Input::Stream(Box::pin(messages.inspect(move |item| {
            if item.is_ok() {
                received.inc();
            }
        })))
    }

    pub(super) fn end(mut self, code: Code, error: Option<&Error>) {
        self.record_end(code, error);
    }

    fn record_end(&mut self, code: Code, error: Option<&Error>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        if let Some(meter) = self.meter() {
            meter.record_end(code, took);
        }
        // After the count: a reader who sees no calls in flight sees all finished calls.
        self.in_flight = None;
        self.log.write(&self.context, &self.target, code, took, error);
        if let Some(span) = self.exported.take() {
            span.end(&self.context, &self.target, code, error);
        }
    }
}

impl Drop for CallObserver {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.namespace.meters.count_panic();
            panic::remember(&self.context.request_id);
            self.record_end(Code::Internal, Some(&panic::ended_by_panic()));
        } else {
            self.record_end(Code::Cancelled, None);
        }
    }
}

/// A span in which a future runs. Costs nothing if the span is disabled.
pub(super) struct SpanScope(Span);

impl SpanScope {
    pub(super) async fn run<F: Future>(self, future: Pin<&mut F>) -> F::Output {
        if self.0.is_disabled() { future.await } else { future.instrument(self.0).await }
    }
}

/// The message stream of a reply. Counts messages, and ends the stream at its deadline, or when the gateway or its namespace ends.
pub struct ObservedStream {
    /// `None` after the end.
    messages: Option<Messages<StreamMessage>>,
    observer: Option<CallObserver>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The end of the caller's access; `None` if it is not controlled.
    access: Option<AccessEnd>,
    ending: Pin<Box<dyn Future<Output = Error> + Send>>,
}

impl ObservedStream {
    pub(super) fn new(
        messages: Messages<StreamMessage>,
        observer: CallObserver,
        deadline: Option<Instant>,
        access: Option<AccessEnd>,
        gateway: &CancellationToken,
    ) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        let ending = end_signal(gateway.clone(), observer.namespace.retired.clone());
        Self { messages: Some(messages), observer: Some(observer), deadline, access, ending: Box::pin(ending) }
    }

    /// Ends the stream, because the edge can't render a message.
    pub fn fail(&mut self, error: &Error) {
        self.finish(error.code(), Some(error));
    }

    /// Ends the stream, because the client wants no messages (`HEAD`).
    pub fn close(mut self) {
        self.finish(Code::Ok, None);
    }

    /// Waits until the stream has to end although nobody wants its next message yet: at its deadline, or when the access of its
    /// caller, the gateway or the namespace ends. The stream is over then.
    pub async fn interrupted(&mut self) -> Error {
        let error = std::future::poll_fn(|poller| {
            if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(poller).is_ready()) {
                return Poll::Ready(Error::deadline_exceeded());
            }
            if let Some(Poll::Ready(error)) = self.access.as_mut().map(|end| end.as_mut().poll(poller)) {
                return Poll::Ready(error);
            }
            self.ending.as_mut().poll(poller)
        })
        .await;
        self.finish(error.code(), Some(&error));
        error
    }

    fn finish(&mut self, code: Code, error: Option<&Error>) {
        self.messages = None;
        if let Some(observer) = self.observer.take() {
            observer.end(code, error);
        }
    }

    fn poll_message(&mut self, poller: &mut Poller<'_>) -> Poll<Option<Result<StreamMessage, Error>>> {
        let Some(messages) = &mut self.messages else { return Poll::Ready(None) };
        // Unlike at the end of the gateway, which waits for streams that have something to send.
        if self.observer.as_ref().is_some_and(|observer| observer.namespace.retired.is_cancelled()) {
            return Poll::Ready(Some(Err(Error::namespace_changed())));
        }
        // A stream that is always ready would never poll the timer, so the clock is read.
        if self.deadline.as_ref().is_some_and(|deadline| deadline.deadline() <= tokio::time::Instant::now()) {
            return Poll::Ready(Some(Err(Error::deadline_exceeded())));
        }
        // Before the messages, so that a stream that is always ready ends too.
        if let Some(Poll::Ready(error)) = self.access.as_mut().map(|end| end.as_mut().poll(poller)) {
            return Poll::Ready(Some(Err(error)));
        }
        match panic::catch_sync(|| messages.as_mut().poll_next(poller)) {
            Ok(Poll::Pending) => {}
            Ok(item) => return item,
            Err(error) => {
                if let Some(observer) = &self.observer {
                    observer.namespace.meters.count_panic();
                }
                return Poll::Ready(Some(Err(error)));
            }
        }
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(poller).is_ready()) {
            return Poll::Ready(Some(Err(Error::deadline_exceeded())));
        }
        self.ending.as_mut().poll(poller).map(|error| Some(Err(error)))
    }
}

/// Waits until the gateway or the namespace ends. Returns the reason for the client.
async fn end_signal(gateway: CancellationToken, namespace: CancellationToken) -> Error {
    tokio::select! {
        () = gateway.cancelled() => Error::shutting_down(),
        () = namespace.cancelled() => Error::namespace_changed(),
    }
}

impl Stream for ObservedStream {
    type Item = Result<StreamMessage, Error>;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let Some(observer) = &self.observer else { return Poll::Ready(None) };
        let span = observer.span.clone();
        let _entered = span.enter();
        let item = self.poll_message(poller);
        match &item {
            Poll::Ready(Some(Ok(_))) => {
                if let Some(meter) = self.observer.as_ref().and_then(CallObserver::meter) {
                    meter.sent.inc();
                }
            }
            Poll::Ready(Some(Err(error))) => self.finish(error.code(), Some(error)),
            Poll::Ready(None) => self.finish(Code::Ok, None),
            Poll::Pending => {}
        }
        item
    }
}
