//! Records as fields of a Redis stream.

use redis::Value;

use super::offset::Id;
use crate::{error, reply, script::Invocation};
use prism_call::{
    Error,
    proto::models::stream::v1::{AppendRequest, Record},
};
use prism_driver::{cursor, time};

/// What cursors of a stream belong to.
fn scope(stream: &str) -> String {
    format!("stream:{stream}")
}

/// The place of a cursor; `None` for the empty one.
pub fn place(stream: &str, text: &str) -> Result<Option<Id>, Error> {
    let Some(bytes) = cursor::open(&scope(stream), text)? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| cursor::invalid())?;
    Ok(Some(Id(u64::from_be_bytes(bytes))))
}

/// Adds the fields of a record to a call.
pub fn push(call: &mut Invocation, request: &AppendRequest) {
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

/// A record of its id and its fields.
pub fn read(stream: &str, id: &Value, fields: Value) -> Result<(Id, Record), Error> {
    let id = Id::required(id)?;
    let mut record = Record {
        offset: id.0,
        append_time: Some(time::timestamp(id.millis())),
        cursor: cursor::seal(&scope(stream), &id.0.to_be_bytes()),
        ..Record::default()
    };
    let mut fields = reply::list(fields)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (reply::some_bytes(name)?, reply::some_bytes(value)?);
        match &name[..] {
            b"p" => record.payload = value,
            b"k" => record.key = value,
            name => {
                let name = name.strip_prefix(b"a:").and_then(|name| std::str::from_utf8(name).ok()).ok_or_else(error::foreign)?;
                let value = String::from_utf8(value.into()).map_err(|_| error::foreign())?;
                record.attributes.insert(name.to_owned(), value);
            }
        }
    }
    Ok((id, record))
}
