//! Calls the RPCs of fields. Each call is admitted by itself, so that limits, metrics, traces and idempotency apply to it as to a call over
//! any other protocol.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;

use super::frontend::GatewayNamespaces;
use crate::{documents, metadata, request::Serving};
use prism_call::{
    Admitted, Arrival, Delivery, Error, Input, Messages, Namespace, ObservedStream, Origin, Output, Page, Peer, Pipeline, Protocol,
    REQUEST_ID, Target,
};
use prism_graphql::{FieldContext, FieldRpc, RpcCaller, StreamPurpose};

/// Where calls come from.
#[derive(Clone)]
pub struct CallSource {
    pipeline: Arc<Pipeline>,
    peer: Arc<Peer>,
    origin: Origin,
}

impl CallSource {
    /// Returns the source of the calls of a request.
    pub fn of(serving: Serving<'_>) -> Self {
        Self { pipeline: serving.pipeline.clone(), peer: serving.connection.peer.clone(), origin: serving.origin }
    }

    /// Admits a request or a call.
    pub async fn admit(
        &self,
        namespace: &Arc<Namespace>,
        headers: &HeaderMap,
        target: Target,
        timeout: Result<Option<Duration>, Error>,
    ) -> Result<Admitted<'_>, Error> {
        let Self { pipeline, peer, origin } = self;
        let arrival = Arrival { peer, namespace, protocol: Protocol::Graphql, target, headers, timeout, origin: *origin };
        pipeline.admit(arrival).await.map_err(|refused| {
            let error = refused.error().for_client();
            drop(refused.finish(()).into_parts());
            error
        })
    }
}

/// The namespaces of the fields of a request.
pub enum FieldNamespaces {
    /// All fields are of one.
    One(Arc<Namespace>),
    /// Each field says which one it is of.
    Gateway(Arc<GatewayNamespaces>),
}

impl FieldNamespaces {
    fn find(&self, name: Option<&str>) -> Result<&Arc<Namespace>, Error> {
        match (self, name) {
            (Self::One(namespace), _) => Ok(namespace),
            (Self::Gateway(namespaces), Some(name)) => namespaces.get(name).ok_or_else(Error::namespace_changed),
            (Self::Gateway(_), None) => Err(Error::internal("a field of a gateway has no namespace")),
        }
    }
}

/// Calls RPCs for the fields of one request.
pub struct FieldCaller {
    calls: CallSource,
    namespaces: FieldNamespaces,
    /// The metadata of the calls, with the id and the trace of the request.
    headers: HeaderMap,
    /// When the request as a whole has to end. Streams have no deadline of their own.
    deadline: Option<Instant>,
    /// Whether the client has not asked for a timeout, so that those of the namespaces apply.
    has_default_timeout: bool,
    /// What expressions of definitions may use.
    context: FieldContext,
    /// What the calls hold until the response is delivered.
    deliveries: Mutex<Vec<Delivery>>,
}

impl FieldCaller {
    /// Creates the caller of a request. `timeout` is the one that its client asks for.
    pub fn new(
        calls: CallSource,
        namespaces: FieldNamespaces,
        admitted: &Admitted<'_>,
        headers: &HeaderMap,
        timeout: Option<Duration>,
    ) -> Self {
        let mut headers = headers.clone();
        metadata::remove_hop_by_hop(&mut headers);
        headers.insert(REQUEST_ID, admitted.request_id().to_header());
        admitted.context().trace.inject(&mut headers);
        let limits = &admitted.namespace().limits;
        let deadline = Instant::now().checked_add(timeout.unwrap_or(limits.timeout).min(limits.max_timeout));
        let context = FieldContext {
            proof: admitted.proof(),
            namespace: admitted.namespace().name.clone(),
            request_id: admitted.request_id().clone(),
        };
        Self { calls, namespaces, headers, deadline, has_default_timeout: timeout.is_none(), context, deliveries: Mutex::new(Vec::new()) }
    }

