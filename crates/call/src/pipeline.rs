//! The steps that every call takes, whatever protocol it came in by.

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
    idempotency::{self, Once},
    log::AccessLog,
    observe::{Observed, Watch},
    span::Tracer,
};

/// A call as an edge hands it over: routed to a namespace and an RPC, not yet looked at.
pub struct Incoming {
    /// Wire protocol.
    pub protocol: Protocol,
    /// The RPC.
    pub method: Arc<Method>,
    /// Metadata of the caller.
    pub headers: HeaderMap,
    /// Time that the caller gives, as its protocol's header says, or what is wrong with that header.
    pub timeout: Result<Option<Duration>, Error>,
}

/// The pipeline of a gateway.
pub struct Pipeline {
    log: AccessLog,
    ending: CancellationToken,
    /// Exports the spans of calls.
    tracer: Option<Tracer>,
    /// Calls that go on without their callers.
    tasks: TaskTracker,
}

impl Pipeline {
    /// A pipeline that writes this access log. When `ending` is cancelled, streams that have nothing to send end with
    /// `UNAVAILABLE SHUTTING_DOWN`, so that a drain finishes; their clients resume elsewhere with their last cursor.
    pub fn new(log: AccessLog, ending: CancellationToken) -> Self {
        Self { log, ending, tracer: None, tasks: TaskTracker::new() }
    }

    /// Starts a span of this tracer for every call.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Option<Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Waits for the calls that go on although their callers have left. For the end of a drain: no more calls come.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes a call through all steps. The order matters:
    ///
    /// 1. *Identify* (request id, trace) comes first, so that every refusal below can be found again.
    /// 2. *Watch* (metrics, span, access log) wraps everything below, so that refusals are counted too. It ends when the
    ///    reply's last message has been sent, failed, or been dropped by a client that left.
    /// 3. *Authenticate* before anything that costs, so that strangers can't use up limits.
    /// 4. *Limit*: a permit of the namespace, held to the end of the reply.
    /// 5. *Deadline* around the rest: a client that sends slowly and a backend that answers slowly both end with it, and
    ///    the work is dropped when nobody waits for it.
    /// 6. *Read* the request, refusing a message that is too large.
    /// 7. *Do it once*, if it has an idempotency key: behind the limits, so that replies from the record cost a permit too, and
    ///    in a task of its own, so that a caller who leaves does not leave the record without an outcome.
    /// 8. *Handle* it.
    ///
    /// `read` yields the messages; it is first polled when the call has got that far.
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
        let mut watch = Watch::begin(namespace.clone(), method.clone(), &context, span, began, self.log);
        let span = watch.span();
        // Futures are pinned where they are made and lent from there: one that is handed over is kept twice in the state of the
        // call, and the state is moved about for every request.
        let result = {
            let steps = pin!(async {
                context.principal = authenticate(&context)?;
                watch.authenticated(&context.principal);
                let permit = namespace.permits.clone().try_acquire_owned().map_err(|_| too_many_calls(namespace))?;
                context.deadline = deadline(namespace, &method, began, timeout?);
                let key = idempotency::key(namespace, &method, &context.metadata)?;
                let work = pin!(async {
                    let input = read.await?;
                    limit_size(namespace, &input)?;
                    let input = watch.received(input);
                    match key {
                        None => Ok((namespace.handler.handle(&context, &method, input).await?, permit)),
                        // Boxed, so that calls without a key carry no room for it.
                        Some(key) => Box::pin(self.once(namespace, &context, &method, key, input, permit)).await,
                    }
                });
                within(context.deadline, work).await
            });
            span.run(steps).await
        };
        match result {
            Ok((mut reply, permit)) => {
                reply.output = match reply.output {
                    Output::One(bytes) => {
                        watch.end(Code::Ok, None);
                        Output::One(bytes)
                    }
                    Output::Stream(messages) => {
                        Output::Stream(Box::pin(Observed::new(messages, watch, permit, context.deadline, self.ending.clone())))
                    }
                };
                Answer { request_id, result: Ok(reply) }
            }
            Err(error) => {
                watch.end(error.code(), Some(&error));
                Answer { request_id, result: Err(error) }
            }
        }
    }
}

impl Pipeline {
    /// Does a call with an idempotency key in a task of its own. The permit goes along: a caller who leaves frees nothing.
    async fn once(
        &self,
        namespace: &Arc<Namespace>,
        context: &Context,
        method: &Arc<Method>,
        (replays, key): idempotency::Key,
        input: Input,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Reply, OwnedSemaphorePermit), Error> {
        let call = KeyedCall { key, method: method.clone(), message: input.bytes().await? };
        let once = Once { replays, namespace: namespace.clone(), context: context.clone(), call };
        let task = self.tasks.spawn(async move { (once.run().await, permit) }.in_current_span());
        let (result, permit) = task.await.map_err(|error| Error::internal("the call broke off").with_source(error))?;
        Ok((result?, permit))
    }
}

/// What a call came to.
pub struct Answer {
    /// Goes back to the caller as `x-request-id`.
    pub request_id: RequestId,
    /// The reply, or why there is none.
    pub result: Result<Reply, Error>,
}

/// No namespace asks for authentication yet, so everybody is anonymous.
#[expect(clippy::unnecessary_wraps, reason = "methods of authentication can refuse")]
fn authenticate(_context: &Context) -> Result<Arc<Principal>, Error> {
    Ok(Principal::anonymous())
}

fn limit_size(namespace: &Namespace, input: &Input) -> Result<(), Error> {
    match input {
        Input::One(bytes) if bytes.len() > namespace.limits.max_message_bytes => Err(message_too_large(namespace.limits.max_message_bytes)),
        // Edges decode streams with the same limit for each message.
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

/// A unary call always has a deadline; a stream has one if its client asks for it.
fn deadline(namespace: &Namespace, method: &Method, began: Instant, timeout: Option<Duration>) -> Option<Instant> {
    let limits = &namespace.limits;
    let unary = !method.client_streaming && !method.server_streaming;
    let timeout = timeout.or(unary.then_some(limits.timeout))?;
    began.checked_add(timeout.min(limits.max_timeout))
}

async fn within<T>(deadline: Option<Instant>, work: Pin<&mut impl Future<Output = Result<T, Error>>>) -> Result<T, Error> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(Error::deadline_exceeded())),
        None => work.await,
    }
}
