//! The two forms of frames. In JSON, `message` is the JSON of the message itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{codec::Codec, websocket_transport::WebSocketMessage};
use prism_call::{
    Error,
    proto::websocket::v1::{Authenticate, Call, ClientFrame, End, FieldViolation, GoAway, ServerFrame, Welcome},
};

/// Bytes of a frame that its message may keep in memory beside its own.
const MAX_KEPT_BYTES: usize = 4 << 10;

/// Parses a frame of a client. The message stays in the form of the codec. An error is a text for the client's developer.
pub fn parse(codec: Codec, message: WebSocketMessage) -> Result<ClientFrame, String> {
    match (codec, message) {
        (Codec::Json, WebSocketMessage::Text(text)) => {
            let frame: JsonClientFrame<'_> = serde_json::from_str(text.as_str()).map_err(|error| format!("malformed frame: {error}"))?;
            let whole = Bytes::from(text.clone());
            Ok(frame.into_frame(&whole))
        }
        (Codec::Proto, WebSocketMessage::Binary(bytes)) => {
            let size = bytes.len();
            let frame = ClientFrame::decode(bytes).map_err(|error| format!("malformed frame: {error}"))?;
            Ok(ClientFrame { message: frame.message.map(|message| detach(message, size)), ..frame })
        }
        (Codec::Json, WebSocketMessage::Binary(_)) => Err("frames of prism.v1.json are text messages".to_owned()),
        (Codec::Proto, WebSocketMessage::Text(_)) => Err("frames of prism.v1.proto are binary messages".to_owned()),
    }
}

/// Copies a message that is a small part of its frame. It would keep the whole frame in memory, and only its own bytes are counted.
fn detach(message: Bytes, frame_bytes: usize) -> Bytes {
    let kept = frame_bytes.saturating_sub(message.len());
    if kept > MAX_KEPT_BYTES.max(message.len()) { Bytes::copy_from_slice(&message) } else { message }
}

/// Encodes a frame of the gateway, whose message is in the form of the codec.
pub fn encode(codec: Codec, frame: &ServerFrame) -> Result<WebSocketMessage, Error> {
    match codec {
        Codec::Proto => Ok(WebSocketMessage::Binary(frame.encode_to_vec().into())),
        Codec::Json => {
            let not_json = |error: &dyn std::fmt::Display| Error::internal(format!("a message is not valid JSON: {error}"));
            let text = frame.message.as_deref().map(std::str::from_utf8).transpose().map_err(|error| not_json(&error))?;
            let mut out = String::with_capacity(64 + text.map_or(0, str::len));
            out.push_str("{\"id\":");
            out.push_str(&frame.id.to_string());
            push(&mut out, "welcome", frame.welcome.as_ref().map(JsonWelcome::of));
            push(&mut out, "metadata", Some(&frame.metadata).filter(|metadata| !metadata.is_empty()));
            if let Some(text) = text {
                out.push_str(",\"message\":");
                out.push_str(text);
            }
            push(&mut out, "end", frame.end.as_ref().map(JsonEnd::of));
            push(&mut out, "credits", Some(frame.credits).filter(|credits| *credits > 0));
            push(&mut out, "goAway", frame.go_away.as_ref().map(JsonGoAway::of));
            out.push('}');
            Ok(WebSocketMessage::Text(out.into()))
        }
    }
}

/// Appends a member of an object.
fn push(out: &mut String, name: &str, value: Option<impl Serialize>) {
    // Strings, numbers and maps of strings can always be written.
    let Some(json) = value.and_then(|value| serde_json::to_string(&value).ok()) else { return };
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.push_str(&json);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonClientFrame<'t> {
    #[serde(default)]
    id: u32,
    call: Option<JsonCall>,
    #[serde(borrow)]
    message: Option<&'t RawValue>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    credits: u32,
    #[serde(default)]
    cancel: bool,
    authenticate: Option<JsonAuthenticate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonCall {
    method: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    timeout_ms: u32,
    credits: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonAuthenticate {
    #[serde(default)]
    authorization: String,
    #[serde(default)]
    api_key: String,
}

impl JsonClientFrame<'_> {
    /// `whole` is the text of the frame. The message is a part of it.
    fn into_frame(self, whole: &Bytes) -> ClientFrame {
        let Self { id, call, message, end, credits, cancel, authenticate } = self;
        ClientFrame {
            id,
            call: call.map(|JsonCall { method, namespace, metadata, timeout_ms, credits }| Call {
                method,
                namespace,
                metadata,
                timeout_ms,
                credits,
            }),
            message: message.map(|message| detach(whole.slice_ref(message.get().as_bytes()), whole.len())),
            end,
            credits,
            cancel,
            authenticate: authenticate.map(|JsonAuthenticate { authorization, api_key }| Authenticate { authorization, api_key }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonWelcome {
    max_calls: u32,
    max_frame_bytes: u32,
    request_credits: u32,
    reply_credits: u32,
}

impl JsonWelcome {
    fn of(welcome: &Welcome) -> Self {
        let Welcome { max_calls, max_frame_bytes, request_credits, reply_credits } = *welcome;
        Self { max_calls, max_frame_bytes, request_credits, reply_credits }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonGoAway<'f> {
    reason: &'f str,
    reconnect_after_ms: u32,
}

impl<'f> JsonGoAway<'f> {
    fn of(go_away: &'f GoAway) -> Self {
        Self { reason: &go_away.reason, reconnect_after_ms: go_away.reconnect_after_ms }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEnd<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JsonError<'f>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'f BTreeMap<String, String>,
    request_id: &'f str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonError<'f> {
    code: &'f str,
    reason: &'f str,
    message: &'f str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'f BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<JsonViolation<'f>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

#[derive(Serialize)]
struct JsonViolation<'f> {
    field: &'f str,
    description: &'f str,
}

impl<'f> JsonEnd<'f> {
    fn of(end: &'f End) -> Self {
        let error = end.error.as_ref().map(|error| JsonError {
            code: &error.code,
            reason: &error.reason,
            message: &error.message,
            metadata: &error.metadata,
            violations: error.violations.iter().map(|FieldViolation { field, description }| JsonViolation { field, description }).collect(),
            retry_after_ms: Some(error.retry_after_ms).filter(|delay| *delay > 0),
        });
        Self { error, metadata: &end.metadata, request_id: &end.request_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_that_is_a_small_part_of_its_frame_does_not_keep_it() {
        let whole = Bytes::from(vec![b' '; 3 * MAX_KEPT_BYTES]);
        let frame = whole.as_ptr_range();
        let is_slice = |message: Bytes| frame.contains(&detach(message, whole.len()).as_ptr());
        assert!(is_slice(whole.slice(..2 * MAX_KEPT_BYTES)), "it is not copied");
        assert!(!is_slice(whole.slice(..MAX_KEPT_BYTES)));
        assert!(!is_slice(whole.slice(..1)));
    }
}
