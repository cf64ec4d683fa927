//! Calls RPCs of a namespace: capabilities, deadlines, retries and resumed streams.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{Stream, stream};
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use prost::Message;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Request, Streaming, client::Grpc, metadata::MetadataMap, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{
    CallOptions, Capabilities, Code, Connection, Effect, Error, Operation, Replies, Rpc, Support,
    connection::new_idempotency_key,
    resume::{ResumableReply, ResumableRequest},
};

/// Maximum size of a reply message: 64 MiB.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// Calls the RPCs of one namespace. The clients of patterns use it.
#[derive(Clone, Debug)]
pub struct Caller {
    connection: Connection,
    namespace: Arc<str>,
    capabilities: Arc<Capabilities>,
    options: CallOptions,
}

impl Caller {
    pub(crate) fn new(connection: &Connection, namespace: &str) -> Self {
        Self { connection: connection.clone(), namespace: namespace.into(), capabilities: Arc::default(), options: CallOptions::default() }
    }

    /// Sets the capabilities. Fails if the namespace has another pattern.
    pub(crate) fn with_capabilities(mut self, pattern: &str, capabilities: Option<Capabilities>) -> Result<Self, Error> {
        let capabilities = capabilities.unwrap_or_default();
        if capabilities.pattern != pattern {
            let message = format!("the namespace {} has the pattern {}, not {pattern}", self.namespace, capabilities.pattern);
            return Err(Error::new(Code::FailedPrecondition, "OTHER_PATTERN", message));
        }
        self.capabilities = Arc::new(capabilities);
        Ok(self)
    }

    pub(crate) fn with(&self, options: CallOptions) -> Self {
        Self { options, ..self.clone() }
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn support(&self, rpc: &str) -> Support {
        let known = self.capabilities.operations.iter().find(|operation| operation.rpc == rpc);
        known.map_or(Support::Unspecified, Operation::support)
    }

    /// Fails if the namespace does not support an RPC, without a request.
    fn check(&self, rpc: &Rpc) -> Result<(), Error> {
        if self.support(rpc.name) != Support::Unavailable {
            return Ok(());
        }
        let operation = self.capabilities.operations.iter().find(|operation| operation.rpc == rpc.name);
        let lacking = operation.map(|operation| operation.interface.as_str()).unwrap_or_default();
        let message = format!("the namespace {} does not support {}: its backend lacks {lacking}", self.namespace, rpc.name);
        Err(Error::new(Code::Unimplemented, "CAPABILITY_UNAVAILABLE", message))
    }

    /// Calls an RPC with one request and one reply.
    pub(crate) async fn unary<Q, R>(&self, rpc: &Rpc, request: Q) -> Result<R, Error>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.check(rpc)?;
        let deadline = self.deadline(Some(self.connection.settings.timeout));
        let key = self.idempotency_key(rpc);
        let repeats = rpc.effect != Effect::Writes || key.is_some();
        self.repeat(deadline, repeats, || async {
            let mut client = self.ready().await?;
            let request = self.request(request.clone(), deadline, key.as_ref());
            let reply = client.unary(request, PathAndQuery::from_static(rpc.path), ProstCodec::<Q, R>::default()).await;
            reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
        })
        .await
    }

