//! One call of a connection.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderMap;
use tokio::sync::{Semaphore, mpsc};

use super::{
    error, frame,
    open_calls::{Gateway, OpenCalls, REQUEST_CREDITS, UnreadMessage},
};
use crate::{
    codec::{Codec, RpcMessages},
    websocket_transport::WebSocketSender,
};
use prism_call::{
    Admitted, Arrival, Delivery, Error, Input, ListenerTarget, Messages, Method, Namespace, Output, Protocol, Reply, RequestId, Target,
    Trailers, panic, proto::websocket::v1::ServerFrame,
};

/// Credits for request messages are given back in portions.
const CREDIT_PORTION: u32 = REQUEST_CREDITS / 2;

/// The task of a call.
pub struct CallTask {
    pub id: u32,
    pub gateway: Arc<Gateway>,
    pub calls: OpenCalls,
    pub sender: WebSocketSender,
    pub reply_credits: Arc<Semaphore>,
}

/// What the task does.
pub enum NewCall {
    /// It calls an RPC.
    Rpc(Box<RpcCall>),
    /// It refuses a call that belongs to no namespace.
    Refused { method: String, error: Error },
    /// It tells the client why its call, which was admitted, has failed.
    Failed(Error),
}

/// A call of an RPC.
pub struct RpcCall {
    pub method: Arc<Method>,
    pub namespace: Arc<Namespace>,
    pub messages: RpcMessages,
    pub headers: HeaderMap,
    pub timeout_ms: u32,
    pub request: RequestMessages,
}

/// The messages of a request, in the form of the codec.
pub enum RequestMessages {
    One(Bytes),
    Stream { received: mpsc::Receiver<UnreadMessage>, sender: WebSocketSender, id: u32 },
}

impl RequestMessages {
    fn into_input(self, codec: Codec, messages: RpcMessages, limit: usize) -> Result<Input, Error> {
        match self {
            Self::One(message) => codec.decode(messages, message).map(Input::One),
            Self::Stream { received, sender, id } => {
                let credits = RequestCredits { received, sender, id, codec, read: 0 };
                let stream: Messages<Bytes> = Box::pin(futures::stream::unfold(credits, RequestCredits::next));
                Ok(Input::Stream(Box::pin(stream.map(move |message| {
                    let message = codec.decode(messages, message?)?;
                    if message.len() > limit { Err(prism_call::message_too_large(limit)) } else { Ok(message) }
                }))))
            }
        }
    }
}

/// Reads a request stream, and gives its credits back to the client.
struct RequestCredits {
    received: mpsc::Receiver<UnreadMessage>,
    sender: WebSocketSender,
    id: u32,
    codec: Codec,
    /// Messages that were read since credits were given back.
    read: u32,
}

impl RequestCredits {
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        if self.read >= CREDIT_PORTION {
            let frame = ServerFrame { id: self.id, credits: std::mem::take(&mut self.read), ..ServerFrame::default() };
            let message = match frame::encode(self.codec, &frame) {
                Ok(message) => message,
                Err(error) => return Some((Err(error), self)),
            };
            // If the connection has ended, so has the call.
            let _ = self.sender.send(message, Delivery::default()).await;
        }
        let UnreadMessage { message, .. } = self.received.recv().await?;
        self.read += 1;
        Some((Ok(message), self))
    }
}

impl CallTask {
    /// Runs the call until its last frame is in the queue.
    pub async fn run(self, call: NewCall) {
        match panic::catch(self.answer(call)).await {
            Ok(()) => {}
            // The panic itself is counted and logged where it ended the call.
            Err(request_id) => {
                let frame = error::end(self.id, &request_id.unwrap_or_default(), Some(&panic::ended_by_panic()), None);
                self.end(frame, Delivery::default()).await;
            }
        }
    }

    async fn answer(&self, call: NewCall) {
        match call {
            NewCall::Rpc(call) => self.call(*call).await,
            NewCall::Failed(error) => {
                let frame = error::end(self.id, &RequestId::new(), Some(&error), None);
                self.end(frame, Delivery::default()).await;
            }
            NewCall::Refused { method, error } => {
                let Gateway { pipeline, peer, .. } = &*self.gateway;
                let line = (&http::Method::POST, method.as_str());
                let request = pipeline.admit_listener_request(peer, ListenerTarget::NoRoute, line, &HeaderMap::new());
                let frame = error::end(self.id, request.request_id(), Some(&error), None);
                let (frame, delivery) = request.finish(Some(&error), frame).into_parts();
                self.end(frame, delivery).await;
            }
        }
    }

