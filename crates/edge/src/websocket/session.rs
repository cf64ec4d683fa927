//! One connection: its open calls, and the frames that begin, feed and end them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    call::{CallTask, NewCall, RequestMessages, RpcCall},
    frame,
    open_calls::{Gateway, OpenCall, OpenCalls, REQUEST_CREDITS, UnreadMessage},
};
use crate::{
    checks::check_header_bytes,
    websocket_transport::{Close, WebSocket, WebSocketIo, WebSocketMessage, WebSocketProtocol, WebSocketSender},
};
use prism_call::{
    API_KEY, Code, Delivery, Error,
    proto::websocket::v1::{Authenticate, Call, ClientFrame, GoAway, ServerFrame, Welcome},
};

/// Maximum open calls of a connection.
pub const MAX_CALLS: u32 = 256;
/// Calls that are refused or that have ended count too until their last frame is in the queue. Beyond this number, the connection is not read.
const MAX_TASKS: usize = 2 * MAX_CALLS as usize;
/// How many reply messages are sent at first, if the call does not say.
pub const REPLY_CREDITS: u32 = 32;
/// Maximum credits of a call.
const MAX_CREDITS: usize = 1 << 20;
/// Maximum bytes of request messages of a connection that wait until they are read.
const MAX_UNREAD_BYTES: usize = 16 << 20;
/// Clients connect again within this time after a drain began.
const RECONNECT_WITHIN_MS: u32 = 5000;

/// A frame violates the protocol.
const MALFORMED_FRAME: u16 = 4400;
/// A call has the id of an open call.
const ID_IN_USE: u16 = 4409;

/// A connection.
pub struct Session {
    gateway: Arc<Gateway>,
    /// Headers that each call has.
    credentials: HeaderMap,
    calls: OpenCalls,
    tasks: JoinSet<()>,
    unread_bytes: Arc<Semaphore>,
    max_frame_bytes: usize,
    is_draining: bool,
}

impl Session {
    /// Creates the session of a new connection.
    pub fn new(gateway: Arc<Gateway>, credentials: HeaderMap, max_frame_bytes: usize) -> Self {
        let unread_bytes = Arc::new(Semaphore::new(MAX_UNREAD_BYTES.max(max_frame_bytes)));
        Self { gateway, credentials, calls: OpenCalls::default(), tasks: JoinSet::new(), unread_bytes, max_frame_bytes, is_draining: false }
    }

    /// Handles a frame of the client.
    fn handle(&mut self, message: WebSocketMessage, sender: &WebSocketSender) -> Result<(), Close> {
        let frame = frame::parse(self.gateway.codec, message).map_err(|problem| Close::new(MALFORMED_FRAME, problem))?;
        let ClientFrame { id, call, message, end, credits, cancel, authenticate } = frame;
        if let Some(authenticate) = authenticate {
            return self.authenticate(id, authenticate);
        }
        if id == 0 {
            return Err(Close::new(MALFORMED_FRAME, "the id of a call is a number above zero"));
        }
        match call {
            Some(call) => self.begin(id, call, message, end, sender)?,
            None => self.feed(id, message, end, sender),
        }
        if credits > 0 {
            self.grant(id, credits);
        }
        if cancel && let Some(call) = self.calls.lock().remove(&id) {
            call.task.abort();
        }
        Ok(())
    }

    /// Replaces the credentials of further calls.
    fn authenticate(&mut self, id: u32, authenticate: Authenticate) -> Result<(), Close> {
        if id != 0 {
            return Err(Close::new(MALFORMED_FRAME, "authenticate belongs to the connection, whose id is zero"));
        }
        let credentials = [(AUTHORIZATION, authenticate.authorization), (API_KEY, authenticate.api_key)];
        check_size(0, credentials.iter().map(|(name, text)| (name.as_str(), text.len())))?;
        for (name, text) in credentials {
            if text.is_empty() {
                self.credentials.remove(name);
            } else {
                let value =
                    HeaderValue::try_from(text).map_err(|_| Close::new(MALFORMED_FRAME, "credentials have unprintable characters"))?;
                self.credentials.insert(name, value);
            }
        }
        Ok(())
    }