    /// Calls an RPC whose replies are a stream. It is repeated until the first reply, if it only reads.
    pub(crate) async fn server_stream<Q, R>(&self, rpc: &Rpc, request: Q) -> Result<Replies<R>, Error>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.check(rpc)?;
        let deadline = self.deadline(None);
        let streaming = self.repeat(deadline, rpc.effect == Effect::Reads, || self.open(rpc, request.clone(), deadline)).await?;
        Ok(Replies::new(received(streaming)))
    }

    /// Calls an RPC whose replies are a stream with cursors. If the stream is interrupted, it continues after the last cursor.
    pub(crate) async fn resumable<Q, R>(&self, rpc: &'static Rpc, request: Q) -> Result<Replies<R>, Error>
    where
        Q: ResumableRequest,
        R: ResumableReply,
    {
        self.check(rpc)?;
        let deadline = self.deadline(None);
        let streaming = self.repeat(deadline, true, || self.open::<Q, R>(rpc, request.clone(), deadline)).await?;
        let state = Resumed { caller: self.clone(), rpc, request, deadline, streaming: Some(streaming), received: 0, stuck: false };
        Ok(Replies::new(stream::try_unfold(state, Resumed::next)))
    }

    /// Calls an RPC whose requests are a stream. It is not repeated.
    pub(crate) async fn client_stream<Q, R>(&self, rpc: &Rpc, requests: impl Stream<Item = Q> + Send + 'static) -> Result<R, Error>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        self.check(rpc)?;
        let mut client = self.ready().await?;
        let request = self.request(requests, self.deadline(None), None);
        let reply = client.client_streaming(request, PathAndQuery::from_static(rpc.path), ProstCodec::<Q, R>::default()).await;
        reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
    }

    /// Calls an RPC with a stream in each direction. It is not repeated.
    pub(crate) async fn duplex<Q, R>(&self, rpc: &Rpc, requests: impl Stream<Item = Q> + Send + 'static) -> Result<Replies<R>, Error>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        self.check(rpc)?;
        let mut client = self.ready().await?;
        let request = self.request(requests, self.deadline(None), None);
        let reply = client.streaming(request, PathAndQuery::from_static(rpc.path), ProstCodec::<Q, R>::default()).await;
        let streaming = reply.map_err(|status| Error::from_status(&status))?.into_inner();
        Ok(Replies::new(received(streaming)))
    }

    async fn open<Q, R>(&self, rpc: &Rpc, request: Q, deadline: Option<Instant>) -> Result<Streaming<R>, Error>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut client = self.ready().await?;
        let request = self.request(request, deadline, None);
        let reply = client.server_streaming(request, PathAndQuery::from_static(rpc.path), ProstCodec::<Q, R>::default()).await;
        reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
    }

    /// Repeats work while it fails for a transient reason, if that is allowed.
    async fn repeat<T, W>(&self, deadline: Option<Instant>, repeats: bool, work: impl Fn() -> W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let mut attempt = 1;
        loop {
            let result = match deadline {
                None => work().await,
                Some(deadline) => timeout_at(deadline, work()).await.unwrap_or_else(|_| Err(Error::deadline_exceeded())),
            };
            let error = match result {
                Err(error) if repeats && error.is_transient() => error,
                other => return other,
            };
            let Some(pause) = self.connection.settings.retry.pause(attempt, &error) else { return Err(error) };
            // There is no time for another attempt.
            if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
                return Err(error);
            }
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Error> {
        let mut client = Grpc::new(self.connection.channel.clone()).max_decoding_message_size(MAX_REPLY_BYTES);
        client.ready().await.map_err(|error| Error::connection_lost(&error))?;
        Ok(client)
    }

    fn deadline(&self, default: Option<Duration>) -> Option<Instant> {
        self.options.timeout.or(default).and_then(|timeout| Instant::now().checked_add(timeout))
    }

    fn idempotency_key(&self, rpc: &Rpc) -> Option<HeaderValue> {
        if rpc.effect == Effect::Reads {
            return None;
        }
        let generated = || if self.connection.settings.idempotency_keys { new_idempotency_key() } else { None };
        self.options.idempotency_key.clone().or_else(generated)
    }

    fn request<T>(&self, message: T, deadline: Option<Instant>, key: Option<&HeaderValue>) -> Request<T> {
        let mut headers = HeaderMap::new();
        headers.extend(self.connection.settings.metadata.clone());
        headers.extend(self.options.metadata.clone());
        if let Ok(namespace) = HeaderValue::try_from(&*self.namespace) {
            headers.insert("x-prism-namespace", namespace);
        }
        if let Some(key) = key {
            headers.insert("idempotency-key", key.clone());
        }
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        if let Some(deadline) = deadline {
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        request
    }
}

/// A stream that continues after the last cursor.
struct Resumed<Q, R> {
    caller: Caller,
    rpc: &'static Rpc,
    /// The request, with the last cursor.
    request: Q,
    deadline: Option<Instant>,
    streaming: Option<Streaming<R>>,
    /// Replies since the last cursor was set.
    received: u32,
    /// Whether the last reply has no cursor, so that the stream can't continue after it.
    stuck: bool,
}

impl<Q: ResumableRequest, R: ResumableReply> Resumed<Q, R> {
    async fn next(mut self) -> Result<Option<(R, Self)>, Error> {
        let mut attempt = 0;
        loop {
            let error = match &mut self.streaming {
                Some(streaming) => match streaming.message().await {
                    Ok(None) => return Ok(None),
                    Ok(Some(reply)) => {
                        self.stuck = reply.cursor().is_empty();
                        if !self.stuck {
                            self.request.set_cursor(reply.cursor());
                        }
                        self.received = self.received.saturating_add(1);
                        return Ok(Some((reply, self)));
                    }
                    Err(status) => Error::from_status(&status),
                },
                None => match self.caller.open(self.rpc, self.request.clone(), self.deadline).await {
                    Ok(streaming) => {
                        self.streaming = Some(streaming);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            self.streaming = None;
            let is_over = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
            if self.stuck || is_over || !is_interruption(&error) {
                return Err(error);
            }
            attempt += 1;
            let Some(pause) = self.caller.connection.settings.retry.pause(attempt, &error) else { return Err(error) };
            if !self.request.lower_limit(std::mem::take(&mut self.received)) {
                return Ok(None);
            }
            sleep(pause).await;
        }
    }
}

/// Whether a stream was interrupted, and may continue on another connection. A gateway that is killed may end it with a bare status; other
/// errors of a gateway have a reason.
fn is_interruption(error: &Error) -> bool {
    let bare = matches!(error.code(), Code::Unknown | Code::Internal | Code::Cancelled) && error.reason().is_empty();
    error.is_transient() || bare
}

fn received<R: Message + 'static>(streaming: Streaming<R>) -> impl Stream<Item = Result<R, Error>> + Send + 'static {
    stream::try_unfold(streaming, |mut streaming| async move {
        let reply = streaming.message().await.map_err(|status| Error::from_status(&status))?;
        Ok(reply.map(|reply| (reply, streaming)))
    })
}
