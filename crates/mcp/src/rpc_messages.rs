//! The messages of an RPC as JSON.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::text_bytes;
use prism_call::{Error, Method, panic};
use prism_frontend::{
    json,
    message_types::{FieldKind, FieldShape, MessageId, MessageTypes},
};

/// The field with the position in a stream, in requests and replies.
pub const CURSOR: &str = "cursor";

/// The types of an RPC's messages.
#[derive(Clone, Copy)]
pub struct RpcMessages {
    types: &'static MessageTypes,
    input: MessageId,
    output: MessageId,
    /// Whether a stream of replies continues after a cursor.
    pub is_resumable: bool,
}

impl RpcMessages {
    /// Finds the types of one of these RPCs.
    pub fn of(methods: &[Arc<Method>], method: &Method) -> Option<Self> {
        let types = MessageTypes::of_methods(methods);
        let input = types.find(method.descriptor.input().full_name())?;
        let output = types.find(method.descriptor.output().full_name())?;
        let has_cursor = |id| {
            let message = types.message(id);
            let field = message.by_name(CURSOR).and_then(|index| message.fields.get(index));
            field.is_some_and(|field| field.kind == FieldKind::String && matches!(field.shape, FieldShape::Singular { .. }))
        };
        Some(Self { types, input, output, is_resumable: method.server_streaming && has_cursor(input) && has_cursor(output) })
    }

    /// Encodes a request.
    pub fn encode(&self, mut arguments: Map<String, Value>) -> Result<Bytes, Error> {
        text_bytes::to_proto_json(self.types, self.input, &mut arguments)?;
        let text = Value::Object(arguments).to_string();
        let mut out = Vec::with_capacity(text.len());
        json::decode(self.types, self.input, text.as_bytes(), &mut out)?;
        Ok(out.into())
    }

    /// Decodes a message of the reply. Returns it with its size as JSON text.
    pub fn decode(&self, message: &[u8]) -> Result<(Map<String, Value>, usize), Error> {
        let text = panic::catch_sync(|| {
            let mut out = Vec::with_capacity(message.len() * 2);
            json::encode(self.types, self.output, message, &mut out)?;
            Ok::<_, Error>(out)
        })??;
        let unreadable = |error| Error::internal("a reply is no JSON object").with_source(error);
        let mut object: Map<String, Value> = serde_json::from_slice(&text).map_err(unreadable)?;
        text_bytes::from_proto_json(self.types, self.output, &mut object);
        Ok((object, text.len()))
    }
}