    fn begin(&mut self, id: u32, call: Call, message: Option<Bytes>, end: bool, sender: &WebSocketSender) -> Result<(), Close> {
        // Like the head of a request: it is logged, and a map of headers has a limit.
        check_size(call.method.len() + call.namespace.len(), call.metadata.iter().map(|(name, text)| (name.as_str(), text.len())))?;
        let calls = self.calls.clone();
        let mut open = calls.lock();
        if open.contains_key(&id) {
            return Err(Close::new(ID_IN_USE, format!("a call with the id {id} is open")));
        }
        let reply_credits =
            Arc::new(Semaphore::new(call.credits.map_or(REPLY_CREDITS as usize, |credits| MAX_CREDITS.min(credits as usize))));
        let prepared = if open.len() >= MAX_CALLS as usize {
            Err(too_many_calls())
        } else if self.is_draining {
            Err(Error::shutting_down())
        } else {
            self.prepare(&call, message, end, sender, id)
        };
        let (call, request) = match prepared {
            Ok((call, request)) => (NewCall::Rpc(Box::new(call)), request),
            Err(error) => (NewCall::Refused { method: call.method, error }, None),
        };
        let credits = reply_credits.clone();
        let task = CallTask { id, gateway: self.gateway.clone(), calls: calls.clone(), sender: sender.clone(), reply_credits };
        let task = self.tasks.spawn(task.run(call));
        open.insert(id, OpenCall { request, reply_credits: credits, task });
        Ok(())
    }

    /// Finds the RPC and the namespace, and prepares the request. Returns the sending end of a request stream.
    fn prepare(
        &self,
        call: &Call,
        message: Option<Bytes>,
        end: bool,
        sender: &WebSocketSender,
        id: u32,
    ) -> Result<(RpcCall, Option<mpsc::Sender<UnreadMessage>>), Error> {
        let served = self.gateway.current.load();
        let table = served.bindings.websocket();
        let namespace = Some(call.namespace.as_str()).filter(|name| !name.is_empty());
        let (method, namespace) = table.rpcs.find_call(&served.bindings.rpcs, &self.gateway.scope, namespace, &call.method)?;
        let messages = table.messages.get(&method.path).copied();
        let messages = messages.ok_or_else(|| Error::internal(format!("the types of {} are not known", method.path)))?;
        let headers = self.headers(call)?;
        let (request, stream) = if method.client_streaming {
            let (stream, received) = mpsc::channel(REQUEST_CREDITS as usize);
            if let Some(message) = message {
                // The stream is new, so there is room.
                let _ = stream.try_send(self.unread(message)?);
            }
            let request = RequestMessages::Stream { received, sender: sender.clone(), id };
            (request, Some(stream).filter(|_| !end))
        } else {
            let missing = || Error::invalid("message", "must be in the frame of the call: this RPC takes one message");
            (RequestMessages::One(message.ok_or_else(missing)?), None)
        };
        let call =
            RpcCall { method: method.clone(), namespace: namespace.clone(), messages, headers, timeout_ms: call.timeout_ms, request };
        Ok((call, stream))
    }

