//! The steps of every call, independent of its protocol.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    Code, Context, Error, Input, KeyedCall, Method, Namespace, Output, Principal, Protocol, Reply, RequestId, TraceContext,
    idempotency::{self, OnceCall},
    log::AccessLog,
    observe::{CallObserver, ObservedStream},
    span::Tracer,
};

/// A call from an edge: routed to a namespace and an RPC, and not checked yet.
pub struct Incoming {
    /// Wire protocol.
    pub protocol: Protocol,
    /// The RPC.
    pub method: Arc<Method>,
    /// Metadata of the caller.
    pub headers: HeaderMap,
    /// The timeout in the header of the protocol, or the error in that header.
    pub timeout: Result<Option<Duration>, Error>,
}

/// The pipeline of a gateway.
pub struct Pipeline {
    log: AccessLog,
    ending: CancellationToken,
    /// Exports the spans of calls.
    tracer: Option<Tracer>,
    /// Calls that continue after their callers left.
    tasks: TaskTracker,
}

impl Pipeline {
    /// Creates a pipeline with this access log. When `ending` is cancelled, streams that have nothing to send end with
    /// `UNAVAILABLE SHUTTING_DOWN`, so that a drain finishes. Their clients resume on another gateway with their last cursor.
    pub fn new(log: AccessLog, ending: CancellationToken) -> Self {
        Self { log, ending, tracer: None, tasks: TaskTracker::new() }
    }

