//! Admission: the single entry of the pipeline. Nothing of a request's body is read, no handler is called and no response is sent without
//! one of its tokens. The types enforce it:
//!
//! - A [`SealedBody`] is opened by an [`Admitted`] only.
//! - Expressions take a [`Proof`], which the tokens have.
//! - Edges return [`Finished`] responses, and only the `finish` of a token makes them. So every response is counted and logged, as the
//!   client receives it.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use http::HeaderMap;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    Authorization, Code, Context, Delivery, Error, Input, KeyedCall, Messages, Method, Namespace, Origin, Output, Peer, Protocol, Reply,
    RequestId, Share, StreamMessage,
    access::{AccessEnd, GrantedAccess, HeldPermits},
    delivery::{self, Reservation},
    idempotency::{self, OnceCall},
    log::AccessLog,
    metrics::ListenerMeters,
    observe::{CallObserver, ObservedStream},
    panic,
    permit::Permit,
    target::{ListenerTarget, Target},
};

/// A request that an edge has routed to a namespace. Nothing is known about its caller yet.
pub struct Arrival<'a> {
    /// The remote end of the connection.
    pub peer: &'a Arc<Peer>,
    /// The namespace.
    pub namespace: &'a Arc<Namespace>,
    /// Wire protocol.
    pub protocol: Protocol,
    /// What is requested, as far as it is known without the body.
    pub target: Target,
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The timeout in the header of the protocol, or the error in that header.
    pub timeout: Result<Option<Duration>, Error>,
    /// Where the request comes from.
    pub origin: Origin,
}

/// Proves that a request is observed: its response will be counted and logged.
#[derive(Clone, Copy, Debug)]
pub struct Proof(());

impl Proof {
    /// For commands that show what a definition does, without a request.
    pub const fn rehearsal() -> Self {
        Self(())
    }
}

/// The body of a request that is not admitted yet.
pub struct SealedBody<B>(B);

impl<B> SealedBody<B> {
    /// Seals a body.
    pub fn new(body: B) -> Self {
        Self(body)
    }
}

/// A response that has passed `finish`.
#[must_use]
pub struct Finished<R>(R, Delivery);

impl<R> Finished<R> {
    /// Returns the response, and what the call holds until it is delivered.
    pub fn into_parts(self) -> (R, Delivery) {
        (self.0, self.1)
    }

    /// Holds further calls until the response is delivered, because it answers them too.
    pub fn with_calls(mut self, deliveries: Vec<Delivery>) -> Self {
        self.1.others.extend(deliveries);
        self
    }

    /// Releases what the request holds now, and not when the response is delivered: the stream in the response has an admission of its own.
    pub fn released(self) -> Self {
        Self(self.0, Delivery::default())
    }

    /// Changes the form of the response, which still says the same. It is counted and logged as before.
    pub fn map<S>(self, change: impl FnOnce(R) -> S) -> Finished<S> {
        Finished(change(self.0), self.1)
    }
}

/// A request that may be served. It has been identified, is observed, and its caller is authenticated and may call the RPC; it holds a permit
/// of its namespace.
/// If it is dropped before [`finish`](Self::finish), it counts as `CANCELLED`: the client left.
pub struct Admitted<'p> {
    pub(super) tasks: &'p TaskTracker,
    pub(super) ending: &'p CancellationToken,
    pub(super) observer: CallObserver,
    /// `None`: the access to the namespace is not controlled.
    pub(super) access: Option<GrantedAccess>,
    /// `None` while a task of the call has it.
    pub(super) permit: Option<Permit>,
    /// The share in the limits of the caller; `None` if there are none.
    pub(super) share: Option<Box<Share>>,
    /// The bytes of a large reply.
    pub(super) reservation: Option<Reservation>,
    pub(super) timeout: Option<Duration>,
    pub(super) origin: Origin,
}

/// A request that the pipeline refuses. Its only use is to tell the client.
pub struct Refused {
    pub(super) observer: CallObserver,
    pub(super) error: Error,
}

/// The token of a reply that is a stream: the stream itself observes the rest of the call.
pub struct Streaming(Delivery);

/// A request that the listener answers itself, because it belongs to no namespace.
pub struct ListenerRequest<'p> {
    pub(super) meters: &'p ListenerMeters,
    pub(super) log: AccessLog,
    pub(super) peer: Arc<Peer>,
    pub(super) target: ListenerTarget,
    pub(super) request_id: RequestId,
    pub(super) began: Instant,
    /// Method and path.
    pub(super) line: (http::Method, String),
}

