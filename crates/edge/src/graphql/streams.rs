//! Streams of events that clients share among their operations, by the protocol of `graphql-sse` (github.com/enisdenjo/graphql-sse, PROTOCOL.md),
//! mode "single connection": a client reserves a stream, opens it, and sends operations in requests of their own, whose results come as
//! events with the ids of the operations.
//!
//! Everything is bounded: reservations in number and time, the operations of a stream, and the events that wait for its client.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::endpoint::EndpointOperation;
use crate::tasks::ConnectionTasks;
use prism_call::{Admitted, Code, Delivery, Error, Principal};
use prism_frontend::render::HEARTBEAT;
use prism_graphql::{Executed, OperationKind, RequestError};

/// Time in which a reserved stream must be opened. Short in tests, which wait for it.
const RESERVED_FOR: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(10) };
/// Maximum reservations whose streams are not open, of all clients, and of one address. An open stream holds the permit of a stream of its namespace.
const MAX_RESERVED: usize = 4096;
const MAX_RESERVED_PER_ADDRESS: usize = 64;
/// Maximum open operations of a stream.
const MAX_OPERATIONS: usize = 256;
/// Events that wait for the client of a stream. Operations wait for room, each with one more.
const QUEUE: usize = 4;
/// Maximum bytes of the id of an operation.
pub const MAX_ID_BYTES: usize = 256;

/// The streams of all listeners. A token is random, and so says which stream is meant.
static STREAMS: LazyLock<Mutex<HashMap<String, SharedStream>>> = LazyLock::new(Mutex::default);

/// A stream that is reserved or open.
struct SharedStream {
    /// The namespace of the endpoint.
    namespace: Arc<str>,
    owner: Arc<Principal>,
    address: Option<IpAddr>,
    sender: mpsc::Sender<StreamEvent>,
    /// Until the stream is opened.
    receiver: Option<mpsc::Receiver<StreamEvent>>,
    /// Open operations, each with what ends it.
    operations: HashMap<String, CancellationToken>,
}

/// What an operation tells the client of its stream.
enum StreamEvent {
    /// An event, and what the calls that it answers hold.
    Event(Bytes, Vec<Delivery>),
    /// The gateway or the namespace ends.
    Interrupted,
}

/// Ends a stream and its operations when it is dropped.
struct OpenStream(String);

/// An operation that has its place in a stream.
pub struct StreamOperation {
    token: String,
    id: String,
    sender: mpsc::Sender<StreamEvent>,
    ended: CancellationToken,
}

fn streams() -> MutexGuard<'static, HashMap<String, SharedStream>> {
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(token: &str) {
    if let Some(stream) = streams().remove(token) {
        stream.operations.values().for_each(CancellationToken::cancel);
    }
}

/// Reserves a stream for the caller of a request. Returns its token. If nobody opens the stream, the reservation ends.
pub fn reserve(admitted: &Admitted<'_>, tasks: &ConnectionTasks) -> Result<String, Error> {
    let context = admitted.context();
    let address = context.peer.address.map(|address| address.ip());
    let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut all = streams();
    let reserved = || all.values().filter(|stream| stream.receiver.is_some());
    if reserved().count() >= MAX_RESERVED || reserved().filter(|stream| stream.address == address).count() >= MAX_RESERVED_PER_ADDRESS {
        let message = "too many event streams are reserved and not open; open them, or try again later";
        return Err(Error::new(Code::ResourceExhausted, "TOO_MANY_RESERVATIONS", message).with_retry_after(RESERVED_FOR));
    }
    let (namespace, owner) = (context.namespace.clone(), context.principal.clone());
    let stream = SharedStream { namespace, owner, address, sender, receiver: Some(receiver), operations: HashMap::new() };
    all.insert(token.clone(), stream);
    drop(all);
    let (unused, draining) = (token.clone(), tasks.draining().clone());
    tasks.spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(RESERVED_FOR) => {}
            () = draining.cancelled() => {}
        }
        if streams().get(&unused).is_some_and(|stream| stream.receiver.is_some()) {
            remove(&unused);
        }
    });
    Ok(token)
}

/// Opens a stream that its caller has reserved. Returns its events.
pub fn open(admitted: &Admitted<'_>, token: &str, tasks: &ConnectionTasks) -> Result<impl Stream<Item = Bytes> + Send + use<>, Error> {
    let receiver = with_stream(admitted, token, |stream| {
        stream
            .receiver
            .take()
            .ok_or_else(|| Error::new(Code::AlreadyExists, "STREAM_IS_OPEN", "the event stream of this token is open; reserve another one"))
    })?;
    let (open, draining) = (OpenStream(token.to_owned()), tasks.draining().clone());
    // A comment at once, so that clients and proxies see that the stream is open.
    let start = stream::iter([Bytes::from_static(b":\n\n")]);
    Ok(start.chain(stream::unfold((receiver, open, Vec::new()), move |(mut receiver, open, held)| {
        let draining = draining.clone();
        async move {
            // The client has taken the last event.
            drop::<Vec<Delivery>>(held);
            loop {
                if draining.is_cancelled() && open.is_idle() && receiver.is_empty() {
                    return None;
                }
                tokio::select! {
                    event = receiver.recv() => return match event? {
                        StreamEvent::Event(event, held) => Some((event, (receiver, open, held))),
                        StreamEvent::Interrupted => None,
                    },
                    () = tokio::time::sleep(HEARTBEAT) => return Some((Bytes::from_static(b":\n\n"), (receiver, open, Vec::new()))),
                    () = draining.cancelled(), if !draining.is_cancelled() => {}
                }
            }
        }
    })))
}

