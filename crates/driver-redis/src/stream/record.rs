//! Encodes records as the fields of an entry in a Redis stream.

use redis::Value;

use super::record_id::RecordId;
use crate::{error, reply, script::ScriptCall};
use prism_call::{
    Error,
    proto::models::stream::v1::{AppendRequest, Record},
};
use prism_driver::{cursor, time};

/// The scope of the cursors of a stream.
fn scope(stream: &str) -> String {
    format!("stream:{stream}")
}

/// The id in a cursor; `None` if the cursor is empty.
pub fn decode_cursor(stream: &str, text: &str) -> Result<Option<RecordId>, Error> {
    let Some(bytes) = cursor::open(&scope(stream), text)? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| cursor::invalid())?;
    Ok(Some(RecordId(u64::from_be_bytes(bytes))))
}

/// Adds the fields of a record to the arguments of a script.
pub fn push_fields(call: &mut ScriptCall, request: &AppendRequest) {
    call.push("p");
    call.push(&request.payload[..]);
    if !request.key.is_empty() {
        call.push("k");
        call.push(&request.key[..]);
    }
    for (name, value) in &request.attributes {
        call.push(format!("a:{name}"));
        call.push(value);
    }
}

/// Decodes a record from its id and its fields.
pub fn decode(stream: &str, id: &Value, fields: Value) -> Result<(RecordId, Record), Error> {
    let id = RecordId::required(id)?;
    let mut record = Record {
        offset: id.0,
        append_time: Some(time::timestamp(id.millis())),
        cursor: cursor::seal(&scope(stream), &id.0.to_be_bytes()),
        ..Record::default()
    };
    let mut fields = reply::list(fields)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (reply::required_bytes(name)?, reply::required_bytes(value)?);
        match &name[..] {
            b"p" => record.payload = value,
            b"k" => record.key = value,
            name => {
                let name = name.strip_prefix(b"a:").and_then(|name| std::str::from_utf8(name).ok()).ok_or_else(error::foreign_value)?;
                let value = String::from_utf8(value.into()).map_err(|_| error::foreign_value())?;
                record.attributes.insert(name.to_owned(), value);
            }
        }
    }
    Ok((id, record))
}