impl Admitted<'_> {
    /// Returns the context of the call.
    pub fn context(&self) -> &Context {
        &self.observer.context
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.observer.namespace
    }

    /// Returns the id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.observer.context.request_id
    }

    /// Returns the proof that expressions require.
    pub fn proof(&self) -> Proof {
        Proof(())
    }

    /// Opens the body of the request.
    pub fn open<B>(&self, body: SealedBody<B>) -> B {
        body.0
    }

    /// Awaits work of this request until the deadline that a unary call has.
    pub async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let deadline = deadline(&self.observer.namespace, self.observer.began, self.timeout, true);
        with_deadline(deadline, Error::deadline_exceeded, pin!(work)).await
    }

    /// Reads from the client until the deadline that a unary call has.
    pub async fn read_within_deadline<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let deadline = deadline(&self.observer.namespace, self.observer.began, self.timeout, true);
        with_deadline(deadline, Error::request_timeout, pin!(work)).await
    }

    /// Fails if the deadline that a unary call has is over. Work that never waits calls it from time to time.
    pub fn check_deadline(&self) -> Result<(), Error> {
        let deadline = deadline(&self.observer.namespace, self.observer.began, self.timeout, true);
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) { Err(Error::deadline_exceeded()) } else { Ok(()) }
    }

    /// Calls an RPC. `read` returns its messages. The order of the steps matters:
    ///
    /// 1. *Charge* what the RPC costs beyond what was taken at admission. *Authorize* the RPC, if it is not the one that was authorized at admission.
    /// 2. *Limit*: a stream needs a permit of its own kind.
    /// 3. *Deadline* around the rest: it bounds a client that sends slowly and a backend that responds slowly. Work without a waiting
    ///    caller is dropped.
    /// 4. *Read* the request, refusing a message that is too large. A client that is too slow gets an error of its own.
    /// 5. *Authorize* each message, if rules ask for fields of the request.
    /// 6. *Deduplicate* a call with an idempotency key: after the limits, so that a replayed reply needs a permit too, and in a separate
    ///    task, so that the outcome is recorded even if the caller leaves.
    /// 7. *Handle* it. A panic becomes an error. A large reply is refused if its client does not read what it has got. A stream of requests
    ///    ends when the access of its caller ends.
    pub async fn call(
        &mut self,
        method: &Arc<Method>,
        metadata: HeaderMap,
        read: Pin<&mut impl Future<Output = Result<Input, Error>>>,
    ) -> Result<Reply, Error> {
        let (key, decision) = self.prepare(method, metadata).await?;
        let span = self.observer.span();
        let end = self.end_of_requests(method);
        let Self { tasks, observer, access, permit, share, reservation, .. } = self;
        let (namespace, context) = (&observer.namespace, &observer.context);
        let (share_headers, held) = share.as_deref_mut().map(|Share { headers, held }| (headers, held)).unzip();
        // Futures are pinned where they are created, and passed by reference. A future that is passed by value would be stored twice
        // in the state of the call, which is moved for every request.
        let steps = pin!(async {
            let input = with_deadline(context.deadline, Error::request_timeout, read).await?;
            let work = pin!(async {
                input.check_size(namespace.limits.max_message_bytes)?;
                let input = match (decision, &*access) {
                    (Authorization::DependsOnRequest, Some(access)) => authorize_messages(access, namespace, context, method, input)?,
                    _ => input,
                };
                let input = observer.count_received(input);
                match key {
                    None => handle(namespace, context, method, input).await,
                    // Boxed, so that calls without a key do not reserve space for it.
                    Some(key) => Box::pin(once(tasks, namespace, context, method, key, input, (permit, held))).await,
                }
            });
            with_deadline(context.deadline, Error::deadline_exceeded, work).await
        });
        let running = pin!(span.run(steps));
        let mut reply = match end {
            None => running.await?,
            Some(end) => tokio::select! {
                reply = running => reply?,
                error = end => return Err(error),
            },
        };
        if let Output::One(message) = &reply.output {
            *reservation = delivery::reserve(&context.peer, message.len())?;
        }
        if let Some(headers) = share_headers {
            reply.headers.extend(std::mem::take(headers));
        }
        Ok(reply)
    }

    /// Calls an RPC of the namespace to answer the request. The request is still counted under its own target.
    pub async fn ask(&mut self, method: &Method, message: Bytes) -> Result<Reply, Error> {
        self.origin.check(!method.read_only)?;
        self.charge(method, true)?;
        let context = &self.observer.context;
        if let Some(access) = &self.access {
            access.authorize_with(context, &self.observer.namespace, method, &message).await?;
        }
        self.ask_for_gateway(method, message).await
    }

    /// Calls an RPC of the namespace on behalf of the gateway, whose caches must not depend on which caller comes first. The caller is not
    /// authorized for it, and must not see the reply itself.
    pub async fn ask_for_gateway(&self, method: &Method, message: Bytes) -> Result<Reply, Error> {
        let observer = &self.observer;
        self.within_deadline(handle(&observer.namespace, &observer.context, method, Input::One(message))).await
    }

    /// Calls an RPC of another namespace on behalf of the gateway. The handler does not learn who the caller is.
    pub async fn ask_namespace_for_gateway(&self, namespace: &Namespace, method: &Method, message: Bytes) -> Result<Reply, Error> {
        let Context { request_id, trace, .. } = self.context();
        let context = Context { request_id: request_id.clone(), trace: trace.clone(), ..Context::internal(namespace.name.clone()) };
        self.within_deadline(handle(namespace, &context, method, Input::One(message))).await
    }

    /// Tells whether the caller may call an RPC, as far as that does not depend on the request.
    pub fn may_call(&self, method: &Method) -> bool {
        let Self { observer, access, .. } = self;
        let may = |access: &GrantedAccess| access.control().may_call(&observer.context, &observer.namespace, method);
        access.as_ref().is_none_or(may)
    }

    /// Takes what an RPC costs beyond what was taken at admission.
    fn charge(&mut self, method: &Method, is_asked: bool) -> Result<(), Error> {
        let Some(access) = &mut self.access else { return Ok(()) };
        if let (Some(headers), Some(share)) = (access.charge(&self.observer.context, method, is_asked)?, &mut self.share) {
            share.headers = headers;
        }
        Ok(())
    }

    async fn prepare(&mut self, method: &Arc<Method>, mut metadata: HeaderMap) -> Result<(Option<idempotency::Key>, Authorization), Error> {
        self.origin.check(!method.read_only)?;
        self.charge(method, false)?;
        let observer = &mut self.observer;
        let decision = match &mut self.access {
            Some(access) => access.authorize(&observer.context, &observer.namespace, method).await?,
            None => Authorization::Granted,
        };
        let is_stream = method.client_streaming || method.server_streaming;
        if self.permit.as_ref().is_some_and(|permit| permit.is_stream != is_stream) {
            self.permit = Some(observer.namespace.acquire(is_stream)?);
        }
        observer.context.deadline = deadline(&observer.namespace, observer.began, self.timeout, !is_stream);
        observer.context.credentials.remove_from(&mut metadata);
        observer.context.metadata = metadata;
        observer.set_target(method);
        Ok((idempotency::key(&observer.namespace, method, &observer.context.metadata)?, decision))
    }

    /// Returns the end of the caller's access, for a stream of requests.
    fn end_of_requests(&self, method: &Arc<Method>) -> Option<AccessEnd> {
        self.access.as_ref().filter(|_| method.client_streaming).map(|access| self.end_of_access(access, Some(method.clone())))
    }

    fn end_of_access(&self, access: &GrantedAccess, method: Option<Arc<Method>>) -> AccessEnd {
        let context = Context { credentials: self.observer.context.credentials.clone(), ..self.observer.context.without_metadata() };
        access.end(self.observer.namespace.clone(), context, method)
    }

    /// Holds a permit of a stream instead of that of a call, because the response lasts as long as its client wants.
    pub fn become_stream(&mut self) -> Result<(), Error> {
        self.permit = Some(self.observer.namespace.acquire(true)?);
        Ok(())
    }

    /// Ends the request with the response that the client gets. `error`: what it tells the client, if it is no success.
    pub fn finish<R>(mut self, error: Option<&Error>, response: R) -> Finished<R> {
        let delivery = self.delivery();
        self.observer.end(error.map_or(Code::Ok, Error::code), error);
        Finished(response, delivery)
    }

    fn delivery(&mut self) -> Delivery {
        Delivery {
            _in_flight: self.observer.in_flight.take(),
            _permit: self.permit.take(),
            _share: self.share.take().map(|share| share.held),
            _reservation: self.reservation.take(),
            others: Vec::new(),
        }
    }

    /// Hands the request over to a stream of replies, which observes it until its end.
    pub fn stream(mut self, messages: Messages<StreamMessage>) -> (ObservedStream, Streaming) {
        // What was sent is not needed any more, and a stream may last for days.
        self.observer.context.metadata = HeaderMap::new();
        let deadline = self.observer.context.deadline;
        let delivery = self.delivery();
        let access = self.access.as_ref().map(|access| self.end_of_access(access, self.observer.target.rpc().cloned()));
        (ObservedStream::new(messages, self.observer, deadline, access, self.ending), Streaming(delivery))
    }
}

