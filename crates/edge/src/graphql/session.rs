//! Operations over one WebSocket connection, by the protocol `graphql-transport-ws` (github.com/enisdenjo/graphql-ws, PROTOCOL.md).
//!
//! Each operation is a task of the connection, and is admitted by itself, in the generation that is served when it begins. A client that reads
//! slowly slows down only its own operations: they wait for room in the queue of the connection.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::{Map, Value, json};
use tokio::task::{AbortHandle, JoinSet};

use super::caller::CallSource;
use crate::{
    Served,
    websocket_transport::{Close, WebSocket, WebSocketIo, WebSocketMessage, WebSocketProtocol, WebSocketSender},
};
use prism_call::{API_KEY, Admitted, Code, Delivery, Error, Page, Target};
use prism_graphql::{Executed, GraphqlRequest, OperationKind, RequestError};

/// The subprotocol.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to initialize its connection. Short in tests, which wait for it.
const INIT_TIMEOUT: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(10) };
/// Maximum open operations of a connection.
const MAX_OPERATIONS: usize = 256;

const INVALID_MESSAGE: u16 = 4400;
const UNAUTHORIZED: u16 = 4401;
const FORBIDDEN: u16 = 4403;
const INIT_TIMED_OUT: u16 = 4408;
const ID_IN_USE: u16 = 4409;
const TOO_MANY_INITS: u16 = 4429;

/// A connection.
pub struct OperationSession {
    connection: Arc<OperationSource>,
    is_initialized: bool,
    operations: HashMap<String, AbortHandle>,
    /// Each returns its id, and whether clients should connect again.
    tasks: JoinSet<(String, AfterOperation)>,
    is_ending: bool,
}

/// What the operations of a connection share.
pub struct OperationSource {
    /// What the listener serves now.
    pub current: Arc<ArcSwap<Served>>,
    /// Where calls come from.
    pub calls: CallSource,
    /// The URI of the endpoint.
    pub uri: Uri,
    /// The headers of the handshake, and those that the client gave when it initialized the connection.
    pub headers: HeaderMap,
}

/// What happens to the connection after an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterOperation {
    Continue,
    /// The operation ended because the gateway or the namespace ends. The connection is closed, so that its client connects again.
    Reconnect,
}

impl OperationSession {
    /// Creates the session of a new connection.
    pub fn new(connection: OperationSource) -> Self {
        Self {
            connection: Arc::new(connection),
            is_initialized: false,
            operations: HashMap::new(),
            tasks: JoinSet::new(),
            is_ending: false,
        }
    }

