//! Results: one message, or the items of a stream up to a bound.

use std::fmt::Write as _;
use std::time::Duration;

use futures::StreamExt as _;
use rmcp::model::CallToolResult;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    McpTool,
    rpc_messages::{CURSOR, RpcMessages},
};
use prism_call::{Code, Error, Messages, Output, StreamMessage};

/// The bounds of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultLimits {
    /// Maximum bytes of its JSON text.
    pub bytes: usize,
    /// Maximum items of a stream.
    pub items: usize,
    /// How long items of a stream are collected.
    pub wait: Duration,
}

/// How many bytes of a result that is too large are shown.
const SHOWN: usize = 1024;

/// Items of a stream.
pub struct CollectedItems {
    /// The items.
    pub items: Vec<Map<String, Value>>,
    /// Whether there are more, or the stream has not ended yet.
    pub truncated: bool,
    /// Where the next ones begin; empty: from the start, or it can't be said.
    pub cursor: String,
}

impl McpTool {
    /// Returns the result of a call. `cursor` is the one in its arguments.
    pub async fn result(&self, output: Output, cursor: &str, limits: &ResultLimits) -> Result<CallToolResult, Error> {
        match output {
            Output::One(message) => Ok(CallToolResult::structured(self.message(&message.to_bytes(), limits)?)),
            Output::Stream(messages) => self.items(messages, cursor, limits, |_| ()).await,
        }
    }

    /// Returns the result of a stream. `report` is told the number of items each time there is another one.
    pub async fn items(
        &self,
        messages: Messages<StreamMessage>,
        cursor: &str,
        limits: &ResultLimits,
        report: impl FnMut(usize) + Send,
    ) -> Result<CallToolResult, Error> {
        let CollectedItems { items, truncated, cursor } = self.messages.collect_reporting(messages, cursor, limits, report).await?;
        let mut result = json!({"items": items, "truncated": truncated});
        if truncated && self.messages.is_resumable && !cursor.is_empty() {
            result["nextCursor"] = cursor.into();
        }
        Ok(CallToolResult::structured(result))
    }

    fn message(&self, message: &[u8], limits: &ResultLimits) -> Result<Value, Error> {
        let (object, size) = self.messages.decode(message)?;
        let value = Value::Object(object);
        if size <= limits.bytes {
            return Ok(value);
        }
        let more = format!("{size} bytes, more than the {} that a tool may return", limits.bytes);
        if !self.method.read_only {
            return Err(too_large(format!("the call was executed, but its result has {more}"), size));
        }
        let text = value.to_string();
        let end = text.floor_char_boundary(SHOWN);
        Err(too_large(format!("the result has {more}. It begins with: {}…", &text[..end]), size))
    }
}

impl RpcMessages {
    /// Collects items until a bound is reached or the stream ends.
    pub async fn collect(&self, messages: Messages<StreamMessage>, cursor: &str, limits: &ResultLimits) -> Result<CollectedItems, Error> {
        self.collect_reporting(messages, cursor, limits, |_| ()).await
    }

    async fn collect_reporting(
        &self,
        mut messages: Messages<StreamMessage>,
        cursor: &str,
        limits: &ResultLimits,
        mut report: impl FnMut(usize) + Send,
    ) -> Result<CollectedItems, Error> {
        let mut collected = CollectedItems { items: Vec::new(), truncated: true, cursor: cursor.to_owned() };
        let mut bytes = 0;
        let end = Instant::now() + limits.wait;
        loop {
            let message = match timeout_at(end, messages.next()).await {
                Err(_) => break,
                Ok(None) => {
                    collected.truncated = false;
                    break;
                }
                // The next call gets the error, if it lasts.
                Ok(Some(Err(_))) if self.is_resumable && !collected.items.is_empty() => break,
                Ok(Some(message)) => message?,
            };
            if collected.items.len() == limits.items {
                break;
            }
            let (item, size) = self.decode(&message)?;
            let after = item.get(CURSOR).and_then(Value::as_str).unwrap_or_default();
            if bytes + size > limits.bytes {
                if !collected.items.is_empty() {
                    break;
                }
                return Err(self.large_item(size, after, limits));
            }
            bytes += size;
            if !after.is_empty() {
                after.clone_into(&mut collected.cursor);
            }
            collected.items.push(item);
            report(collected.items.len());
        }
        Ok(collected)
    }

    fn large_item(&self, size: usize, after: &str, limits: &ResultLimits) -> Error {
        let mut message = format!("the next item has {size} bytes, more than the {} that a tool may return", limits.bytes);
        if self.is_resumable {
            let _ = write!(message, ". To skip it, call again with `cursor`: {after:?}");
        }
        too_large(message, size)
    }
}

fn too_large(message: String, size: usize) -> Error {
    Error::new(Code::ResourceExhausted, "RESULT_TOO_LARGE", message).with("size", size.to_string())
}