/// Authorizes every message of a request.
fn authorize_messages(
    access: &GrantedAccess,
    namespace: &Arc<Namespace>,
    context: &Context,
    method: &Arc<Method>,
    input: Input,
) -> Result<Input, Error> {
    let control = access.control();
    match input {
        Input::One(message) => {
            control.authorize_message(context, namespace, method, &message)?;
            Ok(Input::One(message))
        }
        Input::Stream(messages) => {
            let (namespace, context, method) = (namespace.clone(), context.without_metadata(), method.clone());
            Ok(Input::Stream(Box::pin(messages.map(move |message| {
                let message = message?;
                control.authorize_message(&context, &namespace, &method, &message)?;
                Ok(message)
            }))))
        }
    }
}

/// Calls the handler. A panic becomes an error.
async fn handle(namespace: &Namespace, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
    let work = std::panic::AssertUnwindSafe(namespace.handler.handle(context, method, input)).catch_unwind();
    work.await.unwrap_or_else(|payload| {
        namespace.meters.count_panic();
        Err(panic::error(&*payload))
    })
}

/// Runs a call with an idempotency key in a separate task. The task owns the permit and what is held of the caller's limits, so they stay
/// taken if the caller leaves.
async fn once(
    tasks: &TaskTracker,
    namespace: &Arc<Namespace>,
    context: &Context,
    method: &Arc<Method>,
    (store, key): idempotency::Key,
    input: Input,
    (permit, mut held): (&mut Option<Permit>, Option<&mut HeldPermits>),
) -> Result<Reply, Error> {
    let call = KeyedCall { key, method: method.clone(), message: input.bytes().await? };
    let once = OnceCall { store, namespace: namespace.clone(), context: context.clone(), call };
    let taken = (permit.take(), held.as_deref_mut().map(std::mem::take));
    let task = tasks.spawn(async move { (once.run().await, taken) }.in_current_span());
    match task.await {
        Ok((result, (returned_permit, returned_held))) => {
            *permit = returned_permit;
            if let (Some(held), Some(returned)) = (held, returned_held) {
                *held = returned;
            }
            result
        }
        Err(error) => Err(match error.try_into_panic() {
            Ok(payload) => {
                namespace.meters.count_panic();
                panic::error(&*payload)
            }
            Err(error) => Error::internal("the task of the call ended early").with_source(error),
        }),
    }
}