    async fn call(&self, call: RpcCall) {
        let RpcCall { method, namespace, messages, headers, timeout_ms, request } = call;
        let Gateway { pipeline, peer, origin, codec, .. } = &*self.gateway;
        let timeout = Some(Duration::from_millis(timeout_ms.into())).filter(|timeout| !timeout.is_zero());
        let arrival = Arrival {
            peer,
            namespace: &namespace,
            protocol: Protocol::WebSocket,
            target: Target::Rpc(method.clone()),
            headers: &headers,
            timeout: Ok(timeout),
            origin: *origin,
        };
        let mut admitted = match pipeline.admit(arrival).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                let frame = error::end(self.id, refused.request_id(), Some(refused.error()), None);
                let (frame, delivery) = refused.finish(frame).into_parts();
                return self.end(frame, delivery).await;
            }
        };
        let limit = namespace.limits.max_message_bytes;
        let read = pin!(async { request.into_input(*codec, messages, limit) });
        match admitted.call(&method, headers, read).await {
            Ok(reply) => self.reply(admitted, messages, reply).await,
            Err(error) => self.fail(admitted, &error).await,
        }
    }

    async fn reply(&self, admitted: Admitted<'_>, messages: RpcMessages, reply: Reply) {
        let Reply { output, headers, trailers } = reply;
        let metadata = error::from_headers(headers);
        match output {
            Output::One(message) => {
                let encoded = self.gateway.codec.encode(messages, message.to_bytes());
                let message = match encoded {
                    Ok(message) => message,
                    Err(error) => return self.fail(admitted, &error).await,
                };
                let end = error::end(self.id, admitted.request_id(), None, trailers.get());
                let frame = ServerFrame { metadata, message: Some(message), ..end };
                let (frame, delivery) = admitted.finish(None, frame).into_parts();
                self.end(frame, delivery).await;
            }
            Output::Stream(output) => {
                let request_id = admitted.request_id().clone();
                let (replies, streaming) = admitted.stream(output);
                let ((), delivery) = streaming.finish(()).into_parts();
                if !metadata.is_empty()
                    && !self.send(&ServerFrame { id: self.id, metadata, ..ServerFrame::default() }, Delivery::default()).await
                {
                    return;
                }
                self.stream(replies, messages, trailers, (&request_id, delivery)).await;
            }
        }
    }

    /// Sends the messages of a stream as far as there are credits for them.
    async fn stream(
        &self,
        mut replies: prism_call::ObservedStream,
        messages: RpcMessages,
        trailers: Trailers,
        (request_id, delivery): (&RequestId, Delivery),
    ) {
        let error = loop {
            let message = match replies.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => break Some(error),
                None => break None,
            };
            let message = match self.gateway.codec.encode_streamed(messages, message) {
                Ok(message) => message,
                Err(error) => {
                    replies.fail(&error);
                    break Some(error);
                }
            };
            if !self.take_credit() {
                tokio::select! {
                    credit = self.reply_credits.acquire() => if let Ok(credit) = credit { credit.forget() },
                    error = replies.interrupted() => break Some(error),
                }
            }
            let frame = ServerFrame { id: self.id, message: Some(message), ..ServerFrame::default() };
            if !self.send(&frame, Delivery::default()).await {
                return;
            }
        };
        self.end(error::end(self.id, request_id, error.as_ref(), trailers.get()), delivery).await;
    }

    fn take_credit(&self) -> bool {
        self.reply_credits.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Ends a call that was admitted with an error.
    async fn fail(&self, admitted: Admitted<'_>, error: &Error) {
        let frame = error::end(self.id, admitted.request_id(), Some(error), None);
        let (frame, delivery) = admitted.finish(Some(error), frame).into_parts();
        self.end(frame, delivery).await;
    }

    /// Sends the last frame of the call, unless the client has cancelled it at the same time.
    async fn end(&self, frame: ServerFrame, delivery: Delivery) {
        if self.calls.remove_own(self.id) {
            self.send(&frame, delivery).await;
        }
    }

    /// Sends a frame. Returns `false` if the connection has ended.
    async fn send(&self, frame: &ServerFrame, delivery: Delivery) -> bool {
        match frame::encode(self.gateway.codec, frame) {
            Ok(message) => self.sender.send(message, delivery).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "a frame could not be encoded");
                false
            }
        }
    }
}