/// Ends an operation of a stream. It may have ended already.
pub fn cancel(admitted: &Admitted<'_>, token: &str, id: &str) -> Result<(), Error> {
    with_stream(admitted, token, |stream| {
        if let Some(ended) = stream.operations.remove(id) {
            ended.cancel();
        }
        Ok(())
    })
}

/// Begins an operation of a stream.
pub fn begin(admitted: &Admitted<'_>, token: &str, id: &str) -> Result<StreamOperation, Error> {
    with_stream(admitted, token, |stream| {
        if stream.operations.contains_key(id) {
            return Err(Error::new(
                Code::AlreadyExists,
                "OPERATION_ID_IN_USE",
                "the stream has an operation with this id; use another one",
            ));
        }
        if stream.operations.len() >= MAX_OPERATIONS {
            let message = format!("{MAX_OPERATIONS} operations of this stream are open, its limit; end one, or open another stream");
            return Err(Error::new(Code::ResourceExhausted, "TOO_MANY_OPERATIONS", message));
        }
        let ended = CancellationToken::new();
        stream.operations.insert(id.to_owned(), ended.clone());
        Ok(StreamOperation { token: token.to_owned(), id: id.to_owned(), sender: stream.sender.clone(), ended })
    })
}

/// Uses a stream of the caller of a request. Nobody learns of the streams of others.
fn with_stream<T>(admitted: &Admitted<'_>, token: &str, work: impl FnOnce(&mut SharedStream) -> Result<T, Error>) -> Result<T, Error> {
    let context = admitted.context();
    let is_own = |stream: &SharedStream| {
        let (one, other) = (&stream.owner, &context.principal);
        stream.namespace == context.namespace && (&one.subject, &one.tenant, one.method) == (&other.subject, &other.tenant, other.method)
    };
    if let Some(stream) = streams().get_mut(token).filter(|stream| is_own(stream)) {
        work(stream)
    } else {
        let message = "there is no event stream with this token at this gateway; reserve one with PUT";
        Err(Error::new(Code::NotFound, "STREAM_NOT_FOUND", message))
    }
}

impl OpenStream {
    fn is_idle(&self) -> bool {
        streams().get(&self.0).is_none_or(|stream| stream.operations.is_empty())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl StreamOperation {
    /// Runs the operation, until it ends, its client cancels it, or the stream is closed.
    pub fn spawn(self, operation: EndpointOperation, tasks: &ConnectionTasks) {
        let ended = self.ended.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = self.run(operation) => {}
                () = ended.cancelled() => {}
            }
        });
    }

    async fn run(&self, operation: EndpointOperation) {
        if operation.kind() == OperationKind::Subscription {
            match operation.subscribe().await {
                Ok(results) => {
                    let mut results = std::pin::pin!(results);
                    while let Some(executed) = results.next().await {
                        if executed.is_interrupted {
                            self.send(StreamEvent::Interrupted).await;
                            return;
                        }
                        self.next(&executed, Vec::new()).await;
                    }
                }
                Err(error) => self.next(&Executed::of(&error), Vec::new()).await,
            }
        } else {
            let (executed, held) = operation.execute().await;
            self.next(&executed, held).await;
        }
        self.complete().await;
    }

    async fn next(&self, executed: &Executed, held: Vec<Delivery>) {
        let id = json!(self.id).to_string();
        let event = [b"event: next\ndata: {\"id\":", id.as_bytes(), b",\"payload\":", executed.body.as_slice(), b"}\n\n"].concat();
        self.send(StreamEvent::Event(event.into(), held)).await;
    }

    async fn complete(&self) {
        // Before the event, after which the client may use the id again.
        if let Some(stream) = streams().get_mut(&self.token).filter(|_| !self.ended.is_cancelled()) {
            stream.operations.remove(&self.id);
        }
        let event = format!("event: complete\ndata: {}\n\n", json!({"id": self.id}));
        self.send(StreamEvent::Event(event.into(), Vec::new())).await;
    }

    async fn send(&self, event: StreamEvent) {
        // A closed stream ends this operation.
        let _ = self.sender.send(event).await;
    }
}

/// Refuses an operation without an id for its events.
pub fn check_id(id: Option<String>) -> Result<String, RequestError> {
    let refuse = |problem: &str| {
        let message = format!("extensions.operationId: {problem}; events of the stream name their operation by it");
        RequestError::from(Error::new(Code::InvalidArgument, "MALFORMED_REQUEST", message))
    };
    match id {
        Some(id) if id.is_empty() || id.len() > MAX_ID_BYTES => Err(refuse(&format!("must have 1 to {MAX_ID_BYTES} bytes"))),
        Some(id) => Ok(id),
        None => Err(refuse("is missing")),
    }
}
