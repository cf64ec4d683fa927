//! Messages of JSON-RPC 2.0.

use rmcp::model::{ErrorCode, ErrorData, RequestId};
use serde_json::{Map, Value};

/// Maximum messages of a batch, which only the revision 2025-03-26 has.
const MAX_BATCH: usize = 32;

/// The body of a request.
pub enum McpBody {
    /// One message.
    One(McpMessage),
    /// Several messages.
    Batch(Vec<Result<McpMessage, McpFault>>),
}

/// A message of a client.
pub enum McpMessage {
    /// It has a result.
    Request(McpRequest),
    /// It has none. Holds its method.
    Notification(String),
    /// The answer to a request of a server, which Prism never sends.
    Response,
}

/// A request.
pub struct McpRequest {
    /// Its id.
    pub id: RequestId,
    /// Its method, as `tools/call`.
    pub method: String,
    /// Its parameters.
    pub params: Map<String, Value>,
}

/// A message that can't be understood, with its id if it has one.
pub struct McpFault {
    /// The id.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub error: Box<ErrorData>,
}

impl McpFault {
    fn invalid(id: Option<RequestId>, message: impl Into<String>) -> Self {
        Self { id, error: Box::new(ErrorData::new(ErrorCode::INVALID_REQUEST, message.into(), None)) }
    }
}

impl McpBody {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Self, McpFault> {
        let value: Value = serde_json::from_slice(body).map_err(|error| McpFault {
            id: None,
            error: Box::new(ErrorData::new(ErrorCode::PARSE_ERROR, format!("the body is not JSON: {error}"), None)),
        })?;
        match value {
            Value::Array(messages) if messages.is_empty() => Err(McpFault::invalid(None, "the batch is empty")),
            Value::Array(messages) if messages.len() > MAX_BATCH => {
                Err(McpFault::invalid(None, format!("the batch has {} messages; at most {MAX_BATCH} are allowed", messages.len())))
            }
            Value::Array(messages) => Ok(Self::Batch(messages.into_iter().map(McpMessage::parse).collect())),
            one => McpMessage::parse(one).map(Self::One),
        }
    }
}

impl McpMessage {
    fn parse(value: Value) -> Result<Self, McpFault> {
        let Value::Object(mut object) = value else { return Err(McpFault::invalid(None, "a message must be a JSON object")) };
        let id = match object.shift_remove("id") {
            None => None,
            Some(id) => match serde_json::from_value::<RequestId>(id) {
                Ok(id) => Some(id),
                Err(_) => return Err(McpFault::invalid(None, "`id` must be text or a whole number")),
            },
        };
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(McpFault::invalid(id, "`jsonrpc` must be \"2.0\""));
        }
        let method = match object.shift_remove("method") {
            Some(Value::String(method)) => method,
            None if object.contains_key("result") || object.contains_key("error") => return Ok(Self::Response),
            _ => return Err(McpFault::invalid(id, "`method` must be the name of a method")),
        };
        let params = match object.shift_remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(McpFault::invalid(id, "`params` must be a JSON object")),
        };
        Ok(match id {
            Some(id) => Self::Request(McpRequest { id, method, params }),
            None => Self::Notification(method),
        })
    }
}

impl McpRequest {
    /// Returns a parameter that is text.
    pub fn text(&self, name: &str) -> Result<&str, ErrorData> {
        let missing = || ErrorData::new(ErrorCode::INVALID_PARAMS, format!("`params.{name}` must be text"), None);
        self.params.get(name).and_then(Value::as_str).ok_or_else(missing)
    }

    /// Returns the token with which the client wants to be told the progress of the request.
    pub fn progress_token(&self) -> Option<Value> {
        self.meta("progressToken").filter(|token| token.is_string() || token.is_i64() || token.is_u64()).cloned()
    }

    /// Returns an entry of `_meta`.
    pub fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }
}