    /// Handles a message of the client.
    async fn handle(&mut self, message: WebSocketMessage, sender: &WebSocketSender) -> Result<(), Close> {
        let WebSocketMessage::Text(text) = message else { return Err(Close::new(INVALID_MESSAGE, "messages are text")) };
        let invalid = |problem: &str| Close::new(INVALID_MESSAGE, problem);
        let Ok(Value::Object(mut message)) = serde_json::from_str(text.as_str()) else { return Err(invalid("a message is a JSON object")) };
        let payload = message.remove("payload");
        let id = match message.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            None => None,
            Some(_) => return Err(invalid("the id of an operation is text")),
        };
        match (message.get("type").and_then(Value::as_str), id) {
            (Some("connection_init"), _) => {
                let payload = match payload {
                    None | Some(Value::Null) => Map::new(),
                    Some(Value::Object(payload)) => payload,
                    Some(_) => return Err(invalid("the payload of connection_init is an object")),
                };
                self.initialize(&payload, sender).await
            }
            (Some("ping"), _) => {
                // As a task: the client may not be reading, and its messages have to be read all the same.
                let sender = sender.clone();
                self.tasks.spawn(async move {
                    send(&sender, json!({"type": "pong"}).to_string(), Delivery::default()).await;
                    (String::new(), AfterOperation::Continue)
                });
                Ok(())
            }
            (Some("pong"), _) => Ok(()),
            (Some("subscribe"), Some(id)) => self.subscribe(id, payload, sender),
            (Some("complete"), Some(id)) => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
            (Some("subscribe" | "complete"), None) => Err(invalid("an operation has an id")),
            _ => Err(invalid("the type of a message is connection_init, ping, pong, subscribe or complete")),
        }
    }

    /// Takes the credentials and headers of the client, and checks that it may connect.
    async fn initialize(&mut self, payload: &Map<String, Value>, sender: &WebSocketSender) -> Result<(), Close> {
        if self.is_initialized {
            return Err(Close::new(TOO_MANY_INITS, "Too many initialisation requests"));
        }
        let mut headers = self.connection.headers.clone();
        let nested = payload.get("headers").and_then(Value::as_object);
        for (name, value) in nested.into_iter().flatten().chain(payload) {
            let is_header = nested.is_some_and(|nested| nested.contains_key(name)) || is_credential(name);
            let (true, Value::String(value)) = (is_header, value) else { continue };
            match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
                // The host of the handshake, whose origin was checked, chooses the namespace.
                (Ok(name), Ok(_)) if name == header::HOST => {}
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => return Err(Close::new(INVALID_MESSAGE, "headers of connection_init have a name and a value of HTTP")),
            }
        }
        let OperationSource { current, calls, uri, .. } = &*self.connection;
        let connection = OperationSource { current: current.clone(), calls: calls.clone(), uri: uri.clone(), headers };
        connection.check_caller().await?;
        self.connection = Arc::new(connection);
        self.is_initialized = true;
        send(sender, json!({"type": "connection_ack"}).to_string(), Delivery::default()).await;
        Ok(())
    }

    fn subscribe(&mut self, id: String, payload: Option<Value>, sender: &WebSocketSender) -> Result<(), Close> {
        if !self.is_initialized {
            return Err(Close::new(UNAUTHORIZED, "Unauthorized"));
        }
        if self.operations.contains_key(&id) {
            return Err(Close::new(ID_IN_USE, format!("Subscriber for {id} already exists")));
        }
        let request =
            GraphqlRequest::from_value(payload.unwrap_or_default()).map_err(|error| Close::new(INVALID_MESSAGE, error.message()))?;
        let refusal =
            if self.operations.len() >= MAX_OPERATIONS { Some(too_many_operations()) } else { self.is_ending.then(Error::shutting_down) };
        let operation = Operation { id: id.clone(), sender: sender.clone(), connection: self.connection.clone() };
        let task = self.tasks.spawn(async move {
            let after = match refusal {
                None => operation.run(request).await,
                Some(error) => {
                    operation.fail(&error.into(), Delivery::default()).await;
                    AfterOperation::Continue
                }
            };
            (operation.id, after)
        });
        self.operations.insert(id, task);
        Ok(())
    }
}