    /// Starts a span of this tracer for every call.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Option<Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Waits for the calls that continue after their callers left. Call it at the end of a drain, when no new calls arrive.
    pub async fn wait_for_background_calls(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs all steps of a call. The order matters:
    ///
    /// 1. *Identify* (request id, trace) comes first, so that every refusal below has them.
    /// 2. *Observe* (metrics, span, access log) wraps everything below, so that refusals are counted too. It ends when the
    ///    last message of the reply is sent, fails, or is dropped because the client left.
    /// 3. *Authenticate* before anything expensive, so that unauthenticated callers can't exhaust limits.
    /// 4. *Limit*: acquire a permit of the namespace, and hold it until the reply ends.
    /// 5. *Deadline* around the rest: it bounds a client that sends slowly and a backend that responds slowly. Work without a
    ///    waiting caller is dropped.
    /// 6. *Read* the request, refusing a message that is too large.
    /// 7. *Deduplicate* a call with an idempotency key: after the limits, so that a replayed reply needs a permit too, and in a
    ///    separate task, so that the outcome is recorded even if the caller leaves.
    /// 8. *Handle* it.
    ///
    /// `read` returns the messages. It is not polled before step 6.
    pub async fn call(
        &self,
        namespace: &Arc<Namespace>,
        incoming: Incoming,
        read: Pin<&mut impl Future<Output = Result<Input, Error>>>,
    ) -> Answer {
        let Incoming { protocol, method, headers, timeout } = incoming;
        let began = Instant::now();
        let (trace, span) = match &self.tracer {
            Some(tracer) => tracer.start(&headers),
            None => (TraceContext::from_headers(&headers), None),
        };
        let mut context = Context {
            namespace: namespace.name.clone(),
            request_id: RequestId::from_headers(&headers),
            principal: Principal::anonymous(),
            deadline: None,
            trace,
            protocol,
            metadata: headers,
        };
        let request_id = context.request_id.clone();
        let mut observer = CallObserver::begin(namespace.clone(), method.clone(), &context, span, began, self.log);
        let span = observer.span();
        // Futures are pinned where they are created, and passed by reference. A future that is passed by value would be stored twice
        // in the state of the call, which is moved for every request.
        let result = {
            let steps = pin!(async {
                context.principal = authenticate(&context)?;
                observer.authenticated(&context.principal);
                let permit = namespace.permits.clone().try_acquire_owned().map_err(|_| too_many_calls(namespace))?;
                context.deadline = deadline(namespace, &method, began, timeout?);
                let key = idempotency::key(namespace, &method, &context.metadata)?;
                let work = pin!(async {
                    let input = read.await?;
                    check_size(namespace, &input)?;
                    let input = observer.received(input);
                    match key {
                        None => Ok((namespace.handler.handle(&context, &method, input).await?, permit)),
                        // Boxed, so that calls without a key do not reserve space for it.
                        Some(key) => Box::pin(self.once(namespace, &context, &method, key, input, permit)).await,
                    }
                });
                with_deadline(context.deadline, work).await
            });
            span.run(steps).await
        };
        match result {
            Ok((mut reply, permit)) => {
                reply.output = match reply.output {
                    Output::One(bytes) => {
                        observer.end(Code::Ok, None);
                        Output::One(bytes)
                    }
                    Output::Stream(messages) => {
                        Output::Stream(Box::pin(ObservedStream::new(messages, observer, permit, context.deadline, self.ending.clone())))
                    }
                };
                Answer { request_id, result: Ok(reply) }
            }
            Err(error) => {
                observer.end(error.code(), Some(&error));
                Answer { request_id, result: Err(error) }
            }
        }
    }
}

impl Pipeline {
    /// Runs a call with an idempotency key in a separate task. The task owns the permit, so it stays taken if the caller leaves.
    async fn once(
        &self,
        namespace: &Arc<Namespace>,
        context: &Context,
        method: &Arc<Method>,
        (store, key): idempotency::Key,
        input: Input,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Reply, OwnedSemaphorePermit), Error> {
        let call = KeyedCall { key, method: method.clone(), message: input.bytes().await? };
        let once = OnceCall { store, namespace: namespace.clone(), context: context.clone(), call };
        let task = self.tasks.spawn(async move { (once.run().await, permit) }.in_current_span());
        let (result, permit) = task.await.map_err(|error| Error::internal("the task of the call failed").with_source(error))?;
        Ok((result?, permit))
    }
}

/// The result of a call.
pub struct Answer {
    /// Returned to the caller as `x-request-id`.
    pub request_id: RequestId,
    /// The reply or the error.
    pub result: Result<Reply, Error>,
}

/// Returns the anonymous caller: no namespace requires authentication yet.
#[expect(clippy::unnecessary_wraps, reason = "authentication methods can refuse a caller")]
fn authenticate(_context: &Context) -> Result<Arc<Principal>, Error> {
    Ok(Principal::anonymous())
}

fn check_size(namespace: &Namespace, input: &Input) -> Result<(), Error> {
    match input {
        Input::One(bytes) if bytes.len() > namespace.limits.max_message_bytes => Err(message_too_large(namespace.limits.max_message_bytes)),
        // Edges apply the same limit to each message of a stream.
        _ => Ok(()),
    }
}

/// `RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE`
pub fn message_too_large(limit: usize) -> Error {
    Error::wire(
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
        format!("the request message has more than {limit} bytes, the limit of this namespace (limits.max_message_bytes)"),
    )
    .with("limit", limit.to_string())
}

fn too_many_calls(namespace: &Namespace) -> Error {
    let limit = namespace.limits.max_concurrent_calls;
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_CALLS",
        format!("{limit} calls are in flight in the namespace {}, its limit (limits.max_concurrent_calls); try again", namespace.name),
    )
    .with_retry_after(Duration::from_millis(100))
}

/// Returns the deadline. A unary call always has one; a stream has one if its client sets it.
fn deadline(namespace: &Namespace, method: &Method, began: Instant, timeout: Option<Duration>) -> Option<Instant> {
    let limits = &namespace.limits;
    let unary = !method.client_streaming && !method.server_streaming;
    let timeout = timeout.or(unary.then_some(limits.timeout))?;
    began.checked_add(timeout.min(limits.max_timeout))
}

async fn with_deadline<T>(deadline: Option<Instant>, work: Pin<&mut impl Future<Output = Result<T, Error>>>) -> Result<T, Error> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(Error::deadline_exceeded())),
        None => work.await,
    }
}
