//! Errors as JSON ("Connect Protocol Reference", Error and EndStreamResponse).

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use prism_call::{Code, Error};
use prism_frontend::{json, message_types::MessageTypes};

/// Returns an error as JSON.
pub fn to_json(error: &Error) -> Value {
    let status = error.to_status();
    let mut out = Map::new();
    out.insert("code".to_owned(), code_name(error.code()).into());
    if !status.message.is_empty() {
        out.insert("message".to_owned(), status.message.into());
    }
    if !status.details.is_empty() {
        let details = status.details.into_iter().map(|detail| {
            let kind = detail.type_url.rsplit('/').next().unwrap_or_default();
            let mut out = Map::new();
            out.insert("type".to_owned(), kind.into());
            out.insert("value".to_owned(), STANDARD_NO_PAD.encode(&detail.value).into());
            if let Some(readable) = readable(kind, &detail.value) {
                out.insert("debug".to_owned(), readable);
            }
            Value::Object(out)
        });
        out.insert("details".to_owned(), details.collect());
    }
    Value::Object(out)
}

/// Returns the message at the end of a stream.
pub fn end_of_stream(error: Option<&Error>, trailers: Option<&HeaderMap>) -> String {
    let mut out = Map::new();
    if let Some(error) = error {
        out.insert("error".to_owned(), to_json(error));
    }
    if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
        let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
        let values = |name| trailers.get_all(name).iter().map(text).collect::<Value>();
        out.insert("metadata".to_owned(), trailers.keys().map(|name| (name.as_str().to_owned(), values(name))).collect());
    }
    Value::Object(out).to_string()
}

/// Returns a detail for people, if its type is known.
fn readable(kind: &str, detail: &[u8]) -> Option<Value> {
    let types = MessageTypes::all();
    let mut out = Vec::new();
    json::encode(types, types.find(kind)?, detail, &mut out).ok()?;
    serde_json::from_slice(&out).ok()
}

/// Returns the name of a code in this protocol.
fn code_name(code: Code) -> String {
    match code {
        // The protocol spells it with one L.
        Code::Cancelled => "canceled".to_owned(),
        code => code.name().to_ascii_lowercase(),
    }
}