    /// Returns which RPCs are hidden from a caller who reads the schema: for each namespace, those that it may not call. The schema of a gateway shows
    /// what all of its namespaces can do, so a caller whom one of them does not let read that is refused.
    pub async fn check_reader(&self, admitted: &Admitted<'_>) -> Result<Vec<Vec<String>>, Error> {
        let FieldNamespaces::Gateway(namespaces) = &self.namespaces else { return Ok(vec![documents::hidden_rpcs(admitted)]) };
        let mut hidden = Vec::with_capacity(namespaces.len());
        for namespace in namespaces.values() {
            let admitted = self.calls.admit(namespace, &self.headers, Target::Page(Page::Document), Ok(self.remaining())).await?;
            hidden.push(documents::hidden_rpcs(&admitted));
            drop(admitted.finish(None, ()).into_parts());
        }
        Ok(hidden)
    }

    /// Returns what the calls hold until the response is delivered.
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.deliveries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    async fn admit(&self, rpc: FieldRpc<'_>, purpose: Option<StreamPurpose>) -> Result<Admitted<'_>, Error> {
        let namespace = self.namespaces.find(rpc.namespace)?;
        let timeout = match purpose {
            Some(StreamPurpose::Subscription) => None,
            Some(StreamPurpose::Page) | None => {
                self.remaining().map(|remaining| if self.has_default_timeout { remaining.min(namespace.limits.timeout) } else { remaining })
            }
        };
        self.calls.admit(namespace, &self.headers, Target::Rpc(rpc.method.clone()), Ok(timeout)).await
    }

    fn hold(&self, delivery: Delivery) {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    }
}

#[async_trait]
impl RpcCaller for FieldCaller {
    async fn call(&self, rpc: FieldRpc<'_>, message: Bytes) -> Result<Bytes, Error> {
        let mut admitted = self.admit(rpc, None).await?;
        let read = pin!(async { Ok(Input::One(message)) });
        let result = match admitted.call(rpc.method, metadata::with_derived_key(&self.headers, rpc.path), read).await {
            Ok(reply) => match reply.output {
                Output::One(message) => Ok(message.to_bytes()),
                Output::Stream(_) => Err(Error::internal("a unary call was answered with a stream")),
            },
            Err(error) => Err(error),
        };
        let (result, delivery) = match result {
            Ok(message) => admitted.finish(None, Ok(message)).into_parts(),
            Err(error) => {
                let told = error.for_client();
                admitted.finish(Some(&error), Err(told)).into_parts()
            }
        };
        self.hold(delivery);
        result
    }

    fn context(&self) -> FieldContext {
        self.context.clone()
    }

    async fn open(&self, rpc: FieldRpc<'_>, message: Bytes, purpose: StreamPurpose) -> Result<Messages<Bytes>, Error> {
        let mut admitted = self.admit(rpc, Some(purpose)).await?;
        let read = pin!(async { Ok(Input::One(message)) });
        let result = match admitted.call(rpc.method, metadata::with_derived_key(&self.headers, rpc.path), read).await {
            Ok(reply) => match reply.output {
                Output::Stream(messages) => Ok(messages),
                Output::One(_) => Err(Error::internal("a stream was answered with one message")),
            },
            Err(error) => Err(error),
        };
        match result {
            Ok(messages) => {
                let (messages, streaming) = admitted.stream(messages);
                let ((), delivery) = streaming.finish(()).into_parts();
                Ok(Box::pin(HeldStream { messages, _delivery: delivery }))
            }
            Err(error) => {
                let told = error.for_client();
                drop(admitted.finish(Some(&error), ()).into_parts());
                Err(told)
            }
        }
    }
}

/// A stream that holds the permit of its call.
struct HeldStream {
    messages: ObservedStream,
    _delivery: Delivery,
}

impl Stream for HeldStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, poller: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        std::pin::Pin::new(&mut self.messages).poll_next(poller).map_ok(Bytes::from)
    }
}
