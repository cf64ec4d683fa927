//! Observes a call until it ends, which for a stream is long after its handler returned.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Poller, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{Instrument as _, Span};

use super::{Code, Context, Error, Input, Messages, Method, Namespace, Principal, log::AccessLog, span::CallSpan};

/// Records a call when it ends: metrics, access log and span. If dropped before, the call counts as `CANCELLED`: the client left.
pub(super) struct CallObserver {
    namespace: Arc<Namespace>,
    method: Arc<Method>,
    context: Context,
    began: Instant,
    span: Span,
    /// The span that is exported; `None` if the call is not sampled.
    exported: Option<CallSpan>,
    log: AccessLog,
    ended: bool,
}

impl CallObserver {
    pub(super) fn begin(
        namespace: Arc<Namespace>,
        method: Arc<Method>,
        context: &Context,
        exported: Option<CallSpan>,
        began: Instant,
        log: AccessLog,
    ) -> Self {
        namespace.meters.in_flight.inc();
        // Enabled at the log level `debug`. Then each line of the log has the identifiers of the caller's trace.
        let span = tracing::debug_span!(
            target: "prism::call",
            "call",
            namespace = %context.namespace,
            method = %method.name,
            protocol = context.protocol.name(),
            trace_id = %context.trace.trace_id(),
            span_id = %context.trace.span_id(),
            request_id = %context.request_id,
        );
        Self { namespace, method, context: context.without_metadata(), began, span, exported, log, ended: false }
    }

    pub(super) fn span(&self) -> SpanScope {
        SpanScope(self.span.clone())
    }

    pub(super) fn authenticated(&mut self, principal: &Arc<Principal>) {
        self.context.principal = principal.clone();
    }

    /// Counts the messages of a request stream when they are read.
    pub(super) fn received(&self, input: Input) -> Input {
        match (input, self.namespace.meters.meter(&self.method, self.context.protocol)) {
            (Input::Stream(messages), Some(meter)) => {
                let received = meter.received.clone();
                Input::Stream(Box::pin(messages.inspect(move |item| {
                    if item.is_ok() {
                        received.inc();
                    }
                })))
            }
            (input, _) => input,
        }
    }

    pub(super) fn end(mut self, code: Code, error: Option<&Error>) {
        self.finish(code, error);
    }

    fn finish(&mut self, code: Code, error: Option<&Error>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        if let Some(meter) = self.namespace.meters.meter(&self.method, self.context.protocol) {
            meter.record_end(code, took);
        }
        // After the count: a reader who sees no calls in flight sees all finished calls.
        self.namespace.meters.in_flight.dec();
        self.log.write(&self.context, &self.method, code, took, error);
        if let Some(span) = self.exported.take() {
            span.end(&self.context, &self.method, code, error);
        }
    }
}

impl Drop for CallObserver {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, None);
    }
}

/// A span in which a future runs. Costs nothing if the span is disabled.
pub(super) struct SpanScope(Span);

impl SpanScope {
    pub(super) async fn run<F: Future>(self, future: Pin<&mut F>) -> F::Output {
        if self.0.is_disabled() { future.await } else { future.instrument(self.0).await }
    }
}

/// The message stream of a reply. Counts messages, holds the permit of the call, and ends the stream at its deadline.
pub(super) struct ObservedStream {
    messages: Messages<Bytes>,
    observer: Option<CallObserver>,
    deadline: Option<Pin<Box<Sleep>>>,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

impl ObservedStream {
    pub(super) fn new(
        messages: Messages<Bytes>,
        observer: CallObserver,
        permit: OwnedSemaphorePermit,
        deadline: Option<Instant>,
        ending: CancellationToken,
    ) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        Self { messages, observer: Some(observer), deadline, ending: Box::pin(ending.cancelled_owned()), _permit: permit }
    }
}

impl Stream for ObservedStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let Some(observer) = &self.observer else { return Poll::Ready(None) };
        let _entered = observer.span.clone().entered();
        // A stream that is always ready would never poll the timer, so the clock is read.
        let late = self.deadline.as_ref().is_some_and(|deadline| deadline.deadline() <= tokio::time::Instant::now());
        let mut item = if late { Poll::Ready(Some(Err(Error::deadline_exceeded()))) } else { self.messages.as_mut().poll_next(poller) };
        if item.is_pending() && self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(poller).is_ready()) {
            item = Poll::Ready(Some(Err(Error::deadline_exceeded())));
        }
        if item.is_pending() && self.ending.as_mut().poll(poller).is_ready() {
            item = Poll::Ready(Some(Err(Error::shutting_down())));
        }
        match &item {
            Poll::Ready(Some(Ok(_))) => {
                if let Some(meter) =
                    self.observer.as_ref().and_then(|observer| observer.namespace.meters.meter(&observer.method, observer.context.protocol))
                {
                    meter.sent.inc();
                }
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(observer) = self.observer.take() {
                    observer.end(error.code(), Some(error));
                }
            }
            Poll::Ready(None) => {
                if let Some(observer) = self.observer.take() {
                    observer.end(Code::Ok, None);
                }
            }
            Poll::Pending => {}
        }
        item
    }
}