impl WebSocketProtocol for OperationSession {
    async fn run(mut self, socket: &mut WebSocket<impl WebSocketIo>) -> Close {
        let (sender, draining) = (socket.sender(), socket.draining().clone());
        let mut initialization = std::pin::pin!(tokio::time::sleep(INIT_TIMEOUT));
        loop {
            tokio::select! {
                received = socket.receive(), if self.tasks.len() < 2 * MAX_OPERATIONS => {
                    let Some(message) = received else { return Close::normal() };
                    if let Err(close) = self.handle(message, &sender).await {
                        return close;
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = &mut initialization, if !self.is_initialized => {
                    return Close::new(INIT_TIMED_OUT, "Connection initialisation timeout");
                }
                () = draining.cancelled(), if !self.is_ending => self.is_ending = true,
            }
            if self.is_ending && self.tasks.is_empty() {
                return Close::going_away();
            }
        }
    }
}

impl OperationSession {
    /// Forgets an operation that has ended.
    fn ended(&mut self, ended: Result<(tokio::task::Id, (String, AfterOperation)), tokio::task::JoinError>) {
        // An operation that was cancelled is forgotten already, and its id may be in use again.
        let Ok((task, (id, after))) = ended else { return };
        if self.operations.get(&id).is_some_and(|operation| operation.id() == task) {
            self.operations.remove(&id);
        }
        self.is_ending |= after == AfterOperation::Reconnect;
    }
}

impl OperationSource {
    /// Refuses a client that could not do anything.
    async fn check_caller(&self) -> Result<(), Close> {
        let served = self.current.load_full();
        let Some(endpoint) = served.bindings.graphql().find(&self.uri, &self.headers).map(|(endpoint, _)| endpoint) else {
            return Err(Close::new(FORBIDDEN, "Forbidden"));
        };
        match self.calls.admit(&endpoint.namespace, &self.headers, Target::Page(Page::Graphql), Ok(None)).await {
            Ok(admitted) => {
                drop(admitted.finish(None, ()).into_parts());
                Ok(())
            }
            Err(error) if matches!(error.code(), Code::Unauthenticated | Code::PermissionDenied) => Err(Close::new(FORBIDDEN, "Forbidden")),
            // Each operation will tell.
            Err(_) => Ok(()),
        }
    }
}

/// An operation of a client.
struct Operation {
    id: String,
    sender: WebSocketSender,
    connection: Arc<OperationSource>,
}

impl Operation {
    async fn run(&self, request: GraphqlRequest) -> AfterOperation {
        let OperationSource { current, calls, uri, headers } = &*self.connection;
        let served = current.load_full();
        let Some((endpoint, _)) = served.bindings.graphql().find(uri, headers) else {
            self.fail(&Error::namespace_changed().into(), Delivery::default()).await;
            return AfterOperation::Reconnect;
        };
        let admitted = match calls.admit(&endpoint.namespace, headers, Target::Page(Page::Graphql), Ok(None)).await {
            Ok(admitted) => admitted,
            Err(error) => {
                self.fail(&error.into(), Delivery::default()).await;
                return AfterOperation::Continue;
            }
        };
        let operation = match endpoint.prepare(calls.clone(), &admitted, headers, None, request).await {
            Ok(operation) => operation,
            Err(error) => {
                self.refuse(admitted, &error).await;
                return AfterOperation::Continue;
            }
        };
        if operation.kind() != OperationKind::Subscription {
            let (executed, held) = operation.execute().await;
            let ((), delivery) = admitted.finish(None, ()).with_calls(held).into_parts();
            self.next(executed, delivery).await;
            self.complete().await;
            return AfterOperation::Continue;
        }
        let responses = match operation.subscribe().await {
            Ok(responses) => responses,
            Err(error) => {
                self.refuse(admitted, &error).await;
                return AfterOperation::Continue;
            }
        };
        // The stream has an admission of its own, and may last for days. It does not need what the listener serves now.
        drop(admitted.finish(None, ()).into_parts());
        drop(served);
        let mut responses = std::pin::pin!(responses);
        while let Some(executed) = responses.next().await {
            if executed.is_interrupted {
                return AfterOperation::Reconnect;
            }
            if !self.next(executed, Delivery::default()).await {
                return AfterOperation::Continue;
            }
        }
        self.complete().await;
        AfterOperation::Continue
    }

    /// Refuses an operation of which nothing was executed.
    async fn refuse(&self, admitted: Admitted<'_>, error: &RequestError) {
        let ((), delivery) = admitted.finish(Some(&error.first()), ()).into_parts();
        self.fail(error, delivery).await;
    }

    async fn fail(&self, error: &RequestError, delivery: Delivery) {
        let message = json!({"type": "error", "id": self.id, "payload": error.to_json()});
        send(&self.sender, message.to_string(), delivery).await;
    }

    /// Sends a response. Returns `false` if the connection has ended.
    async fn next(&self, executed: Executed, delivery: Delivery) -> bool {
        let mut message = json!({"type": "next", "id": self.id}).to_string();
        message.pop();
        message.push_str(",\"payload\":");
        message.push_str(&String::from_utf8_lossy(&executed.body));
        message.push('}');
        send(&self.sender, message, delivery).await
    }

    async fn complete(&self) {
        send(&self.sender, json!({"type": "complete", "id": self.id}).to_string(), Delivery::default()).await;
    }
}

async fn send(sender: &WebSocketSender, message: String, delivery: Delivery) -> bool {
    sender.send(WebSocketMessage::Text(message.into()), delivery).await.is_ok()
}

fn is_credential(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case(API_KEY.as_str())
}

fn too_many_operations() -> Error {
    let message = format!("{MAX_OPERATIONS} operations of this connection are open, its limit; end one, or open another connection");
    Error::new(Code::ResourceExhausted, "TOO_MANY_OPERATIONS", message)
}