impl Refused {
    /// Returns the error to tell the client.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.observer.context.request_id
    }

    /// Returns the proof that the expressions of error responses require.
    pub fn proof(&self) -> Proof {
        Proof(())
    }

    /// Ends the request with the response that the client gets.
    pub fn finish<R>(self, response: R) -> Finished<R> {
        self.observer.end(self.error.code(), Some(&self.error));
        Finished(response, Delivery::default())
    }
}

impl Streaming {
    /// Ends what the edge has to do. The stream in the response observes the rest.
    pub fn finish<R>(self, response: R) -> Finished<R> {
        Finished(response, self.0)
    }
}

impl ListenerRequest<'_> {
    /// Returns the id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Returns the proof that the expressions of error responses require.
    pub fn proof(&self) -> Proof {
        Proof(())
    }

    /// Opens the body of a request to a service of the listener, such as reflection.
    pub fn open<B>(&self, body: SealedBody<B>) -> B {
        body.0
    }

    /// Ends the request with the response that the client gets. `error`: what it tells the client, if it is no success.
    pub fn finish<R>(self, error: Option<&Error>, response: R) -> Finished<R> {
        let code = error.map_or(Code::Ok, Error::code);
        self.meters.count(&self.peer.listener, self.target, code);
        self.log.write_listener_request(&self, code, self.began.elapsed(), error);
        Finished(response, Delivery::default())
    }
}

/// Returns the deadline. A unary call always has one; a stream has one if its client sets it.
fn deadline(namespace: &Namespace, began: Instant, timeout: Option<Duration>, unary: bool) -> Option<Instant> {
    let limits = &namespace.limits;
    let timeout = timeout.or(unary.then_some(limits.timeout))?;
    began.checked_add(timeout.min(limits.max_timeout))
}

/// Awaits work until the deadline. `late` makes the error if it passes before.
async fn with_deadline<T>(
    deadline: Option<Instant>,
    late: fn() -> Error,
    work: Pin<&mut impl Future<Output = Result<T, Error>>>,
) -> Result<T, Error> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(late())),
        None => work.await,
    }
}