    /// Returns the metadata of a call with the credentials of the connection.
    fn headers(&self, call: &Call) -> Result<HeaderMap, Error> {
        let mut headers = self.credentials.clone();
        for (name, value) in &call.metadata {
            let invalid = || Error::invalid(format!("metadata.{name}"), "must be a name and a value of a header");
            let name = HeaderName::try_from(name).map_err(|_| invalid())?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|_| invalid())?);
        }
        crate::metadata::remove_hop_by_hop(&mut headers);
        Ok(headers)
    }

    /// Counts a message until it is read.
    fn unread(&self, message: Bytes) -> Result<UnreadMessage, Error> {
        let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let bytes = self.unread_bytes.clone().try_acquire_many_owned(size).map_err(|_| too_many_bytes())?;
        Ok(UnreadMessage { message, _bytes: bytes })
    }

    /// Adds a message to the stream of a call, or ends the stream. A call that has ended is ignored: the client may not know yet.
    fn feed(&mut self, id: u32, message: Option<Bytes>, end: bool, sender: &WebSocketSender) {
        let mut open = self.calls.lock();
        let Some(call) = open.get_mut(&id) else { return };
        let sent = match (message, &call.request) {
            (None, _) => Ok(()),
            (Some(message), Some(request)) => self.unread(message).and_then(|message| match request.try_send(message) {
                Err(mpsc::error::TrySendError::Full(_)) => Err(credits_exceeded()),
                // The handler reads no further messages.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            }),
            (Some(_), None) => Err(stream_has_ended()),
        };
        if end {
            call.request = None;
        }
        let Err(error) = sent else { return };
        call.task.abort();
        let reply_credits = call.reply_credits.clone();
        let task = CallTask { id, gateway: self.gateway.clone(), calls: self.calls.clone(), sender: sender.clone(), reply_credits };
        call.task = self.tasks.spawn(task.run(NewCall::Failed(error)));
    }

    fn grant(&self, id: u32, credits: u32) {
        if let Some(call) = self.calls.lock().get(&id) {
            let free = MAX_CREDITS.saturating_sub(call.reply_credits.available_permits());
            call.reply_credits.add_permits(free.min(credits as usize));
        }
    }

    /// Sends a frame of the connection, without waiting for room in the queue.
    fn announce(&mut self, frame: ServerFrame, sender: &WebSocketSender) {
        let (sender, codec) = (sender.clone(), self.gateway.codec);
        self.tasks.spawn(async move {
            if let Ok(message) = frame::encode(codec, &frame) {
                let _ = sender.send(message, Delivery::default()).await;
            }
        });
    }
}

impl WebSocketProtocol for Session {
    async fn run(mut self, socket: &mut WebSocket<impl WebSocketIo>) -> Close {
        let (sender, draining) = (socket.sender(), socket.draining().clone());
        let welcome = Welcome {
            max_calls: MAX_CALLS,
            max_frame_bytes: u32::try_from(self.max_frame_bytes).unwrap_or(u32::MAX),
            request_credits: REQUEST_CREDITS,
            reply_credits: REPLY_CREDITS,
        };
        let welcome = frame::encode(self.gateway.codec, &ServerFrame { welcome: Some(welcome), ..ServerFrame::default() });
        if let Ok(message) = welcome {
            // Before any call begins, so that it is the first frame. The queue is empty, so this does not wait.
            let _ = sender.send(message, Delivery::default()).await;
        }
        loop {
            tokio::select! {
                received = socket.receive(), if self.tasks.len() < MAX_TASKS => {
                    let Some(message) = received else { return Close::normal() };
                    if let Err(close) = self.handle(message, &sender) {
                        return close;
                    }
                }
                Some(_) = self.tasks.join_next() => {}
                () = draining.cancelled(), if !self.is_draining => {
                    self.is_draining = true;
                    let go_away = GoAway {
                        reason: "the gateway shuts down".to_owned(),
                        reconnect_after_ms: rand::random_range(0..RECONNECT_WITHIN_MS),
                    };
                    self.announce(ServerFrame { go_away: Some(go_away), ..ServerFrame::default() }, &sender);
                }
            }
            if self.is_draining && self.tasks.is_empty() {
                return Close::going_away();
            }
        }
    }
}

/// Refuses texts of a call, or credentials, that are larger than the headers of a request may be.
fn check_size<'h>(target: usize, headers: impl Iterator<Item = (&'h str, usize)>) -> Result<(), Close> {
    check_header_bytes(target, headers).map_err(|error| Close::new(MALFORMED_FRAME, error.message()))
}

fn too_many_calls() -> Error {
    let message = format!("{MAX_CALLS} calls of this connection are open, its limit; end one, or open another connection");
    Error::new(Code::ResourceExhausted, "TOO_MANY_CALLS", message)
}

fn too_many_bytes() -> Error {
    let message = format!("request messages of this connection with {MAX_UNREAD_BYTES} bytes were not read yet; wait for credits");
    Error::new(Code::ResourceExhausted, "TOO_MANY_UNREAD_BYTES", message)
}

fn credits_exceeded() -> Error {
    let message = format!("more than {REQUEST_CREDITS} request messages were sent without credits");
    Error::new(Code::ResourceExhausted, "CREDITS_EXCEEDED", message)
}

fn stream_has_ended() -> Error {
    Error::invalid("message", "must not follow: the call takes one message, or its stream of messages has ended")
}
